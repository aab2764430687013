"""Repeated requests: the second gets the outcome of the first. It calls a turn through a sink; a turn knows nothing.

A request with a key is served to its end even when its caller leaves, so that the repeat finds the outcome. What
failed before anything was sent is forgotten: a repeat is fresh.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import msgspec

from headrace.domain.errors import (
    Conflict,
    HeadraceError,
    InternalError,
    InvalidRequest,
    MeteringUnavailable,
    ShuttingDown,
    Unprocessable,
    UpstreamTruncated,
)
from headrace.ports.ambient import Clock
from headrace.ports.outcomes import Asked, Different, Fresh, Lost, Outcomes, Running, Stored
from headrace.ports.sink import Sink
from headrace.services.kept_sink import KeptSink, Outcome
from headrace.services.steadfast import Sleep, write_until_taken
from headrace.services.tasks import Tasks

HEADER = b"idempotency-key"
KEPT_MICROS = 24 * 3_600 * 1_000_000
MAX_NAME_BYTES = 255
WAIT_SECONDS = 1.0
SWEEP_SECONDS = 3_600.0
RunTurn: TypeAlias = Callable[[Sink], Awaitable[None]]
_OUTCOME = msgspec.msgpack.Decoder(Outcome)


class Idempotency:
    """Serves requests that carry an Idempotency-Key; `is_on` is the operator's decision."""

    def __init__(
        self, outcomes: Outcomes, tasks: Tasks, clock: Clock, *, is_on: bool = True, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._outcomes = outcomes
        self._tasks = tasks
        self._clock = clock
        self._is_on = is_on
        self._notes = _Notes(outcomes, tasks, sleep)

    def check(self, names: Sequence[bytes]) -> str | None:
        """Return the digest of the request's key, or None when it has none; raises InvalidRequest."""
        if not names:
            return None
        if not self._is_on:
            raise InvalidRequest(
                "The operator of this server keeps no replies: leave Idempotency-Key out.",
                code="idempotency_disabled",
                param="Idempotency-Key",
            )
        name = names[0]
        if len(names) > 1 or not 1 <= len(name) <= MAX_NAME_BYTES or not all(0x21 <= each <= 0x7E for each in name):
            raise InvalidRequest(
                f"Idempotency-Key must be one value of 1 to {MAX_NAME_BYTES} visible ASCII characters.",
                code="invalid_idempotency_key",
                param="Idempotency-Key",
            )
        return hashlib.sha256(name).hexdigest()

    async def serve(self, asked: Asked, sink: Sink, run: RunTurn) -> None:
        """Run the turn once, or send what came of it; raises Conflict, Unprocessable and what the turn raises."""
        try:
            beginning = await self._outcomes.begin(asked, self._clock.unix_micros() + KEPT_MICROS)
        except asyncio.CancelledError:
            # It may be noted as running, and nobody runs it.
            self._tasks.start(f"abandon {asked.request_id}", self._notes.abandon(asked))
            raise
        match beginning:
            case Fresh():
                await self._serve_fresh(asked, sink, run)
            case Stored(request_id, content):
                await _replay(_OUTCOME.decode(content), request_id, sink)
            case Running(request_id):
                raise Conflict(
                    "The first request with this Idempotency-Key is still running.",
                    code="idempotency_in_progress",
                    retry_after_seconds=WAIT_SECONDS,
                    extra={"original_request_id": request_id},
                )
            case Lost(request_id):
                raise Conflict(
                    "The first request with this Idempotency-Key has ended, but what it sent could not be kept. Its "
                    "receipt tells what it cost; to ask again, use another key.",
                    code="idempotency_outcome_lost",
                    extra={"original_request_id": request_id},
                )
            case Different(request_id):
                raise Unprocessable(
                    "This Idempotency-Key was used for another body; use another key.",
                    code="idempotency_mismatch",
                    param="Idempotency-Key",
                    extra={"original_request_id": request_id},
                )

    async def sweep_for_ever(self, sleep: Sleep = asyncio.sleep) -> None:
        """Forget what has expired, once an hour, until cancelled."""
        while True:
            with contextlib.suppress(MeteringUnavailable):
                await self._outcomes.sweep()
            await sleep(SWEEP_SECONDS)

    async def _serve_fresh(self, asked: Asked, sink: Sink, run: RunTurn) -> None:
        attempt = _FirstRun(self._notes, asked, sink)
        task = self._tasks.start_owed(f"turn of {asked.request_id}", attempt.run(run))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            attempt.sink.detach()
            raise
        if attempt.failure is not None:
            raise attempt.failure


class _Notes:
    """Notes how requests ended: now, or where the store is away, as soon as it takes it; nobody waits for that."""

    def __init__(self, outcomes: Outcomes, tasks: Tasks, sleep: Sleep) -> None:
        self._outcomes = outcomes
        self._tasks = tasks
        self._sleep = sleep

    async def finish(self, asked: Asked, content: bytes | None) -> None:
        await self._write(asked, lambda: self._outcomes.finish(asked, content))

    async def abandon(self, asked: Asked) -> None:
        await self._write(asked, lambda: self._outcomes.abandon(asked))

    async def _write(self, asked: Asked, write: Callable[[], Awaitable[None]]) -> None:
        try:
            await write()
        except MeteringUnavailable:
            self._tasks.start(f"outcome of {asked.request_id}", write_until_taken(write, self._sleep))


class _FirstRun:
    """The one run of a request; whatever ends it, it does not stay noted as running."""

    def __init__(self, notes: _Notes, asked: Asked, sink: Sink) -> None:
        self._notes = notes
        self._asked = asked
        self._is_closed = False
        self.sink = KeptSink(sink, self._keep_whole)
        self.failure: HeadraceError | None = None

    async def run(self, run: RunTurn) -> None:
        try:
            await run(self.sink)
        except HeadraceError as error:
            self.failure = error
        except asyncio.CancelledError:
            self.failure = ShuttingDown("The server stopped while it answered.")
            raise
        finally:
            await self._close(self.failure or InternalError("The request ended without a word."))

    async def _keep_whole(self) -> None:
        self._is_closed = True
        await self._notes.finish(self._asked, _encoded(self.sink.outcome()))

    async def _close(self, error: HeadraceError) -> None:
        if self._is_closed:
            return
        if self.sink.started:
            await self._notes.finish(self._asked, _encoded(self.sink.outcome(error.code, error.message)))
        else:
            await self._notes.abandon(self._asked)


def _encoded(outcome: Outcome | None) -> bytes | None:
    return None if outcome is None else msgspec.msgpack.encode(outcome)


async def _replay(outcome: Outcome, request_id: str, sink: Sink) -> None:
    told = (("idempotency-replayed", "true"), ("x-headrace-original-request-id", request_id))
    await sink.start(outcome.status, (*outcome.headers, *told))
    body = b"".join(outcome.blocks)
    if outcome.code is None:
        await sink.end(body)
        return
    await sink.write(body)
    raise UpstreamTruncated(outcome.message or "The answer broke off.", code=outcome.code)
