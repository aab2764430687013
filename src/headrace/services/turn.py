"""The request path: one turn, from a plan to a settled reply.

For each target: authorise it, prepare its request, lease an endpoint, hold its bound, send, wait for the first
meaningful event or go on to the next; then relay, settle, and only then release the held-back end. Responses, tool
loops and batches call a turn; they are never branches in it. Rendering an error is the caller's: a turn raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from headrace.domain.books import Progress, Settlement
from headrace.domain.call import Call
from headrace.domain.errors import HeadraceError, InternalError, UpstreamTimeout
from headrace.domain.plan import Plan, Target
from headrace.ports.fleet import Lease
from headrace.ports.sink import Sink
from headrace.ports.upstream import Exchange, Prepared, Reader
from headrace.services.answers import check_status, first_event, upstream_request_id
from headrace.services.closing import AttemptState, attempt_end, settlement_at_end, settlement_or_void, share_of
from headrace.services.fleet import prefix_of, report_end
from headrace.services.holding import AttemptPlace, take_hold
from headrace.services.keepalive import KeepAlive
from headrace.services.metering import money_fields, money_headers
from headrace.services.reply_headers import reply_headers
from headrace.services.resolve import authorise
from headrace.services.retries import Course, Step
from headrace.services.turn_parts import TurnParts

CHECKPOINT_TOKENS, CHECKPOINT_SECONDS = 64, 0.25
Headers = tuple[tuple[str, str], ...]


async def run_turn(parts: TurnParts, call: Call, plan: Plan, sink: Sink, turn_index: int = 0) -> None:
    """Serve the call by the first target that answers.

    Raises the last failure when none does, and the failure itself once content has left: there is no second attempt,
    no splice and no invented terminator after that.
    """
    now = parts.clock.monotonic
    with parts.retries.request() as retries:
        course = Course(plan, parts.health, retries, now(), parts.limits.deadlines.total_seconds)
        step, index = course.first(now()), 0
        while True:
            if step.wait_seconds:
                await parts.sleep(step.wait_seconds)
            attempt = _Attempt(parts, call, step.target, sink, (turn_index, index), course)
            error = await attempt.failure()
            if error is None:
                return
            next_step = attempt.next_step(error)
            if next_step is None:
                raise course.last_word(error, now(), index + 1) from error.__cause__
            step, index = next_step, index + 1


class _Attempt:
    """One try at one target; whatever ends it, its books are closed exactly once."""

    def __init__(
        self, parts: TurnParts, call: Call, target: Target, sink: Sink, place: tuple[int, int], course: Course
    ) -> None:
        self._parts = parts
        self._call = call
        self._target = self._priced = target
        self._sink = sink
        self._place = AttemptPlace(parts.ids.new("att"), *place, course.decision, course.excluded)
        self._course = course
        self._trial = parts.health.began(target, parts.clock.monotonic())
        self._adapter = parts.adapters[target.adapter]
        self._keepalive = KeepAlive(sink, parts.limits.keepalive_seconds)
        self._prepared: Prepared | None = None
        self._lease: Lease | None = None
        self._first_event_at: int | None = None
        self._status: int | None = None
        self._upstream_id: str | None = None
        self._reader: Reader | None = None
        self._clamped_to: int | None = None
        self._is_sent = False
        # There is nothing to close before there is a hold.
        self._is_closed = True
        self._held_at = self._delivered_bytes = 0

    async def failure(self) -> HeadraceError | None:
        """Serve the call by this target; returns what it failed with, after the books are closed."""
        ended_by: BaseException | None = None
        try:
            await self._lease_and_serve()
        except HeadraceError as error:
            ended_by = error
            return error
        except BaseException as error:
            ended_by = error
            raise
        finally:
            self._trial.ended(ended_by, self._status, self._parts.clock.monotonic())
            report_end(self._parts.fleet, self._lease, ended_by)
        return None

    def next_step(self, error: BaseException) -> Step | None:
        """Return where the request goes after this failure, or None when it is the last word."""
        now, is_delivered = self._parts.clock.monotonic(), bool(self._delivered_bytes)
        return self._course.after(error, now, is_delivered=is_delivered, is_sent=self._is_sent)

    async def _lease_and_serve(self) -> None:
        authorise(self._call, self._target)
        self._prepare(self._call)
        if self._call.envelope.stream:
            self._keepalive.start(self._headers())
        try:
            seconds, prefix = self._parts.limits.engine_wait_seconds, prefix_of(self._call, self._target)
            lease = self._lease = await self._parts.fleet.acquire(self._target, seconds, prefix)
            try:
                await self._hold_and_serve(lease)
            finally:
                lease.release()
        finally:
            await self._keepalive.stop()

    def _prepare(self, call: Call) -> Prepared:
        known = self._prepared
        if known is None or call is not self._call:
            known = self._adapter.prepare(call, self._target).labelled(call.request_id, self._place.attempt_id)
            self._call, self._prepared = call, known
            self._priced = self._target.in_service_tier(known.service_tier)
        return known

    async def _hold_and_serve(self, lease: Lease) -> None:
        try:
            where = self._priced, lease.endpoint
            taken = await take_hold(self._parts, self._place, self._call, *where, self._prepare)
            self._is_closed = False
            self._held_at, self._clamped_to = taken.held_at_micros, taken.clamped_to
            await self._finish(await self._serve(lease, taken.prepared))
        except (HeadraceError, asyncio.CancelledError) as error:
            await self._close_failed(error)
            raise
        finally:
            await self._close_failed(InternalError("The attempt ended without a word."))

    async def _serve(self, lease: Lease, prepared: Prepared) -> Reader:
        deadlines = self._parts.limits.deadlines
        first_seconds = deadlines.first_event_seconds if prepared.stream else deadlines.total_seconds
        durable = self._parts.ledger.sent(self._place.attempt_id, self._parts.clock.unix_micros())
        self._is_sent = True
        reader = self._reader = self._adapter.reader(prepared.call or self._call, self._target)
        try:
            async with asyncio.timeout(first_seconds) as limit:
                exchange = await self._adapter.open(self._parts.transport, lease.endpoint, prepared, deadlines)
                try:
                    out = await self._begin(exchange, reader, limit if prepared.stream else None)
                    await self._relay(exchange, reader, out, durable)
                finally:
                    await exchange.close()
        except TimeoutError:
            raise UpstreamTimeout(f"{self._target.model.id} did not answer in time.") from None
        return reader

    async def _begin(self, exchange: Exchange, reader: Reader, limit: asyncio.Timeout | None) -> bytes:
        self._status, self._upstream_id = exchange.status, upstream_request_id(exchange.headers)
        await check_status(exchange, self._adapter)
        out = await first_event(exchange, reader)
        self._first_event_at = self._parts.clock.unix_micros()
        self._trial.answered()
        if limit is not None:
            limit.reschedule(asyncio.get_running_loop().time() + self._parts.limits.deadlines.total_seconds)
        await self._keepalive.stop()
        return out

    async def _relay(self, exchange: Exchange, reader: Reader, out: bytes, durable: Awaitable[None]) -> None:
        clock = self._parts.clock
        noted_tokens, noted_at = 0, clock.monotonic()
        while True:
            if out:
                if not self._delivered_bytes:
                    await durable
                if not self._sink.started:
                    await self._sink.start(200, self._headers())
                self._delivered_bytes += len(out)
                await self._sink.write(out)
            if reader.ended or reader.failure is not None:
                return
            tokens, now = reader.output_tokens_seen, clock.monotonic()
            if tokens - noted_tokens >= CHECKPOINT_TOKENS or now - noted_at >= CHECKPOINT_SECONDS:
                noted_tokens, noted_at = tokens, now
                progress = Progress(tokens, self._delivered_bytes, clock.unix_micros())
                self._parts.ledger.checkpoint(self._place.attempt_id, progress)
            block = await exchange.read()
            if block is None:
                reader.close()
                return
            out = reader.feed(block)

    async def _finish(self, reader: Reader) -> None:
        if reader.failure is not None:
            raise reader.failure
        self._is_closed = True
        state = self._state(None)
        settlement = settlement_at_end(state)
        try:
            await self._parts.ledger.settle(settlement)
        finally:
            self._parts.observer.attempt_ended(attempt_end(state, settlement))
        told = money_fields(self._call, self._target, settlement, self._place.attempt_index + 1, self._place.decision)
        if self._clamped_to is not None:
            told["clamped_output_tokens"] = self._clamped_to
        tail = reader.finish(settlement.usage, told)
        if not self._sink.started:
            size = (("content-length", str(len(tail))),)
            await self._sink.start(200, self._headers() + money_headers(settlement) + size)
        await self._sink.end(tail)

    async def _close_failed(self, error: BaseException) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        state = self._state(error)
        closing = settlement_or_void(state, error)
        self._parts.observer.attempt_ended(attempt_end(state, closing))
        ledger = self._parts.ledger
        await (ledger.settle(closing) if isinstance(closing, Settlement) else ledger.void(closing))

    def _state(self, error: BaseException | None) -> AttemptState:
        reader = self._reader
        return AttemptState(
            attempt_id=self._place.attempt_id,
            call=self._call,
            target=self._priced,
            is_sent=self._is_sent,
            is_last=error is None or self.next_step(error) is None,
            departure=self._sink.departure,
            meaningful=reader is not None and reader.meaningful,
            usage=None if reader is None else reader.usage,
            output_tokens_seen=0 if reader is None else reader.output_tokens_seen,
            delivered_bytes=self._delivered_bytes,
            upstream_status=self._status,
            upstream_request_id=self._upstream_id,
            held_at_micros=self._held_at,
            first_event_at_micros=self._first_event_at,
            ended_at_micros=self._parts.clock.unix_micros(),
            share=share_of(self._lease),
        )

    def _headers(self) -> Headers:
        dropped = () if self._prepared is None else self._prepared.dropped
        place = self._place
        clamped = () if self._clamped_to is None else (("x-headrace-clamped", f"max_tokens={self._clamped_to}"),)
        headers = reply_headers(self._call, self._target, place.attempt_index + 1, dropped, place.decision)
        return (*headers, *clamped)
