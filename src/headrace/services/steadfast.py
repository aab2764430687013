"""A ledger that does not forget a settlement because the store was away: it is booked again until it is.

A caller whose settlement failed is told so at once; the books follow as soon as the store takes writes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from headrace.domain.books import Held, Opening, Progress, RecoveryReport, Refused, Settlement, Void
from headrace.domain.errors import Conflict, MeteringUnavailable
from headrace.ports.ledger import Ledger
from headrace.services.tasks import Tasks

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
Sleep: TypeAlias = Callable[[float], Awaitable[object]]


class SteadfastLedger:
    """Passes everything on; closings that the store could not take are tried again in the background."""

    def __init__(self, ledger: Ledger, tasks: Tasks, sleep: Sleep = asyncio.sleep) -> None:
        self._ledger = ledger
        self._tasks = tasks
        self._sleep = sleep
        self.waiting = 0

    async def hold(self, opening: Opening) -> Held | Refused:
        """Reserve the bound; a failure is not repeated, because nothing was sent.

        A hold that nobody waits for any more is voided, though the store could not take the ledger's own word.
        """
        try:
            return await self._ledger.hold(opening)
        except asyncio.CancelledError:
            self._try_again(Void(opening.attempt_id, "abandoned", opening.at_micros))
            raise

    def sent(self, attempt_id: str, at_micros: int) -> Awaitable[None]:
        """Queue the step to SENT."""
        return self._ledger.sent(attempt_id, at_micros)

    def checkpoint(self, attempt_id: str, progress: Progress) -> None:
        """Queue a running count."""
        self._ledger.checkpoint(attempt_id, progress)

    async def settle(self, settlement: Settlement) -> None:
        """Book a settlement now; raises MeteringUnavailable and goes on trying when the store is away.

        A whole answer is withheld then, so its caller is not charged: only the cost is booked later.
        """
        try:
            await self._ledger.settle(settlement)
        except MeteringUnavailable:
            self._try_again(settlement.withheld())
            raise
        except asyncio.CancelledError:
            # Who was cancelled does not hear whether the store took it.
            self._try_again(settlement)
            raise

    async def void(self, void: Void) -> None:
        """Book a void now, or as soon as the store takes it: nobody waits for one."""
        try:
            await self._ledger.void(void)
        except MeteringUnavailable:
            self._try_again(void)
        except asyncio.CancelledError:
            self._try_again(void)
            raise

    async def recover(self) -> RecoveryReport:
        """Resolve what earlier processes left open."""
        return await self._ledger.recover()

    def _try_again(self, closing: Settlement | Void) -> None:
        self.waiting += 1
        self._tasks.start(f"book {closing.attempt_id}", self._book(closing))

    async def _book(self, closing: Settlement | Void) -> None:
        try:
            await write_until_taken(lambda: self._close(closing), self._sleep)
        finally:
            self.waiting -= 1

    async def _close(self, closing: Settlement | Void) -> None:
        with contextlib.suppress(Conflict):
            if isinstance(closing, Settlement):
                await self._ledger.settle(closing)
            else:
                await self._ledger.void(closing)


async def write_until_taken(write: Callable[[], Awaitable[None]], sleep: Sleep) -> None:
    """Wait and write, ever more patiently, until the store takes it."""
    wait, is_taken = FIRST_WAIT_SECONDS, False
    while not is_taken:
        await sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)
        with contextlib.suppress(MeteringUnavailable):
            await write()
            is_taken = True
