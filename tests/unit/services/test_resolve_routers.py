"""Names that are routers: as model, among fallbacks, through aliases; what they decided stands in their place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.alias import Alias
from headrace.domain.call import Call, Operation
from headrace.domain.errors import CallerError, Forbidden
from headrace.domain.plan import Excluded, Routing, Target
from headrace.domain.router import Policy, Router, Task
from headrace.domain.routing import RoutedTarget
from headrace.domain.snapshot import Snapshot
from headrace.services.resolve import plan_call, routers_named
from tests.fakes.decisions import a_decision
from tests.fakes.nouns import a_call, a_credential, a_model, a_target, targets_of
from tests.unit.services.test_choosing import ONE, THREE, TWO, a_snapshot

SUPPORT = Router("u1", "support", "", (Policy(Task("refund", "Money back."), ("two",)),), ("three",))
OTHER = replace(SUPPORT, uuid="u2", name="sales")


def there(**aliases: tuple[str, ...]) -> Snapshot:
    routers = {each.name: each for each in (SUPPORT, OTHER)}
    return replace(a_snapshot(ONE, TWO, THREE, **aliases), routers=routers)


def target(name: str, provider: str = "acme") -> Target:
    found = a_target(a_model(name, provider=provider))
    return replace(found, provider=replace(found.provider, name=provider))


def a_routing(*targets: Target, chosen: str = "", router: str = "support") -> Routing:
    ranks = [(each, 1 if each.model.id == (chosen or targets[0].model.id) else None) for each in targets]
    told = [RoutedTarget(each.model.id, each.model.id, each.provider.name, rank, "", "") for each, rank in ranks]
    return Routing(a_decision(router=router, targets=tuple(told)), targets, (Excluded("x", "", "gone", "It is gone."),))


def served(call: Call, snapshot: Snapshot, **routings: Routing) -> list[str]:
    decisions = {f"router:{name}": each for name, each in routings.items()}
    return [each.model.id for each in plan_call(call, snapshot, decisions).targets]


def test_a_call_without_a_router_names_none() -> None:
    snapshot = there(daily=("one", "two"))
    for call in (
        a_call(),
        a_call(model="daily"),
        a_call(model="nowhere"),
        replace(a_call(), fallbacks=("two", "daily")),
    ):
        assert routers_named(call, snapshot) == ()


def test_routers_are_found_wherever_they_are_named_each_once() -> None:
    snapshot = there(support=("router:support", "one"), auto=("inference-router",))
    assert routers_named(a_call(model="support"), snapshot) == ("router:support",)
    call = replace(a_call(model="router:sales"), fallbacks=("one", "support", "auto", "router:support"))
    assert routers_named(call, snapshot) == ("router:sales", "router:support", "inference-router")
    assert routers_named(replace(call, may_substitute=False), snapshot) == ("router:sales",)
    text = replace(a_call(model="router:sales"), operation=Operation.COMPLETIONS)
    assert routers_named(text, snapshot) == ("router:sales",)


def test_a_model_of_that_name_is_no_router() -> None:
    snapshot = replace(there(), models={"inference-router": (ONE,)})
    call = replace(a_call(model="inference-router"), fallbacks=("inference-router",))
    assert routers_named(call, snapshot) == ()


@pytest.mark.parametrize(
    ("call", "code", "param", "said"),
    [
        (a_call(model="router:suport"), "router_not_found", "model", 'Did you mean "router:support"?'),
        (a_call(model="router:zzz"), "router_not_found", "model", "`headrace routers list` lists them."),
        (replace(a_call(), fallbacks=("two", "router:sale")), "router_not_found", "models[1]", '"router:sales"?'),
        (a_call(model="lost"), "router_not_found", "model", 'No router named "router:gone"'),
        (
            replace(a_call(operation=Operation.EMBEDDINGS, model="router:sales")),
            "wrong_model_kind",
            "model",
            "for embeddings name a model",
        ),
    ],
)
def test_a_router_that_there_is_none_of_is_refused(call: Call, code: str, param: str, said: str) -> None:
    with pytest.raises(CallerError) as caught:
        routers_named(call, there(lost=("router:gone",)))
    assert (caught.value.code, caught.value.param) == (code, param)
    assert said in caught.value.message


def test_an_unknown_model_may_have_meant_a_router() -> None:
    with pytest.raises(CallerError) as caught:
        plan_call(a_call(model="outer:support"), there())
    assert 'Did you mean "router:support"?' in caught.value.message


def test_what_a_router_decided_stands_in_its_place() -> None:
    snapshot = there(support=("router:support", "one"))
    routing = a_routing(target("two"), target("three"))
    plan = plan_call(a_call(model="support"), snapshot, {"router:support": routing})
    assert [each.model.id for each in plan.targets] == ["two", "three", "one"]
    assert (plan.requested, plan.route, plan.decision) == ("support", "refund", routing.decision)
    assert plan.excluded == (Excluded("x", "", "gone", "It is gone."),)


def test_a_model_is_asked_once_whoever_names_it() -> None:
    routing = a_routing(target("two"), target("two", "other"), target("three"))
    call = replace(a_call(model="router:support"), fallbacks=("three", "one"))
    assert served(call, there(), support=routing) == ["two", "two", "three", "one"]
    assert served(replace(a_call(model="two"), fallbacks=("router:support",)), there(), support=routing) == [
        "two",
        "three",
    ]


def test_of_two_routers_the_first_ones_decision_is_the_plans() -> None:
    call = replace(a_call(model="router:support"), fallbacks=("router:sales",))
    mine, other = a_routing(target("one")), a_routing(target("two"), router="sales")
    plan = plan_call(call, there(), {"router:support": mine, "router:sales": other})
    assert plan.decision is mine.decision
    assert [each.model.id for each in plan.targets] == ["one", "two"]


def test_who_wants_no_substitute_gets_the_target_that_the_router_chose() -> None:
    siblings = targets_of(target("two"), a_credential("1", "a"), a_credential("2", "b"))
    routing = a_routing(target("one"), *siblings, target("two", "other"), chosen="two")
    call = replace(a_call(model="support"), fallbacks=("three",), may_substitute=False)
    snapshot = there(support=("router:support", "three"))
    found = plan_call(call, snapshot, {"router:support": routing}).targets
    assert [(each.model.id, each.provider.name) for each in found] == [("two", "acme"), ("two", "acme")]


def test_while_all_rest_the_first_of_them_stands_for_the_choice() -> None:
    routing = a_routing(target("one"), target("two"), chosen="nobody")
    call = replace(a_call(model="router:support"), may_substitute=False)
    assert served(call, there(), support=routing) == ["one"]


def test_a_router_that_nobody_can_serve_says_why_unless_somebody_else_can() -> None:
    nobody = Routing(a_decision(targets=()), (), (), Forbidden("Not with this key.", code="model_forbidden"))
    assert nobody.chosen == ()
    with pytest.raises(Forbidden, match="Not with this key"):
        plan_call(a_call(model="router:support"), there(), {"router:support": nobody})
    call = replace(a_call(model="router:support"), fallbacks=("one",))
    assert served(call, there(), support=nobody) == ["one"]


def test_an_alias_of_a_router_is_suggested_to_every_key() -> None:
    snapshot = replace(there(), aliases={"helpdesk": Alias("helpdesk", "router:support", (), 1, 1)})
    with pytest.raises(CallerError, match="helpdesk"):
        plan_call(a_call(model="helpdes"), snapshot)
