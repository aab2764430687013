"""Plans with deployments: aliases and routers point at them, and what is paid already is weighed against tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.alias import Alias
from headrace.domain.dedicated import Deployment, Standing, WhenAsleep
from headrace.domain.router import Policy, Preference, Router, RoutingPreference
from headrace.domain.routing import Decision, PromptFigures
from headrace.domain.snapshot import Snapshot
from headrace.services.alias_rules import WantedAlias, check_wanted
from headrace.services.deployed import with_deployments
from headrace.services.overflowing import Overflowing
from headrace.services.planning import Planner
from headrace.services.replaying import Ground, rerank
from headrace.services.route_figures import RouteFigures
from tests.fakes.deployed import a_deployment, a_wanted
from tests.fakes.planning import REFUND, PlanningWorld, ids
from tests.fakes.routed import a_request, a_routing

pytestmark = pytest.mark.anyio
# Both the twin's tokens and the deployment are in the pool.
POOL = Policy(REFUND.task, ("cheap", "prod-llm"), Preference.CHEAPEST)
TWINS = Router("u1", "support", "", (POOL,), ("spare",))


class DedicatedPlanning(PlanningWorld):
    """Planning beside deployments whose standing a test sets."""

    def __init__(self, *deployments: Deployment, router: Router = TWINS) -> None:
        super().__init__(router)
        self.standings: dict[str, Standing] = {}
        self.woken: list[str] = []
        overflowing = Overflowing(self.standings.get, lambda each: self.woken.append(each.name))
        self.planner = Planner(replace(self.planner.knowledge, overflowing=overflowing))
        self.snapshot: Snapshot = with_deployments(
            self.snapshot, deployments or (a_deployment(a_wanted(model="cheap")),)
        )

    async def told(self) -> tuple[list[str], Decision]:
        """The plan's models, and the decision, of a call that is in no session."""
        call = replace(self.call(), affinity="none")
        plan = await self.plan(call)
        assert plan.decision is not None
        return ids(plan), plan.decision


async def test_a_paid_replica_goes_before_tokens_until_its_queue_makes_it_dearer() -> None:
    world = DedicatedPlanning()
    world.standings["dep_1"] = Standing(ready=1, in_flight=1)
    order, decision = await world.told()
    assert order == ["prod-llm", "cheap", "spare"]
    first = decision.targets[0]
    assert (first.code, first.expected_cost_nano) == ("cheapest", 0)
    assert first.reason == "expected to cost $0.000000000 (already paid: 1 of 2 slots free)"
    world.standings["dep_1"] = Standing(ready=1, in_flight=2, waiting=1)
    order, decision = await world.told()
    assert order == ["cheap", "prod-llm", "spare"]
    assert decision.targets[1].reason.endswith("(busy: all 2 slots taken, 1 waiting)")


async def test_asleep_it_is_dearer_than_tokens_and_nobody_wakes_it() -> None:
    world = DedicatedPlanning()
    order, decision = await world.told()
    assert order == ["cheap", "prod-llm", "spare"]
    assert decision.targets[1].reason.endswith("(asleep: a replica would be paid for 30 s to wake and 600 s to stay)")
    assert world.woken == []
    cheap = decision.targets[0].expected_cost_nano
    assert decision.reference_nano == 2 * (cheap or 0), "the spare's tokens, and not what waking would cost"


@pytest.mark.parametrize("standing", [Standing(ready=1, in_flight=2, waiting=3), Standing()])
async def test_a_session_leaves_a_deployment_whose_queue_or_waking_is_dearer_than_tokens(standing: Standing) -> None:
    world = DedicatedPlanning()
    world.standings["dep_1"] = Standing(ready=1)
    call = replace(world.call(), affinity="s1")
    world.served(call, await world.plan(call))
    world.standings["dep_1"] = Standing(ready=1, in_flight=1)
    assert ids(await world.plan(replace(world.call(), affinity="s1")))[0] == "prod-llm"
    world.standings["dep_1"] = standing
    plan = await world.plan(replace(world.call(), affinity="s1"))
    assert ids(plan) == ["cheap", "prod-llm", "spare"]
    assert plan.decision is not None
    assert plan.decision.switch is not None
    assert plan.decision.switch.is_forced


async def test_what_a_router_ranked_is_not_put_in_another_order() -> None:
    sleeper = a_deployment(a_wanted("cheap", when_asleep=WhenAsleep.OVERFLOW, model="cheap"))
    as_written = replace(TWINS, policies=(replace(POOL, models=("prod-llm", "cheap"), prefer=Preference.NONE),))
    world = DedicatedPlanning(sleeper, router=as_written)
    order, decision = await world.told()
    assert order == ["prod-llm", "cheap", "spare"] == [each.model_id for each in decision.targets]


async def test_what_a_router_left_out_is_arranged_where_the_caller_names_it() -> None:
    sleeper = a_deployment(a_wanted("middle", when_asleep=WhenAsleep.OVERFLOW, model="cheap"))
    world = DedicatedPlanning(sleeper, router=replace(TWINS, max_cost_nano=1_000_000))
    call = replace(world.call(), affinity="none", fallbacks=("prod-llm",))
    plan = await world.plan(call)
    assert ids(plan) == ["cheap", "spare", "middle", "prod-llm"]
    assert [(each.model_id, each.code) for each in plan.excluded] == [
        ("prod-llm", "over_max_cost"),
        ("prod-llm", "deployment_asleep"),
    ]


async def test_the_managed_router_tells_what_is_paid() -> None:
    world = DedicatedPlanning()
    world.standings["dep_1"] = Standing(ready=1)
    call = replace(world.call(model="inference-router"), routing_preference=RoutingPreference.BUDGET)
    decision = await world.decide(call)
    assert decision.targets[0].model_id == "prod-llm"
    assert decision.targets[0].reason.endswith("$0.000000000 (already paid: 2 of 2 slots free)")


async def test_an_alias_moves_from_tokens_to_a_deployment_to_a_router() -> None:
    world = DedicatedPlanning(a_deployment(a_wanted("spare", model="cheap")))
    world.standings["dep_1"] = Standing(ready=1)
    found: list[list[str]] = []
    for points_to in ("cheap", "prod-llm", "router:support"):
        check_wanted(WantedAlias("app", points_to), world.snapshot)
        world.snapshot = replace(world.snapshot, aliases={"app": Alias("app", points_to, (), 1, 1)})
        found.append(ids(await world.plan(world.call(model="app"))))
    assert found == [["cheap"], ["prod-llm", "spare"], ["prod-llm", "cheap", "spare"]]


async def test_a_deployment_that_is_named_is_arranged_without_a_router() -> None:
    world = DedicatedPlanning(a_deployment(a_wanted("spare", when_asleep=WhenAsleep.OVERFLOW, model="cheap")))
    assert ids(await world.plan(world.call(model="prod-llm"))) == ["spare", "prod-llm"]
    assert world.woken == ["prod-llm"]


def test_a_replay_takes_a_deployment_as_awake_for_nothing_more_is_known_of_then() -> None:
    world = DedicatedPlanning()
    routed = a_request("req_1", a_routing("refund"))
    ground = Ground(world.snapshot, RouteFigures())
    figures = PromptFigures(0.0, 50.0)
    found = rerank(routed, figures, RoutingPreference.BUDGET, ("cheap", "prod-llm"), ground)
    assert found.chosen == "prod-llm"
    assert found.choosable["prod-llm"].cost_nano == 0
