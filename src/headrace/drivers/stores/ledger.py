"""Owns booking: holds, steps, settlements and voids as operations of the writer; recovery is recovery.py's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import msgspec

from headrace.domain.books import Held, Opening, Progress, RecoveryReport, Refused, Settlement, Void
from headrace.domain.errors import Conflict, MeteringUnavailable
from headrace.domain.money import MAX_NANO
from headrace.drivers.stores import sql
from headrace.drivers.stores.booking import Booking, book_settlement, book_void, or_nothing
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.recovery import recover
from headrace.drivers.stores.sqlite import Cursor
from headrace.ports.ambient import Clock


class SqliteLedger:
    """The ledger in SQLite; every method may be called from one event loop at any concurrency."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._writer = database.writer
        self._clock = clock
        self._epoch = database.epoch
        self._prices = set(database.prices_known)
        self._progress: dict[str, Progress] = {}
        self._queued: set[str] = set()

    async def hold(self, opening: Opening) -> Held | Refused:
        """Reserve the bound on all scopes or on none; returns after the hold is durable.

        A waiter that is cancelled leaves no hold behind. Raises Conflict when the attempt exists.
        """
        try:
            outcome = await self._writer.submit(self._hold, opening)
        except asyncio.CancelledError:
            self._writer.post(self._abandon, opening.attempt_id)
            raise
        except MeteringUnavailable as error:
            raise MeteringUnavailable(
                "Metering is unavailable, so nothing was sent and nothing is owed. Retry in 2 s.",
                detail=error.detail,
                retry_after_seconds=error.retry_after_seconds,
            ) from error
        if isinstance(outcome, Held):
            self._prices.add(opening.price.id)
        return outcome

    def sent(self, attempt_id: str, at_micros: int) -> Awaitable[None]:
        """Queue the step HELD to SENT at once; the awaitable ends when it is durable."""
        return self._writer.submit(_mark_sent, (at_micros, attempt_id))

    def checkpoint(self, attempt_id: str, progress: Progress) -> None:
        """Queue the running count of a stream; of several that wait, only the newest is written."""
        self._progress[attempt_id] = progress
        if attempt_id not in self._queued:
            self._queued.add(attempt_id)
            self._writer.post(self._checkpoint, attempt_id)

    async def settle(self, settlement: Settlement) -> None:
        """Book cost and charge and close the hold; raises Conflict for an attempt that has ended."""
        self._progress.pop(settlement.attempt_id, None)
        await self._writer.submit(self._settle, settlement)

    async def void(self, void: Void) -> None:
        """Close the hold without a charge; raises Conflict for an attempt that has ended."""
        self._progress.pop(void.attempt_id, None)
        await self._writer.submit(self._void, void)

    async def recover(self) -> RecoveryReport:
        """Resolve every attempt that earlier processes left open; see recovery.py for what is charged."""
        soundness = self._database.soundness.text
        return await self._writer.submit(recover, (self._epoch, self._clock.unix_micros(), soundness))

    async def set_limit(self, scope: str, limit_nano: int | None) -> None:
        """Limit what a scope may hold and spend together; None lifts the limit."""
        if limit_nano is not None and not 0 <= limit_nano <= MAX_NANO:
            raise ValueError(f"a limit of {limit_nano} nano-dollars is outside the ledger's range")
        await self._writer.submit(_set_limit, (scope, or_nothing(limit_nano), 0, 0))

    async def balance(self, scope: str) -> tuple[int | None, int, int]:
        """Return a scope's limit, held and spent amounts; an unknown scope has none."""
        row = await self._database.read(lambda cursor: cursor.execute(sql.READ_BALANCE, (scope,)).fetchone())
        return (None, 0, 0) if row is None else (row[0], row[1], row[2])

    def _hold(self, cursor: Cursor, opening: Opening) -> Held | Refused:
        amount = opening.bound.amount_nano
        for position, scope in enumerate(opening.scopes):
            cursor.execute(sql.TAKE, (amount, scope, amount))
            refused = _take_new_scope(cursor, scope, amount) if cursor.rowcount != 1 else None
            if refused is not None:
                for taken in opening.scopes[:position]:
                    cursor.execute(sql.RELEASE, (amount, 0, taken))
                return refused
        self._write_request(cursor, opening)
        self._write_attempt(cursor, opening)
        return Held(opening.attempt_id)

    def _write_attempt(self, cursor: Cursor, opening: Opening) -> None:
        attempt_id, epoch, bound = opening.attempt_id, self._epoch, opening.bound
        scopes = msgspec.json.encode(opening.scopes).decode()
        cursor.execute(
            sql.ADD_ATTEMPT,
            (
                attempt_id,
                opening.request.request_id,
                opening.turn_index,
                opening.attempt_index,
                opening.parent_attempt_id or "",
                epoch,
                opening.model_id,
                opening.provider,
                opening.deployment or "",
                opening.identity,
                opening.price.id,
                bound.input_tokens,
                bound.output_tokens,
                bound.amount_nano,
                bound.input_estimate,
                scopes,
                opening.at_micros,
            ),
        )
        account = opening.request.account
        cursor.execute(sql.ADD_HOLD, (attempt_id, epoch, account, opening.provider, scopes, bound.amount_nano))

    def _write_request(self, cursor: Cursor, opening: Opening) -> None:
        request = opening.request
        cursor.execute(
            sql.ADD_REQUEST,
            (
                request.request_id,
                request.operation,
                request.account,
                request.key_id,
                request.key_name,
                request.requested_model,
                int(request.stream),
                request.route or "",
                request.received_at_micros,
            ),
        )
        cursor.execute(sql.ADD_TURN, (request.request_id, opening.turn_index, opening.at_micros))
        price = opening.price
        if price.id not in self._prices:
            rates = msgspec.json.encode({name.value: pico for name, pico in price.rates_pico.items()}).decode()
            cursor.execute(
                sql.ADD_PRICE,
                (
                    price.id,
                    price.provider,
                    price.model_id,
                    price.effective,
                    price.source,
                    rates,
                    price.markup_ppm,
                ),
            )

    def _checkpoint(self, cursor: Cursor, attempt_id: str) -> None:
        # First out of the set, then taken: a newer count that comes in between is taken here or queues itself.
        self._queued.discard(attempt_id)
        progress = self._progress.pop(attempt_id, None)
        if progress is not None:
            values = (progress.output_tokens, progress.delivered_bytes, progress.at_micros, attempt_id)
            cursor.execute(sql.CHECKPOINT, values)

    def _settle(self, cursor: Cursor, settlement: Settlement) -> Conflict | None:
        return book_settlement(cursor, settlement, Booking(self._epoch, settlement.timing.ended_at_micros))

    def _void(self, cursor: Cursor, void: Void) -> Conflict | None:
        return book_void(cursor, void, Booking(self._epoch, void.ended_at_micros))

    def _abandon(self, cursor: Cursor, attempt_id: str) -> None:
        ended_at_micros = self._clock.unix_micros()
        book_void(cursor, Void(attempt_id, "abandoned", ended_at_micros), Booking(self._epoch, ended_at_micros))


def _take_new_scope(cursor: Cursor, scope: str, amount: int) -> Refused | None:
    cursor.execute(sql.ADD_SCOPE, (scope, -1, 0, 0))
    if cursor.rowcount == 1:
        cursor.execute(sql.TAKE, (amount, scope, amount))
        return None
    limit, held, spent = cursor.execute(sql.READ_BALANCE, (scope,)).fetchone()
    return Refused(scope, limit, max(0, limit - held - spent))


def _mark_sent(cursor: Cursor, step: tuple[int, str]) -> Conflict | None:
    cursor.execute(sql.MARK_SENT, step)
    return None if cursor.rowcount == 1 else Conflict(f"The attempt {step[1]} is not held, so it cannot be sent.")


def _set_limit(cursor: Cursor, row: tuple[str, int, int, int]) -> None:
    cursor.execute(sql.SET_LIMIT, row)
