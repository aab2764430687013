"""What a router would decide: for a router that there is, and for a draft."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.access import Role
from headrace.domain.errors import CallerError
from headrace.domain.router import RoutingPreference, Task
from headrace.domain.router_draft import PolicyDraft, RouterDraft
from headrace.services.route_questions import RouteQuestions
from tests.fakes.nouns import CALLER
from tests.fakes.planning import PlanningWorld

pytestmark = pytest.mark.anyio
DRAFT = RouterDraft(None, (PolicyDraft(("cheap", "dear"), custom_task=Task("refund", "Money back.")),), ("spare",))


def wordy(examples: int) -> RouterDraft:
    texts = tuple(f"example {number}" for number in range(examples // 2))
    tasks = [Task(name, "Words.", texts) for name in ("refund", "defect")]
    return replace(DRAFT, policies=tuple(PolicyDraft(("cheap",), custom_task=each) for each in tasks))


async def test_a_router_decides_and_learns_nothing_of_it() -> None:
    world = PlanningWorld()
    decision = await RouteQuestions(world.planner).answer(world.call(), None, world.snapshot)
    assert (decision.router, decision.route) == ("support", "refund")
    call = replace(world.call(model="inference-router"), routing_preference=RoutingPreference.QUALITY)
    assert (await RouteQuestions(world.planner).answer(call, None, world.snapshot)).policy == "quality"
    assert world.affinity.count == 0


async def test_a_draft_decides_as_it_would_once_it_is_saved() -> None:
    world = PlanningWorld()
    decision = await RouteQuestions(world.planner).answer(world.call(model="router:draft"), DRAFT, world.snapshot)
    assert (decision.router, decision.route, decision.session) == ("", "refund", None)
    assert [each.model_id for each in decision.targets] == ["cheap", "dear", "spare"]


@pytest.mark.parametrize(
    ("draft", "param", "code"),
    [
        (replace(DRAFT, policies=()), "router.policies", "invalid_request"),
        (replace(DRAFT, fallbacks=("nowhere",)), "router.fallback_models[0]", "model_not_found"),
        (wordy(100), "router", "draft_too_large"),
    ],
)
async def test_a_draft_that_could_not_be_is_refused(draft: RouterDraft, param: str, code: str) -> None:
    world = PlanningWorld()
    with pytest.raises(CallerError) as caught:
        await RouteQuestions(world.planner).answer(world.call(), draft, world.snapshot)
    assert (caught.value.param, caught.value.code) == (param, code)


async def test_the_operator_may_ask_with_a_draft_of_any_size() -> None:
    world = PlanningWorld()
    call = replace(world.call(), caller=replace(CALLER, role=Role.ADMIN))
    assert (await RouteQuestions(world.planner).answer(call, wordy(100), world.snapshot)).route == "refund"


@pytest.mark.parametrize("draft", [None, DRAFT])
async def test_a_preference_is_for_the_managed_router_only(draft: RouterDraft | None) -> None:
    world = PlanningWorld()
    call = replace(world.call(), routing_preference=RoutingPreference.BUDGET)
    with pytest.raises(CallerError) as caught:
        await RouteQuestions(world.planner).answer(call, draft, world.snapshot)
    assert caught.value.param == "routing_preference"


async def test_what_is_no_router_has_nothing_to_decide() -> None:
    world = PlanningWorld()
    with pytest.raises(CallerError, match='"cheap" is no router') as caught:
        await RouteQuestions(world.planner).answer(world.call(model="cheap"), None, world.snapshot)
    assert caught.value.param == "model"


async def test_what_nobody_can_serve_is_a_decision_too() -> None:
    world = PlanningWorld()
    call = replace(world.call(), caller=replace(CALLER, models=frozenset({"other"})))
    decision = await RouteQuestions(world.planner).answer(call, None, world.snapshot)
    assert (decision.route, decision.chosen) == ("refund", None)
    assert decision.reason.endswith("Nobody can serve it now.")
