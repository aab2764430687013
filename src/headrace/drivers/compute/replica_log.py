"""Logs of replicas in the home, of those that ended too: which there are, their last lines, how many are kept."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from headrace.drivers.compute.replica_file import replica_files

BYTES_PER_LINE = 512
MOST_BYTES = 1_048_576
KEPT_ENDED = 5
_NUMBERED = re.compile(r"(?P<base>.+)-(?P<number>\d+)\.log")


def base_name(deployment: str) -> str:
    """Return what the names of a deployment's replicas begin with: the part of its id that a file's name may have."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", deployment).strip("-.")[:100] or "model"


def lowest_name(deployment: str, taken: Collection[str]) -> str:
    """Return the lowest name that is free, so that logs stay few and are found again after a restart."""
    base = base_name(deployment)
    return next(name for number in range(len(taken) + 1) if (name := f"{base}-{number}") not in taken)


class ReplicaLogs:
    """The logs in a home; every method blocks for as long as reading files takes."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / "logs"

    def names(self, deployment: str) -> tuple[str, ...]:
        """Return the replicas of a deployment that have a log, the oldest first."""
        return tuple(path.name.removesuffix(".log") for _, path in sorted(self._numbered(deployment)))

    def new_name(self, deployment: str, taken: Collection[str]) -> str:
        """Return a name that none of the deployment's replicas has had, and delete the oldest logs."""
        self.prune(deployment, taken)
        base = base_name(deployment)
        had = [number for number, _ in self._numbered(deployment)]
        while had and f"{base}-{max(had) + 1}" in taken:
            had.append(max(had) + 1)
        return f"{base}-{max(had) + 1}" if had else lowest_name(deployment, taken)

    def tail(self, replica: str, lines: int) -> tuple[str, ...]:
        """Return the last lines of a replica's log, from the file before it too where the log has just rotated."""
        files = replica_files(self._home, replica)
        path = files.log
        found = _last_lines(path, lines)
        if len(found) < lines:
            found = [*_last_lines(path.with_name(path.name + ".1"), lines - len(found)), *found]
        return tuple(files.shown("\n".join(found)).split("\n")) if found else ()

    def prune(self, deployment: str, running: Collection[str], kept: int = KEPT_ENDED) -> None:
        """Delete the logs of all but the last so many of a deployment's replicas that have ended."""
        ended = [name for name in self.names(deployment) if name not in running]
        for name in ended[: max(0, len(ended) - kept)]:
            path = self._folder / f"{name}.log"
            path.unlink(missing_ok=True)
            path.with_name(path.name + ".1").unlink(missing_ok=True)

    def _numbered(self, deployment: str) -> Iterator[tuple[int, Path]]:
        base = base_name(deployment)
        for path in self._folder.glob("*.log"):
            named = _NUMBERED.fullmatch(path.name)
            if named is not None and named["base"] == base:
                yield int(named["number"]), path


def _last_lines(path: Path, lines: int) -> list[str]:
    if lines <= 0:
        return []
    most = min(MOST_BYTES, lines * BYTES_PER_LINE)
    try:
        with path.open("rb") as log:
            start = max(0, log.seek(0, os.SEEK_END) - most)
            log.seek(start)
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return []
    found = text.splitlines()
    # What was read from the middle of a file begins within a line.
    whole = found[1:] if start and len(found) > 1 else found
    return whole[-lines:]
