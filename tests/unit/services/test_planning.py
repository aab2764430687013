"""From a call to its plan: what routers decide, by what they read, who can serve, and how the session stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.access import Caller, Role
from headrace.domain.alias import Alias
from headrace.domain.call import Call
from headrace.domain.catalog import Availability
from headrace.domain.errors import CallerError, InvalidRequest, RateLimited, UpstreamUnavailable
from headrace.domain.json_value import JsonValue
from headrace.domain.plan import Target
from headrace.domain.router import Policy, Preference, Presets, Router, RoutingPreference, Task
from headrace.domain.usage import Usage
from headrace.services.router_tasks import task_set
from tests.fakes.nouns import TOOL, a_credential, a_model, a_price
from tests.fakes.planning import PRICES, REFUND, SUPPORT, PlanningWorld, ids, listed, priced
from tests.fakes.scorer import FEATURES

pytestmark = pytest.mark.anyio
ONLY_CHEAP = Caller("k", "web", "shop", Role.KEY, frozenset({"cheap"}))
CHEAPEST = replace(SUPPORT, policies=(replace(REFUND, prefer=Preference.CHEAPEST),))
TOOL_TURNS: list[JsonValue] = [
    {"role": "user", "content": "a refund"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]},
    {"role": "tool", "tool_call_id": "c1", "content": "done"},
]


async def test_a_call_without_a_router_waits_for_nothing() -> None:
    world = PlanningWorld()
    planning = world.planner.plan(world.call(model="cheap"), world.snapshot)
    with pytest.raises(StopIteration) as caught:
        planning.send(None)
    plan = caught.value.value
    assert (ids(plan), plan.decision, world.scorer.read) == (["cheap"], None, [])


async def test_a_call_that_its_limits_refuse_is_not_read() -> None:
    world, asked = PlanningWorld(), list[Call]()

    def refuse(call: Call) -> None:
        asked.append(call)
        raise RateLimited("Wait.")

    with pytest.raises(RateLimited):
        await world.planner.plan(world.call(), world.snapshot, refuse)
    assert world.scorer.read == []
    await world.planner.plan(world.call(model="cheap"), world.snapshot, refuse)
    assert len(asked) == 1, "who names no router is asked when its plan is there"


async def test_a_matched_task_has_its_pool_then_the_fallback_models() -> None:
    world = PlanningWorld()
    plan = await world.plan()
    assert ids(plan) == ["dear", "cheap", "spare"]
    decision = plan.decision
    assert decision is not None
    assert (decision.router, decision.route, decision.basis, decision.policy) == (
        "support",
        "refund",
        "matched",
        "none",
    )
    assert (decision.score, decision.best, decision.runner_up, decision.closest_example) == (
        0.93,
        "refund",
        "defect",
        1,
    )
    assert [(each.model_id, each.rank, each.code) for each in decision.targets] == [
        ("dear", 1, "as_written"),
        ("cheap", 2, "as_written"),
        ("spare", 3, "fallback"),
    ]
    assert decision.reason == (
        'The prompt fits "refund" with a probability of 0.93. "dear" is the first of the pool that can serve.'
    )
    assert decision.features == FEATURES
    assert decision.figures is not None
    assert decision.reference_nano == decision.targets[0].expected_cost_nano
    assert (decision.session or "").startswith("implicit:")


async def test_the_cheapest_of_the_pool_comes_first() -> None:
    world = PlanningWorld(CHEAPEST)
    plan = await world.plan()
    assert ids(plan) == ["cheap", "dear", "spare"]
    assert plan.decision is not None
    assert (plan.decision.policy, plan.decision.targets[0].code) == ("cheapest", "cheapest")
    assert plan.decision.reason.endswith('"cheap" is the cheapest of 2 that can serve.')


async def test_the_fastest_comes_first_once_it_was_measured() -> None:
    world = PlanningWorld()
    call = world.call("a defect")
    first = await world.plan(call)
    assert ids(first) == ["cheap", "middle", "spare"]
    assert first.decision is not None
    assert first.decision.reason.endswith('"cheap" is the fastest of 2 that can serve.')
    world.served(call, first, "middle")
    again = await world.plan(replace(world.call("a defect"), affinity="none"))
    assert ids(again) == ["middle", "cheap", "spare"]
    assert again.decision is not None
    assert [each.code for each in again.decision.targets] == ["fastest", "unmeasured", "fallback"]


async def test_what_matches_no_task_goes_to_the_fallback_models() -> None:
    world = PlanningWorld()
    plan = await world.plan(world.call("maybe a refund"))
    assert ids(plan) == ["spare", "cheap"]
    decision = plan.decision
    assert decision is not None
    assert (decision.route, decision.basis, decision.policy, decision.score) == (None, "no_match", "fallback", 0.31)
    assert decision.reason == (
        'No task fits well enough: the likeliest is "refund", with a probability of 0.31. "spare" is the first fallback'
        " model that can serve."
    )


@pytest.mark.parametrize(("min_score", "text", "route"), [(0.3, "maybe a refund", "refund"), (0.95, "a refund", None)])
async def test_a_routers_own_score_replaces_the_calibrated_one(min_score: float, text: str, route: str | None) -> None:
    world = PlanningWorld(replace(SUPPORT, min_score=min_score))
    assert (await world.decide(world.call(text))).route == route


async def test_a_prompt_without_text_goes_to_the_fallback_models() -> None:
    world = PlanningWorld()
    decision = await world.decide(world.call("?!"))
    assert (decision.route, decision.basis, decision.best, decision.score) == (None, "no_text", None, 0.0)
    assert decision.reason.startswith("There is no text to match.")


async def test_without_its_weights_the_fallback_models_serve_and_the_receipt_says_so() -> None:
    world = PlanningWorld()
    world.scorer.is_away = True
    plan = await world.plan()
    assert ids(plan) == ["spare", "cheap"]
    decision = plan.decision
    assert decision is not None
    assert (decision.route, decision.basis, decision.score, decision.figures) == (None, "unread", None, None)
    assert decision.reason.startswith("The prompt could not be read: the weights are not here")
    assert decision.targets[0].expected_cost_nano is not None, "an answer of usual length is expected"


async def test_a_session_goes_on_by_its_route_when_nothing_can_be_read() -> None:
    world = PlanningWorld()
    call = replace(world.call(), affinity="s")
    world.served(call, await world.plan(call))
    world.scorer.is_away = True
    away = await world.decide(replace(world.call("what now"), affinity="s"))
    assert (away.route, away.basis, away.session) == ("refund", "affinity", "s")
    assert away.reason.startswith("The prompt could not be read: the weights are not here. The session goes on")
    world.scorer.is_away = False
    silent = await world.decide(replace(world.call("..."), affinity="s"))
    assert (silent.route, silent.basis) == ("refund", "affinity")
    gone = replace(SUPPORT, policies=SUPPORT.policies[1:])
    world.snapshot = replace(world.snapshot, routers={"support": gone})
    assert (await world.decide(replace(world.call("..."), affinity="s"))).basis == "no_text"


async def test_a_session_that_had_no_route_goes_on_without_one() -> None:
    world = PlanningWorld()
    call = replace(world.call("maybe a refund"), affinity="s")
    world.served(call, await world.plan(call))
    world.scorer.is_away = True
    decision = await world.decide(replace(world.call(), affinity="s"))
    assert (decision.route, decision.basis) == (None, "affinity")


async def test_a_tools_result_goes_on_with_whoever_asked_for_it_unread() -> None:
    world = PlanningWorld(CHEAPEST)
    call = replace(world.call(), affinity="s")
    world.served(call, await world.plan(call), "dear")
    world.scorer.read.clear()
    again = replace(world.call(messages=TOOL_TURNS), affinity="s")
    plan = await world.plan(again)
    assert ids(plan) == ["dear", "cheap", "spare"]
    decision = plan.decision
    assert decision is not None
    assert (decision.route, decision.basis, decision.score) == ("refund", "tool_loop", None)
    assert (decision.targets[0].code, decision.targets[0].rank) == ("affinity", 1)
    assert decision.reason == 'A tool\'s result goes on with the turn before. "dear" goes on.'
    assert world.scorer.read == []
    world.snapshot = replace(world.snapshot, routers={"support": replace(SUPPORT, policies=SUPPORT.policies[1:])})
    assert (await world.decide(replace(world.call(messages=TOOL_TURNS), affinity="s"))).basis != "tool_loop"


async def test_leaving_a_warm_cache_is_priced_and_the_veto_is_told() -> None:
    world = PlanningWorld(CHEAPEST)
    call = replace(world.call(), affinity="s")
    world.served(call, await world.plan(call), "cheap", Usage(input_fresh=100_000, output_text=1))
    world.snapshot = replace(world.snapshot, routers={"support": SUPPORT})
    plan = await world.plan(replace(world.call("and a refund"), affinity="s"))
    assert ids(plan) == ["cheap", "dear", "spare"]
    decision = plan.decision
    assert decision is not None
    assert decision.basis == "switch_vetoed"
    assert decision.switch is not None
    assert 'Leaving the warm cache of "cheap" for "dear" would cost $' in decision.reason
    assert world.affinity.verdicts == {"over_cap": 1}


async def test_what_the_session_cached_makes_its_model_cheaper() -> None:
    rates = dict(a_price(input_pico=10_000).rates_pico)
    cached = replace(a_price(), rates_pico={each: 0 if "cache_read" in each else rate for each, rate in rates.items()})
    entries = (listed(a_model("dear"), cached), priced("cheap"), priced("spare"))
    world = PlanningWorld(CHEAPEST, entries=entries)
    text = "a refund " + "x" * 4_000
    assert ids(await world.plan(world.call(text)))[0] == "cheap"
    call = replace(world.call(text), affinity="s")
    world.served(call, await world.plan(call), "dear", Usage(input_fresh=1_000, output_text=1))
    assert ids(await world.plan(replace(world.call(text), affinity="s")))[0] == "dear"


async def test_who_rests_is_passed_over_and_told() -> None:
    world = PlanningWorld()
    dear = (await world.plan()).targets[0]
    for _ in range(3):
        world.health.began(dear, world.clock.monotonic()).ended(
            UpstreamUnavailable("away"), 503, world.clock.monotonic()
        )
    plan = await world.plan()
    decision = plan.decision
    assert decision is not None
    assert [(each.model_id, each.rank, each.code) for each in decision.targets] == [
        ("dear", None, "breaker_open"),
        ("cheap", 1, "as_written"),
        ("spare", 2, "fallback"),
    ]
    assert decision.targets[0].reason == "It is left alone for 1.0 s more."
    assert ids(plan) == ["dear", "cheap", "spare"], "it may be back when its turn comes"
    only = await world.plan(replace(world.call(), may_substitute=False))
    assert ids(only) == ["cheap"]


async def test_while_all_rest_the_plan_still_says_whom_to_wait_for() -> None:
    world = PlanningWorld(replace(SUPPORT, fallbacks=("dear",), policies=(replace(REFUND, models=("dear",)),)))
    [dear] = (await world.plan()).targets
    now = world.clock.monotonic()
    for _ in range(3):
        world.health.began(dear, now).ended(UpstreamUnavailable("away"), 503, now)
    plan = await world.plan()
    assert ids(plan) == ["dear"]
    assert plan.decision is not None
    assert plan.decision.chosen is None
    assert plan.decision.reason.endswith("Nobody can serve it now.")


async def test_one_well_credential_is_enough() -> None:
    world = PlanningWorld()
    providers = dict(world.snapshot.providers)
    keys = (a_credential("1", "a"), a_credential("2", "b"))
    providers["acme"] = replace(providers["acme"], auth="bearer", credentials=keys)
    world.snapshot = replace(world.snapshot, providers=providers)
    plan = await world.plan()
    assert ids(plan) == ["dear", "dear", "cheap", "cheap", "spare", "spare"]
    assert plan.decision is not None
    assert [each.rank for each in plan.decision.targets] == [1, 2, 3]


async def test_a_keys_scope_counts_for_every_target() -> None:
    world = PlanningWorld()
    plan = await world.plan(replace(world.call(), caller=ONLY_CHEAP))
    assert ids(plan) == ["cheap"]
    decision = plan.decision
    assert decision is not None
    assert [(each.model_id, each.rank, each.code) for each in decision.targets] == [
        ("cheap", 1, "as_written"),
        ("dear", None, "model_forbidden"),
        ("spare", None, "model_forbidden"),
    ]
    assert [each.model_id for each in plan.excluded] == ["dear", "spare"]


async def test_when_nobody_can_the_error_explains_each() -> None:
    world = PlanningWorld(replace(SUPPORT, max_cost_nano=0, fallbacks=("nowhere",)))
    with pytest.raises(CallerError) as caught:
        await world.plan()
    assert (caught.value.code, caught.value.status) == ("no_candidate", 400)
    for said in ('"dear" is expected to cost', '"cheap" is expected to cost', '"nowhere" is no longer in the catalog'):
        assert said in caught.value.message
    assert caught.value.message.startswith("router:support has no model")
    told = dict(caught.value.told)
    assert (told["x-headrace-router"], told["x-model-router-selected-route"]) == ("support", "refund")


async def test_what_would_cost_too_much_is_left_out() -> None:
    world = PlanningWorld(replace(CHEAPEST, max_cost_nano=10_000))
    decision = await world.decide()
    assert [(each.model_id, each.rank, each.code) for each in decision.targets][-1] == ("dear", None, "over_max_cost")


async def test_aliases_lead_to_routers_and_stand_in_pools() -> None:
    world = PlanningWorld(replace(SUPPORT, policies=(replace(REFUND, models=("fast", "dear")),)))
    aliases = {
        "helpdesk": Alias("helpdesk", "router:support", ("middle",), 1, 1),
        "fast": Alias("fast", "cheap", ("spare",), 1, 1),
    }
    world.snapshot = replace(world.snapshot, aliases=aliases)
    plan = await world.plan(world.call(model="helpdesk"))
    assert ids(plan) == ["cheap", "spare", "dear", "middle"]
    assert plan.decision is not None
    assert [each.name for each in plan.decision.targets] == ["fast", "fast", "dear"]


async def test_every_router_of_a_call_decides_and_the_first_is_told() -> None:
    sales = Router("u2", "sales", "", (Policy(Task("refund", "x"), ("middle",)),), ("middle",))
    world = PlanningWorld(SUPPORT, sales)
    plan = await world.plan(replace(world.call(), fallbacks=("router:sales",)))
    assert ids(plan) == ["dear", "cheap", "spare", "middle"]
    assert plan.decision is not None
    assert plan.decision.router == "support"


@pytest.mark.parametrize("model", ["router:support", "cheap"])
async def test_a_preference_is_for_the_managed_router_only(model: str) -> None:
    world = PlanningWorld()
    call = replace(world.call(model=model), routing_preference=RoutingPreference.BUDGET)
    with pytest.raises(InvalidRequest) as caught:
        await world.plan(call)
    assert caught.value.param == "routing_preference"


async def test_the_managed_router_chooses_among_all_live_models() -> None:
    entries = (*(priced(name) for name in PRICES), priced("away"), listed(a_model("odd", provider="other")))
    world = PlanningWorld(entries=entries)
    models = dict(world.snapshot.models)
    models["away"] = (replace(models["away"][0], availability=Availability(False)),)
    models["unpriced"] = (replace(priced("unpriced"), price=None),)
    world.snapshot = replace(world.snapshot, models=models)
    call = replace(world.call(model="inference-router"), routing_preference=RoutingPreference.BUDGET)
    plan = await world.plan(call)
    assert set(ids(plan)) == {*PRICES, "odd"}
    decision = plan.decision
    assert decision is not None
    assert (decision.router, decision.route, decision.basis, decision.policy) == (
        "inference-router",
        None,
        "managed",
        "budget",
    )
    assert (decision.score, decision.best, decision.features) == (None, None, FEATURES)
    assert decision.reason.startswith("Every live model was weighed for this prompt. ")
    assert [each.rank for each in decision.targets] == [1, 2, 3, 4, 5]
    assert (await world.decide(world.call(model="inference-router"))).policy == "balanced"


async def test_of_very_many_live_models_the_managed_router_asks_some_and_tells_of_some() -> None:
    entries = tuple(priced(f"m{number}", capabilities=frozenset()) for number in range(40))
    world = PlanningWorld(entries=(*entries, *(priced(f"t{number}") for number in range(12))))
    plan = await world.plan(world.call(model="inference-router", tools=[TOOL]))
    assert len(plan.targets) == 8
    assert plan.decision is not None
    assert len(plan.decision.targets) == 8 + 16


async def test_the_managed_router_goes_on_in_a_tool_loop_and_without_its_weights() -> None:
    world = PlanningWorld()
    call = replace(world.call(model="inference-router"), affinity="s")
    world.served(call, await world.plan(call), "middle")
    world.scorer.read.clear()
    again = replace(world.call(model="inference-router", messages=TOOL_TURNS), affinity="s")
    decision = await world.decide(again)
    assert (decision.basis, decision.targets[0].model_id, world.scorer.read) == ("tool_loop", "middle", [])
    world.scorer.is_away = True
    assert (await world.decide(world.call(model="inference-router"))).basis == "unread"


async def test_without_a_live_model_the_managed_router_says_what_to_do() -> None:
    world = PlanningWorld()
    world.snapshot = replace(world.snapshot, models={})
    with pytest.raises(CallerError, match="no model that can be called now") as caught:
        await world.plan(world.call(model="inference-router"))
    assert (caught.value.code, caught.value.status) == ("no_candidate", 404)


async def test_a_draft_is_decided_without_a_session_and_nothing_is_noted() -> None:
    world = PlanningWorld()
    draft = replace(SUPPORT, name="", max_cost_nano=None)
    routed = await world.planner.draft(draft, task_set(draft, Presets()), world.call(), world.snapshot)
    decision = routed.routing.decision
    assert (decision.router, decision.route, decision.session, routed.held) == ("", "refund", None, None)
    await world.planner.route("router:support", replace(world.call(), affinity="s"), world.snapshot)
    assert world.affinity.count == 0


def answer_of(call: Call, target: Target, world: PlanningWorld) -> float:
    world.attempt(call, target, Usage(input_fresh=10, output_text=200))
    return world.figures.habits(target.model.id, target.provider.name, 10).verbosity


async def test_the_predicted_length_is_noted_for_as_much_as_may_come() -> None:
    world = PlanningWorld()
    plain = world.call()
    [first, *_] = (await world.plan(plain)).targets
    assert answer_of(plain, first, world) > 1.0
    other = PlanningWorld()
    capped = other.call(max_tokens=20, n=2)
    [first, *_] = (await other.plan(capped)).targets
    assert answer_of(capped, first, other) > 1.5
    unread = PlanningWorld()
    unread.scorer.is_away = True
    call = unread.call()
    [first, *_] = (await unread.plan(call)).targets
    assert answer_of(call, first, unread) == 1.0
