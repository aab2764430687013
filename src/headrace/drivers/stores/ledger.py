"""Owns the ledger's promises to the event loop: what is queued, what is awaited; steps.py executes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from headrace.domain.books import Held, Opening, Progress, RecoveryReport, Refused, Settlement, Void
from headrace.domain.errors import MeteringUnavailable
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.recovery import recover
from headrace.drivers.stores.steps import Abandon, Checkpoint, LedgerSteps, Sent
from headrace.ports.ambient import Clock


class SqlLedger:
    """The one ledger of a database; every method may be called from one event loop at any concurrency."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._writer = database.writer
        self._clock = clock
        self._steps = LedgerSteps(database.epoch, clock, set(database.prices_known), database.figures)

    async def hold(self, opening: Opening) -> Held | Refused:
        """Reserve the bound on all scopes or on none; returns after the hold is durable.

        A waiter that is cancelled leaves no hold behind. Raises Conflict when the attempt exists.
        """
        try:
            outcome: Held | Refused = await self._writer.submit_step(self._steps, opening)
        except asyncio.CancelledError:
            self._writer.post_step(self._steps, Abandon(opening.attempt_id))
            raise
        except MeteringUnavailable as error:
            raise MeteringUnavailable(
                "Metering is unavailable, so nothing was sent and nothing is owed. Retry in 2 s.",
                detail=error.detail,
                retry_after_seconds=error.retry_after_seconds,
            ) from error
        if isinstance(outcome, Held):
            self._steps.prices.add(opening.price.id)
        return outcome

    def sent(self, attempt_id: str, at_micros: int) -> Awaitable[None]:
        """Queue the step HELD to SENT at once; the awaitable ends when it is durable.

        The step goes with the next commit, its settlement's perhaps; awaiting it makes that commit come now.
        """
        return self._writer.submit_patient_step(self._steps, Sent(attempt_id, at_micros))

    def checkpoint(self, attempt_id: str, progress: Progress) -> None:
        """Queue the running count of a stream; of several that wait, only the newest is written."""
        waiting = self._steps.waiting
        step = waiting.get(attempt_id)
        if step is not None:
            step.progress = progress
        # Asked again: the writer may have taken it in between.
        if attempt_id not in waiting:
            step = waiting[attempt_id] = Checkpoint(attempt_id, progress)
            self._writer.post_step(self._steps, step)

    async def settle(self, settlement: Settlement) -> None:
        """Book cost and charge and close the hold; raises Conflict for an attempt that has ended."""
        await self._writer.submit_step(self._steps, settlement)

    async def void(self, void: Void) -> None:
        """Close the hold without a charge; raises Conflict for an attempt that has ended."""
        await self._writer.submit_step(self._steps, void)

    async def recover(self) -> RecoveryReport:
        """Resolve every attempt that earlier processes left open; see recovery.py for what is charged."""
        soundness = self._database.soundness.text
        told = (self._database.epoch, self._clock.unix_micros(), soundness, self._database.figures)
        return await self._writer.submit(recover, told)
