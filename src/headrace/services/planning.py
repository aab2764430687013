"""Planning: from a call to its plan, with what the routers that it names decide; the only waiting is for the scorer.

A call that names no router is resolved without waiting for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from headrace.domain.call import Call
from headrace.domain.catalog import Listed, ModelKind
from headrace.domain.conversation import Conversation
from headrace.domain.errors import CallerError, InvalidRequest
from headrace.domain.health import Resting
from headrace.domain.plan import Plan, Routing, Target
from headrace.domain.router import MANAGED_ROUTER, PREFIX, Preference, Router, RoutingPreference
from headrace.domain.routing import TaskSet
from headrace.domain.session import Choice, Offer, placement_of
from headrace.domain.snapshot import Snapshot
from headrace.domain.switching import Placement
from headrace.ports.ambient import Clock
from headrace.ports.routing import PromptScorer
from headrace.services.affinity import Affinity, Held
from headrace.services.choosing import Asked, fallen_back, nobody_can, ranked, sift
from headrace.services.deciding import FALLBACK, Weighed, decided, shortened, targets_of
from headrace.services.health import TargetHealth
from headrace.services.managed import rank_managed
from headrace.services.metering import prompt_estimate
from headrace.services.overflowing import Overflowing
from headrace.services.reading import Reading, read_figures, read_task
from headrace.services.reply_headers import routing_headers
from headrace.services.resolve import plan_call, routers_named
from headrace.services.route_figures import RouteFigures
from headrace.wire.conversation import conversation_of

# What an answer is taken to need where the prompt was not read.
UNREAD_OUTPUT_TOKENS = 300.0
# Of all live models the managed router asks so many, and tells of so many that cannot serve.
MOST_MANAGED = 8
MOST_LEFT_OUT = 16
MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What deciding draws on beside the snapshot: all of it lives as long as the process.

    `overflowing` knows how deployments stand.
    """

    scorer: PromptScorer
    affinity: Affinity
    health: TargetHealth
    figures: RouteFigures
    clock: Clock
    overflowing: Overflowing = field(default_factory=Overflowing)


@dataclass(frozen=True, slots=True)
class Routed:
    """What a router decided for a call, and what its session is told when the call really goes out.

    `output_tokens` is the predicted length of the answer, None where the prompt was not read.
    """

    routing: Routing
    held: Held | None
    choice: Choice
    output_tokens: float | None


@dataclass(frozen=True, slots=True)
class _Visit:
    """A call at a router: what was said, whose session it is, and when deciding began."""

    call: Call
    snapshot: Snapshot
    conversation: Conversation
    held: Held | None
    began: float


