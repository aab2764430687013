"""`POST /v1/routing/decisions`: who would serve a request, and why, without calling anybody."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from headrace.domain.call import Call, Dialect, Envelope, Operation
from headrace.domain.json_value import JsonObject
from headrace.domain.plan import Plan
from headrace.http.edge import OFFLOAD_BYTES, check_json, headers_named, read_body, speaks_messages
from headrace.http.hot_routes import ReadEnvelope
from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.ports.ambient import Clock, Offload
from headrace.services.limits import Limits
from headrace.services.responses import Responses
from headrace.services.route_questions import RouteQuestions
from headrace.services.snapshots import Snapshots
from headrace.wire import anthropic_messages, openai_chat, openai_responses
from headrace.wire.affinity import AFFINITY, SWITCH_SPEND, affinity_of, switch_spend_of
from headrace.wire.decision_json import decision_object
from headrace.wire.decision_question import take_dialect, take_draft
from headrace.wire.fallbacks import take_fallbacks
from headrace.wire.json_strict import decode_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_decisions import RoutingDecision, RoutingQuestion
from headrace.wire.rate_headers import NAMES
from headrace.wire.routing_preference import take_preference

PATH = "/v1/routing/decisions"
ENTRY = Entry(
    "Says who would serve a request and why, without calling anybody; costs nothing",
    RoutingDecision,
    RoutingQuestion,
    fails=(403, 404, 409, 429),
    sends=NAMES,
    reads=("x-model-affinity", "x-routing-max-switch-spend-pct"),
)
_READERS: Mapping[Dialect, ReadEnvelope] = MappingProxyType(
    {
        Dialect.CHAT: openai_chat.read_envelope,
        Dialect.MESSAGES: anthropic_messages.read_translated_envelope,
        Dialect.RESPONSES: openai_responses.read_envelope,
    }
)


@dataclass(frozen=True, slots=True)
class DecisionParts:
    """What questions about routing are answered with; `rates` count them as requests."""

    questions: RouteQuestions
    rates: Limits
    responses: Responses
    snapshots: Snapshots
    clock: Clock
    max_body_bytes: int
    offload: Offload | None


class RoutingDecisions:
    """Answers questions about routing."""

    def __init__(self, parts: DecisionParts) -> None:
        self._parts = parts

    async def decide(self, request: Request) -> Reply:
        """Answer one question."""
        parts, snapshot = self._parts, self._parts.snapshots.current()
        check_json(request.scope)
        body = await read_body(request.scope, request.receive, parts.max_body_bytes)
        if parts.offload is not None and len(body) > OFFLOAD_BYTES:
            fields = await parts.offload.run(decode_object, body)
        else:
            fields = decode_object(body)
        draft = take_draft(fields)
        call = await self._call(request, fields, len(body))
        standing = parts.rates.standing(request.who, call.dialect)
        # It takes no tokens of anybody's: its prompt is read here and sent nowhere.
        free = replace(call, envelope=replace(call.envelope, prompt_tokens=0))
        with standing.admit(free, Plan(call.envelope.model, ())):
            decision = await parts.questions.answer(call, draft, snapshot)
        return json_reply(decision_object(decision), headers=standing.headers())

    async def _call(self, request: Request, fields: JsonObject, body_bytes: int) -> Call:
        dialect = take_dialect(fields, speaks_messages=speaks_messages(request.scope))
        preference = take_preference(fields)
        take_fallbacks(fields)
        envelope: Envelope = _READERS[dialect](fields, body_bytes)
        if dialect is Dialect.RESPONSES:
            fields["input"] = await self._parts.responses.conversation(request.who, fields)
        headers = functools.partial(headers_named, request.scope)
        return Call(
            request_id=request.request_id,
            operation=Operation.CHAT,
            caller=request.who,
            envelope=envelope,
            body=fields,
            received_at_micros=self._parts.clock.unix_micros(),
            dialect=dialect,
            affinity=affinity_of(headers(AFFINITY)),
            switch_spend_ppm=switch_spend_of(headers(SWITCH_SPEND)),
            routing_preference=preference,
        )


def decision_routes(decisions: RoutingDecisions) -> tuple[RouteSpec, ...]:
    """Return the route."""
    return (RouteSpec("POST", PATH, decisions.decide, Audience.OWN, ENTRY),)
