"""A planner over routers in memory, with all that deciding draws on."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from headrace.domain.call import Call
from headrace.domain.catalog import AVAILABLE, Listed, Model
from headrace.domain.json_value import JsonValue
from headrace.domain.plan import Plan, Target
from headrace.domain.price import PriceVersion
from headrace.domain.router import Policy, Preference, Presets, Router, Task
from headrace.domain.routing import Decision
from headrace.domain.snapshot import Snapshot
from headrace.domain.usage import Usage
from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.services.affinity import Affinity
from headrace.services.health import TargetHealth
from headrace.services.planning import Knowledge, Planner
from headrace.services.route_figures import RouteFigures
from headrace.services.router_tasks import routers_by_name, task_sets
from headrace.testing.clock import FakeClock
from tests.fakes.nouns import PROVIDER, a_model, a_price, call_of
from tests.fakes.scorer import NamingScorer

OTHER = replace(PROVIDER, name="other")
REFUND = Policy(Task("refund", "A customer wants money back.", ("I want a refund.",)), ("dear", "cheap"))
DEFECT = Policy(Task("defect", "Something is broken."), ("cheap", "middle"), Preference.FASTEST)
SUPPORT = Router("u1", "support", "", (REFUND, DEFECT), ("spare", "cheap"))
PRICES = {"dear": 100_000, "middle": 5_000, "cheap": 1_000, "spare": 2_000}


def priced(name: str, **fields: Any) -> Listed:
    rate = PRICES.get(name, 1_000)
    return Listed(replace(a_model(name), **fields), a_price(input_pico=rate, output_pico=4 * rate), AVAILABLE)


def listed(model: Model, price: PriceVersion | None = None) -> Listed:
    return Listed(model, price or a_price(), AVAILABLE)


class PlanningWorld:
    """A process's memory of routing under a clock of its own, and a snapshot with the router "support"."""

    def __init__(self, *routers: Router, entries: tuple[Listed, ...] | None = None) -> None:
        self.clock = FakeClock()
        self.scorer = NamingScorer()
        self.affinity = Affinity(self.clock, lambda content: hashlib.sha256(content).hexdigest())
        self.health = TargetHealth()
        self.figures = RouteFigures()
        self.planner = Planner(Knowledge(self.scorer, self.affinity, self.health, self.figures, self.clock))
        models: dict[str, tuple[Listed, ...]] = {}
        for each in entries or tuple(priced(name) for name in PRICES):
            models[each.model.id] = (*models.get(each.model.id, ()), each)
        known = routers_by_name(routers or (SUPPORT,), Presets())
        self.snapshot = Snapshot(
            1,
            models,
            {"acme": PROVIDER, "other": OTHER},
            {},
            routers=known,
            task_sets=task_sets(known, Presets(), ()),
        )
        self._calls = 0

    def call(self, text: str = "a refund", model: str = "router:support", **fields: JsonValue) -> Call:
        """A call whose user says this."""
        self._calls += 1
        body: dict[str, JsonValue] = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return replace(call_of(body), request_id=f"req_{self._calls}")

    async def plan(self, call: Call | None = None) -> Plan:
        return await self.planner.plan(call or self.call(), self.snapshot)

    async def decide(self, call: Call | None = None) -> Decision:
        """What the first router decides, as the plan carries it."""
        decision = (await self.plan(call)).decision
        assert decision is not None
        return decision

    def served(self, call: Call, plan: Plan, model: str | None = None, usage: Usage | None = None) -> None:
        """The plan's first target answered, or another one."""
        target = next(each for each in plan.targets if model in (None, each.model.id))
        self.attempt(call, target, usage or Usage(input_fresh=1_000, output_text=50))
        self.affinity.request_ended(RequestEnd(call.request_id, "POST", "/v1/chat/completions", 200, 0.2))

    def attempt(self, call: Call, target: Target, usage: Usage) -> None:
        """One attempt was settled."""
        names = (target.model.id, target.provider.name)
        end = AttemptEnd(call.request_id, "att", "chat", *names, "complete", None, 0.1, 0.2, usage, 1, 1)
        self.affinity.attempt_ended(end)
        self.figures.attempt_ended(end)


def ids(plan: Plan) -> list[str]:
    """The models of a plan in order."""
    return [each.model.id for each in plan.targets]