class Planner:
    """Makes plans; deciding alone changes nothing, so it may be asked for what would be."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._known = knowledge

    @property
    def knowledge(self) -> Knowledge:
        """What it decides by."""
        return self._known

    async def plan(self, call: Call, snapshot: Snapshot, require_room: Callable[[Call], None] | None = None) -> Plan:
        """Return where the call may go; raises the error that explains why it can go nowhere.

        The decision in the plan is that of the router that the call names first. `require_room` is asked before a
        prompt is read, and raises for a call that its caller's limits refuse anyway.
        """
        names = routers_named(call, snapshot)
        check_preference(call, names)
        helps = self._known.overflowing.helps
        if not names:
            return self._arranged(plan_call(call, snapshot, helps=helps), snapshot)
        if require_room is not None:
            require_room(call)
        routed = {name: await self.route(name, call, snapshot) for name in names}
        try:
            plan = plan_call(call, snapshot, {name: each.routing for name, each in routed.items()}, helps)
        except CallerError as error:
            error.told = routing_headers(routed[names[0]].routing.decision)
            raise
        self._note(call, routed[names[0]])
        return self._arranged(plan, snapshot)

    def _arranged(self, plan: Plan, snapshot: Snapshot) -> Plan:
        return self._known.overflowing.arranged(plan, snapshot) if snapshot.deployments else plan

    async def route(self, name: str, call: Call, snapshot: Snapshot) -> Routed:
        """Return what a router of the snapshot decides for the call."""
        router = None if name == MANAGED_ROUTER else snapshot.routers[name.removeprefix(PREFIX)]
        visit = self._visit(call, snapshot, MANAGED_ROUTER if router is None else router.name)
        if router is None:
            return await self._by_worth(visit)
        return await self._by_task(visit, router, snapshot.task_sets[router.name])

    async def draft(self, router: Router, tasks: TaskSet, call: Call, snapshot: Snapshot) -> Routed:
        """Return what a router would decide for the call that is in no snapshot; it has no sessions."""
        return await self._by_task(self._visit(call, snapshot, None), router, tasks)

    def _visit(self, call: Call, snapshot: Snapshot, router: str | None) -> _Visit:
        began = self._known.clock.monotonic()
        conversation = conversation_of(call.dialect, call.body, prompt_estimate(call))
        held = None if router is None else self._known.affinity.find(call, router, conversation)
        return _Visit(call, snapshot, conversation, held, began)

    async def _by_task(self, visit: _Visit, router: Router, tasks: TaskSet) -> Routed:
        reading = await read_task(self._known.scorer, router, tasks, visit.conversation, visit.held)
        asked = self._asked(visit, reading, router.max_cost_nano)
        policy = None if reading.route is None else router.policy_of(reading.route)
        pool = sift(() if policy is None else policy.models, asked, visit.snapshot)
        known = frozenset(each.target.model.id for each in pool.candidates)
        rest = sift(router.fallbacks, asked, visit.snapshot, known | {each.model_id for each in pool.left_out})
        prefer = Preference.NONE if policy is None or policy.prefer is None else policy.prefer
        weighed = Weighed(
            router=router.name,
            policy=FALLBACK if policy is None else prefer.value,
            pool=ranked(pool.candidates, prefer),
            fallbacks=fallen_back(rest.candidates),
            left_out=(*pool.left_out, *rest.left_out),
        )
        return self._decided(visit, reading, weighed)

    async def _by_worth(self, visit: _Visit) -> Routed:
        reading = await read_figures(self._known.scorer, visit.conversation, visit.held)
        sifted = sift(live_models(visit.snapshot), self._asked(visit, reading, None), visit.snapshot)
        preference = visit.call.routing_preference or RoutingPreference.BALANCED
        order = rank_managed(sifted.candidates, reading.figures, preference)
        left_out = tuple(sifted.left_out[:MOST_LEFT_OUT])
        weighed = Weighed(MANAGED_ROUTER, preference.value, order, (), left_out, MOST_MANAGED)
        return self._decided(visit, reading, weighed)

    def _asked(self, visit: _Visit, reading: Reading, max_cost_nano: int | None) -> Asked:
        held, now, figures = visit.held, self._known.clock.monotonic(), self._known.figures
        session = None if held is None else held.session
        return Asked(
            call=visit.call,
            output_tokens=UNREAD_OUTPUT_TOKENS if reading.figures is None else reading.figures.output_tokens,
            habits=lambda target, tokens: figures.habits(target.model.id, target.provider.name, tokens),
            warm_tokens=lambda target: 0 if session is None else session.warm_tokens(placement_of(target), now),
            max_cost_nano=max_cost_nano,
            standing=self._known.overflowing.standing,
        )

    def _decided(self, visit: _Visit, reading: Reading, weighed: Weighed) -> Routed:
        known, now = self._known, self._known.clock.monotonic()

        def rests(target: Target) -> Resting | None:
            return known.health.resting(target, now)

        pool, fallbacks = targets_of(weighed.pool), targets_of(weighed.fallbacks)
        if reading.route is None and not pool:
            pool, fallbacks = fallbacks, ()
        outpriced = _outpriced(weighed)

        def is_left(target: Target) -> bool:
            return placement_of(target) in outpriced or rests(target) is not None

        offer = Offer(reading.route, pool, fallbacks, is_left)
        choice = shortened(known.affinity.order(visit.held, offer), weighed.most)
        decision = replace(
            decided(reading, weighed, choice, rests),
            session=None if visit.held is None else visit.held.name,
            decided_micros=round((known.clock.monotonic() - visit.began) * MICROS),
        )
        routing = Routing(
            decision=decision,
            targets=choice.targets,
            excluded=tuple(each.excluded for each in weighed.left_out),
            problem=None if choice.targets else nobody_can(_written(weighed.router), weighed.left_out),
        )
        figures = reading.figures
        return Routed(routing, visit.held, choice, None if figures is None else figures.output_tokens)

    def _note(self, call: Call, routed: Routed) -> None:
        self._known.affinity.planned(call, routed.held, routed.choice)
        if routed.output_tokens is not None:
            cap = call.envelope.output_cap
            tokens = routed.output_tokens if cap is None else min(routed.output_tokens, float(cap))
            self._known.figures.predicted(call.request_id, tokens * call.envelope.choices)


def _outpriced(weighed: Weighed) -> frozenset[Placement]:
    """Return the deployments whose queue, or whose waking, costs more than whom the policy has first.

    No session stays with them: what a warm cache saves there is not counted in tokens.
    """
    behind = (*weighed.pool, *weighed.fallbacks)[1:]
    return frozenset(Placement(*each.candidate.place) for each in behind if each.candidate.is_unpaid)


def check_preference(call: Call, routers: Sequence[str]) -> None:
    """Raise InvalidRequest for a call that wants the managed router to prefer something and does not name it."""
    if call.routing_preference is not None and MANAGED_ROUTER not in routers:
        raise InvalidRequest(
            f'"routing_preference" is for "{MANAGED_ROUTER}" only: leave it out, or name that as the model. How a'
            " router of the operator's ranks its pools is its policies' to say.",
            param="routing_preference",
        )


def _written(router: str) -> str:
    return router if router == MANAGED_ROUTER else PREFIX + router


def live_models(snapshot: Snapshot) -> Iterator[str]:
    """Yield the chat models that can be called now, by whoever may."""
    for model_id, entries in snapshot.models.items():
        if any(_is_live(each) for each in entries):
            yield model_id


def _is_live(entry: Listed) -> bool:
    return entry.model.kind is ModelKind.CHAT and entry.availability.available and entry.price is not None
