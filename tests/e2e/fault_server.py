"""A server whose clock and disk obey files: `python -m tests.e2e.fault_server FOLDER serve --home ...`.

FOLDER/clock holds the seconds by which the wall clock is off; while FOLDER/read-only exists, the store's connection
takes no writes, as on a file system that was remounted read-only. The product has no such switch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from headrace.app import foundation
from headrace.app.local_verbs import InstalledVerbs
from headrace.cli.command import run
from headrace.drivers.ambient import SystemClock
from headrace.drivers.stores import database
from headrace.drivers.stores.writer import Operation, Writer

CLOCK, READ_ONLY = "clock", "read-only"


class SteppedClock(SystemClock):
    """The machine's clocks, the wall clock off by what the file says; monotonic time stays."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def unix_micros(self) -> int:
        try:
            return super().unix_micros() + int(self._file.read_text()) * 1_000_000
        except OSError:
            return super().unix_micros()


class ReadOnlyWriter(Writer):
    """The writer; SQLite itself refuses writes while the file exists."""

    switch: Path

    def _transact(self, batch: list[Operation]) -> list[object]:
        self._cursor.execute(f"PRAGMA query_only = {int(self.switch.exists())}")
        return super()._transact(batch)


def compose(folder: Path) -> None:
    """Put the subclasses where the composition root finds its parts."""

    def writer(*parts: Any) -> Writer:
        ReadOnlyWriter.switch = folder / READ_ONLY
        return ReadOnlyWriter(*parts)

    def clock() -> SystemClock:
        return SteppedClock(folder / CLOCK)

    for module, name, part in ((database, "Writer", writer), (foundation, "SystemClock", clock)):
        if name not in vars(module):
            raise AssertionError(f"{module} has no {name}: the composition root has changed")
        setattr(module, name, part)


if __name__ == "__main__":
    compose(Path(sys.argv[1]))
    sys.exit(run(sys.argv[2:], InstalledVerbs()))
