"""Headrace with a ledger that stores nothing, run as a script: what metering costs is what it lacks. It never ships.

Keys, limits, budgets' look-ups, bounds, lines and headers are as in the product; only the ledger's driver is another.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Generator

from headrace.app import foundation
from headrace.app.local_verbs import InstalledVerbs
from headrace.cli.command import run
from headrace.domain.books import Held, Opening, Progress, RecoveryReport, Refused, Settlement, Void
from headrace.drivers.stores.database import Database
from headrace.ports.ambient import Clock


class _Done:
    """Something to await that has happened."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


class NoLedger:
    """A ledger that holds everything and keeps nothing."""

    def __init__(self, database: Database, clock: Clock) -> None:
        del database, clock
        self._done = _Done()

    async def hold(self, opening: Opening) -> Held | Refused:
        """Hold it."""
        return Held(opening.attempt_id)

    def sent(self, attempt_id: str, at_micros: int) -> Awaitable[None]:
        """Keep nothing."""
        del attempt_id, at_micros
        return self._done

    def checkpoint(self, attempt_id: str, progress: Progress) -> None:
        """Keep nothing."""

    async def settle(self, settlement: Settlement) -> None:
        """Keep nothing."""

    async def void(self, void: Void) -> None:
        """Keep nothing."""

    async def recover(self) -> RecoveryReport:
        """There is nothing to recover."""
        return RecoveryReport(epochs=0, settled=0, voided=0, integrity="ok")


if __name__ == "__main__":
    setattr(foundation, "SqlLedger", NoLedger)  # noqa: B010 - the type checker is right: it is another class
    sys.exit(run(sys.argv[1:], InstalledVerbs()))
