"""Shadow sampling: a share of a router's requests is answered by a reference model too, after the caller was answered.

The caller's reply is passed on as it comes, and nothing waits for the shadow: a background task of its own, of which
few run at once, none while the process ends. What it may cost in a day is reserved before it is asked. It is a turn of
the operator's that names a model, so it is never shadowed itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from headrace.domain.access import OPERATOR_ACCOUNT, Caller, Role
from headrace.domain.call import NO_MEDIA, Call, Operation
from headrace.domain.catalog import Capability
from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Plan
from headrace.domain.router import Router, Shadow
from headrace.domain.shadow import ShadowAnswer, is_sampled
from headrace.domain.snapshot import Snapshot
from headrace.ports.ledger import Receipts
from headrace.ports.routing import Decisions, RoutedRequest, ShadowStore
from headrace.ports.sink import Sink
from headrace.ports.stores import Blobs
from headrace.services.metering import bound_of
from headrace.services.resolve import plan_call
from headrace.services.shadow_sink import LoneSink, OverhearingSink
from headrace.services.tasks import Tasks
from headrace.services.turn import run_turn
from headrace.services.turn_parts import TurnParts
from headrace.wire.transcript import answered_text, asked_text

KEY, TAG, BLOB = "shadow", "shadow", "shadow"
MOST_RUNNING = 4
DAY_MICROS = 86_400_000_000
_CALLER = Caller(KEY, KEY, OPERATOR_ACCOUNT, Role.KEY, None)
# What is answered by a tool call, or asked with more than words, is not compared as text.
_NOT_TEXT = frozenset(
    {Capability.TOOLS, Capability.TOOL_CHOICE, Capability.IMAGE_INPUT, Capability.AUDIO_INPUT, Capability.FILE_INPUT}
)


class ShadowTexts(msgspec.Struct, frozen=True):
    """What is kept of a pair to be compared: the conversation, the router's answer, the reference's."""

    asked: str
    answer: str
    reference: str


@dataclass(frozen=True, slots=True)
class ShadowParts:
    """What shadows work with; all of it lives as long as the process. Answers are kept for so many days.

    `current` returns the snapshot in force.
    """

    turn: TurnParts
    current: Callable[[], Snapshot]
    store: ShadowStore
    blobs: Blobs
    decisions: Decisions
    receipts: Receipts
    tasks: Tasks
    keep_days: int


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A request that was answered and is to be answered again."""

    call: Call
    router: Router
    shadow: Shadow
    content: bytes


