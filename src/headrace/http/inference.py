"""Serves the hot routes of the data plane as plain ASGI endpoints; which they are is hot_routes.py's."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from headrace.domain.access import Caller
from headrace.domain.call import Call, Dialect, Operation
from headrace.domain.errors import HeadraceError
from headrace.domain.json_value import JsonObject
from headrace.domain.plan import Plan
from headrace.domain.routing import Decision
from headrace.domain.snapshot import Snapshot
from headrace.http.edge import (
    OFFLOAD_BYTES,
    EdgeLimits,
    Receive,
    Scope,
    Send,
    check_host,
    check_json,
    headers_named,
    identify,
    link_of,
    read_body,
)
from headrace.http.hot_routes import HotRoute
from headrace.http.outcome import failure_of
from headrace.http.replies import error_headers
from headrace.http.sink import AsgiSink
from headrace.ports.ambient import Offload
from headrace.ports.observer import RequestEnd
from headrace.ports.outcomes import Asked
from headrace.ports.sink import Sink
from headrace.services.idempotency import HEADER as IDEMPOTENCY_HEADER
from headrace.services.idempotency import Idempotency
from headrace.services.identity import Identity
from headrace.services.limits import Limits
from headrace.services.planning import Planner
from headrace.services.reply_headers import routing_headers
from headrace.services.response_cache import CACHE_CONTROL, ResponseCache
from headrace.services.responses import Responses
from headrace.services.shadows import Shadows
from headrace.services.snapshots import Snapshots
from headrace.services.turn import run_turn
from headrace.services.turn_parts import TurnParts
from headrace.wire.affinity import AFFINITY, SWITCH_SPEND, affinity_of, switch_spend_of
from headrace.wire.dialect_errors import error_body, error_frame
from headrace.wire.dialect_headers import passed_headers
from headrace.wire.fallbacks import HEADER as FALLBACK_HEADER
from headrace.wire.fallbacks import may_substitute, take_fallbacks
from headrace.wire.json_strict import decode_object
from headrace.wire.routing_preference import take_preference
from headrace.wire.tags import HEADER as TAGS_HEADER
from headrace.wire.tags import tags_of

Pin: TypeAlias = Callable[[Scope, Snapshot, Caller, JsonObject], None]


@dataclass(frozen=True, slots=True)
class InferenceParts:
    """What the hot routes work with."""

    turn: TurnParts
    snapshots: Snapshots
    identity: Identity
    limits: EdgeLimits
    offload: Offload
    responses: Responses
    idempotency: Idempotency
    rates: Limits
    cache: ResponseCache
    planner: Planner
    shadows: Shadows


class InferenceEndpoint:
    """Serves one hot route; every request gets one reply: a turn's, or one error.

    `pin` decides the model of each request in the place of its body.
    """

    def __init__(self, parts: InferenceParts, route: HotRoute, pin: Pin | None = None) -> None:
        self._parts = parts
        self._route = route
        self._pin = pin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        sink = AsgiSink(receive, send, self._parts.turn.ids.new("req"), link_of(scope))
        request = _Request(self._parts, self._route, scope, sink, self._pin)
        await request.serve(receive)


class _Request:
    def __init__(
        self, parts: InferenceParts, route: HotRoute, scope: Scope, sink: AsgiSink, pin: Pin | None = None
    ) -> None:
        self._parts = parts
        self._route = route
        self._pin = pin
        self._scope = scope
        self._sink = sink
        self._out: Sink = sink
        self._call: Call | None = None
        self._asked: Asked | None = None
        self._standing = parts.rates.unlimited
        self._decision: Decision | None = None
        self._began = parts.turn.clock.monotonic()

    async def serve(self, receive: Receive) -> None:
        error = await failure_of(self._work(receive), self._sink)
        if error is not None:
            await self._refuse(error)
        self._note(error)

    async def _work(self, receive: Receive) -> None:
        snapshot = self._parts.snapshots.current()
        self._call = await self._admit(receive, snapshot)
        await self._run_turn(self._call, snapshot)

    async def _admit(self, receive: Receive, snapshot: Snapshot) -> Call:
        parts, scope = self._parts, self._scope
        check_host(scope, parts.limits)
        caller = identify(scope, snapshot, parts.identity)
        self._standing = parts.rates.standing(caller, self._route.dialect)
        self._sink.more_headers = self._standing.headers
        check_json(scope)
        name = parts.idempotency.check(headers_named(scope, IDEMPOTENCY_HEADER))
        body = await read_body(scope, receive, parts.limits.max_body_bytes)
        is_large = len(body) > OFFLOAD_BYTES
        fields = await parts.offload.run(decode_object, body) if is_large else decode_object(body)
        if name is not None:
            digest = await parts.offload.run(_digest, body) if is_large else _digest(body)
            self._asked = Asked(caller.key_id, str(scope["path"]), name, digest, self._sink.request_id)
        if self._pin is not None:
            self._pin(scope, snapshot, caller, fields)
        fallbacks, preference = take_fallbacks(fields), take_preference(fields)
        return Call(
            request_id=self._sink.request_id,
            operation=self._route.operation,
            caller=caller,
            envelope=self._route.read_envelope(fields, len(body)),
            body=fields,
            received_at_micros=parts.turn.clock.unix_micros(),
            dialect=self._route.dialect,
            tags=tags_of(headers_named(scope, TAGS_HEADER), fields),
            fallbacks=fallbacks,
            may_substitute=may_substitute(headers_named(scope, FALLBACK_HEADER)),
            passed_headers=passed_headers(self._route.dialect, functools.partial(headers_named, scope)),
            affinity=affinity_of(headers_named(scope, AFFINITY)),
            switch_spend_ppm=switch_spend_of(headers_named(scope, SWITCH_SPEND)),
            routing_preference=preference,
        )

    async def _run_turn(self, call: Call, snapshot: Snapshot) -> None:
        turn = asyncio.current_task()
        if turn is None:
            raise AssertionError("a request runs in a task")
        watch = self._sink.watch(turn)
        try:
            run = functools.partial(self._converse, call, snapshot)
            if self._asked is None:
                await run(self._sink)
            else:
                await self._parts.idempotency.serve(self._asked, self._sink, run)
        finally:
            watch.end()

    async def _converse(self, call: Call, snapshot: Snapshot, sink: Sink) -> None:
        if call.dialect is Dialect.RESPONSES:
            self._out = out = self._parts.responses.sink(call, sink)
            await self._parts.responses.serve(call, out, functools.partial(self._plan_and_run, snapshot))
        else:
            await self._plan_and_run(snapshot, call, sink)

    async def _plan_and_run(self, snapshot: Snapshot, call: Call, sink: Sink) -> None:
        planned = await self._parts.planner.plan(call, snapshot, self._standing.require_room)
        self._decision = planned.decision
        with self._standing.admit(call, planned) as plan:
            run = functools.partial(self._answer, call, plan)
            if call.caller.cache_seconds is None:
                await run(sink)
                return
            wishes = headers_named(self._scope, CACHE_CONTROL)
            await self._parts.cache.serve(call, plan, wishes, sink, run)

    async def _answer(self, call: Call, plan: Plan, sink: Sink) -> None:
        await run_turn(self._parts.turn, call, plan, self._parts.shadows.over(call, plan, sink))

    async def _refuse(self, error: HeadraceError) -> None:
        sink = self._sink
        if sink.gone or sink.ended:
            return
        if sink.started:
            is_sound = self._route.operation is Operation.SPEECH
            await self._out.break_off(b"" if is_sound else error_frame(self._route.dialect, error, sink.request_id))
        else:
            decided = () if self._decision is None else routing_headers(self._decision)
            headers = (*error_headers(error), *(error.told or decided))
            await sink.reply(error.status, headers, error_body(self._route.dialect, error, sink.request_id))

    def _note(self, error: HeadraceError | None) -> None:
        sink, call = self._sink, self._call
        self._parts.turn.observer.request_ended(
            RequestEnd(
                request_id=sink.request_id,
                method="POST",
                route=self._route.path,
                status=499 if sink.gone else sink.status,
                duration_seconds=self._parts.turn.clock.monotonic() - self._began,
                key_id=None if call is None else call.caller.key_id,
                model=None if call is None else call.envelope.model,
                error_code=sink.departure or (None if error is None else error.code),
                detail=None if error is None else error.detail,
            )
        )


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