class Shadows:
    """Samples requests and has them answered by their router's reference model."""

    def __init__(self, parts: ShadowParts) -> None:
        self._parts = parts
        self._running: set[asyncio.Task[None]] = set()
        self._is_stopped = False

    def over(self, call: Call, plan: Plan, sink: Sink) -> Sink:
        """Return the sink to answer a call into: the very same one, unless the call is sampled."""
        if plan.decision is None or self._is_stopped:
            return sink
        router = self._parts.current().routers.get(plan.decision.router)
        shadow = None if router is None else router.shadow
        if router is None or shadow is None or not _is_text(call) or not is_sampled(call.request_id, shadow.share):
            return sink
        return OverhearingSink(sink, self._begin(call, router, shadow))

    @property
    def running(self) -> frozenset[asyncio.Task[None]]:
        """Those that run."""
        return frozenset(self._running)

    def stop(self) -> None:
        """Begin none any more and end those that run; what they have used is booked."""
        self._is_stopped = True
        for task in self._running:
            task.cancel()

    def _begin(self, call: Call, router: Router, shadow: Shadow) -> Callable[[bytes], None]:
        def begin(content: bytes) -> None:
            if self._is_stopped or len(self._running) >= MOST_RUNNING:
                return
            task = self._parts.tasks.start("shadow", self._run(_Sampled(call, router, shadow, content)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        return begin

    async def _run(self, sampled: _Sampled) -> None:
        parts = self._parts
        routed = await parts.decisions.get(sampled.call.request_id)
        if routed is None or routed.served_by is None:
            return
        call = _asked(sampled, parts.turn.ids.new("req"))
        try:
            plan = _of_one(plan_call(call, parts.current()))
        except HeadraceError as error:
            answer = self._answer(sampled, routed, call, 0)
            if await self._reserve(answer, sampled.shadow):
                await parts.store.finish(answer.request_id, 0, error.code)
            return
        if plan.targets[0].model.id != routed.served_by:
            await self._ask(sampled, routed, call, plan)

    async def _ask(self, sampled: _Sampled, routed: RoutedRequest, call: Call, plan: Plan) -> None:
        parts, sink, failure = self._parts, LoneSink(), None
        answer = self._answer(sampled, routed, call, self._bound(call, plan), plan.targets[0].model.id)
        if not await self._reserve(answer, sampled.shadow):
            return
        try:
            await run_turn(parts.turn, call, plan, sink)
        except HeadraceError as error:
            failure = error.code
        receipt = await parts.receipts.get(call.request_id, None)
        cost = 0 if receipt is None else receipt.cost_nano
        if failure is None:
            failure = await self._keep(sampled, answer, sink.content)
        await parts.store.finish(answer.request_id, cost, failure)

    async def _keep(self, sampled: _Sampled, answer: ShadowAnswer, content: bytes | None) -> str | None:
        """Keep both answers sealed; returns why there is nothing to compare."""
        call, stream = sampled.call, sampled.call.envelope.stream
        texts = ShadowTexts(
            asked_text(call.body),
            answered_text(call.dialect, sampled.content, stream=stream),
            answered_text(call.dialect, content or b"", stream=stream),
        )
        if not texts.answer or not texts.reference:
            return "nothing_to_compare"
        expires = answer.made_at_micros + self._parts.keep_days * DAY_MICROS
        owner = blob_owner(answer.router_uuid)
        await self._parts.blobs.put(owner, BLOB, answer.request_id, msgspec.json.encode(texts), expires)
        return None

    async def _reserve(self, answer: ShadowAnswer, shadow: Shadow) -> bool:
        day = answer.made_at_micros - answer.made_at_micros % DAY_MICROS
        return await self._parts.store.begin(answer, day, shadow.max_nano_per_day)

    def _bound(self, call: Call, plan: Plan) -> int:
        target = plan.targets[0]
        prepared = self._parts.turn.adapters[target.adapter].prepare(call, target)
        return bound_of(call, target.in_service_tier(prepared.service_tier), len(prepared.body)).amount_nano

    def _answer(
        self, sampled: _Sampled, routed: RoutedRequest, call: Call, amount_nano: int, reference: str | None = None
    ) -> ShadowAnswer:
        return ShadowAnswer(
            request_id=sampled.call.request_id,
            shadow_request_id=call.request_id,
            router_uuid=sampled.router.uuid,
            route=routed.decision.route,
            served_by=routed.served_by or "",
            reference=reference or sampled.shadow.model,
            made_at_micros=self._parts.turn.clock.unix_micros(),
            amount_nano=amount_nano,
        )


def blob_owner(router_uuid: str) -> str:
    """Return whose the kept texts of a router are."""
    return f"router:{router_uuid}"


def _is_text(call: Call) -> bool:
    envelope = call.envelope
    return (
        call.operation is Operation.CHAT
        and envelope.choices == 1
        and envelope.media is NO_MEDIA
        and not envelope.needs & _NOT_TEXT
    )


def _asked(sampled: _Sampled, request_id: str) -> Call:
    """The call as the operator asks it of the reference model."""
    call = sampled.call
    return replace(
        call,
        request_id=request_id,
        caller=_CALLER,
        envelope=replace(call.envelope, model=sampled.shadow.model),
        tags=(TAG,),
        fallbacks=(),
        may_substitute=False,
        affinity=None,
        switch_spend_ppm=None,
        routing_preference=None,
    )


def _of_one(plan: Plan) -> Plan:
    """The plan without any second target: what it may cost is reserved for one."""
    return replace(plan, targets=plan.targets[:1])
