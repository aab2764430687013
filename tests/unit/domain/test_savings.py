"""Savings: costs elsewhere on the scale of what was really paid, beside controls."""

from __future__ import annotations

from dataclasses import replace

from headrace.domain.evaluation import Choosable
from headrace.domain.router import MANAGED_ROUTER
from headrace.domain.routing import Decision
from headrace.domain.savings import SavingsGroup, SavingsSums, spent
from tests.fakes.routed import a_routing, a_target

SMALL, LARGE = a_target("small", 1, 1_000), a_target("large", 2, 9_000)
OUT = a_target("out", None, None, code="unsupported_by_model")
FALLBACK = a_target("spare", 3, 2_000, code="fallback")


def decided(route: str | None = "refund", *, basis: str | None = None) -> Decision:
    return a_routing(route, SMALL, LARGE, FALLBACK, OUT, basis=basis)


def test_costs_elsewhere_are_scaled_by_what_the_request_turned_out_to_be() -> None:
    found = spent(decided(), "small", 500, {})
    assert (found.basis, found.route, found.model, found.is_fallback) == ("matched", "refund", "small", False)
    assert {name: each.cost_nano for name, each in found.choosable.items()} == {
        "small": 500,
        "large": 4_500,
        "spare": 1_000,
    }
    assert found.reference_nano == 4_500


def test_the_strongest_is_the_best_where_strengths_are_known() -> None:
    sums = SavingsSums()
    sums.add(spent(decided(), "small", 500, {"small": 0.5, "spare": 2.5}))
    best = next(each for each in sums.savings().compared.controls if each.name == "always best")
    assert best.cost_nano == 1_000


def test_after_a_failure_the_one_that_served_counts() -> None:
    found = spent(decided(), "spare", 4_000, {})
    assert (found.is_fallback, found.reference_nano) == (True, 18_000)
    assert found.choosable["small"] == Choosable(2_000)


def test_where_nothing_was_to_be_paid_the_expectation_stands() -> None:
    free = replace(decided(), targets=(a_target("small", 1, 0), LARGE))
    assert spent(free, "small", 0, {}).reference_nano == 9_000
    assert spent(decided(), "small", 0, {}).reference_nano == 0


def test_a_model_of_several_providers_counts_by_the_one_asked_first() -> None:
    twice = replace(decided(), targets=(SMALL, a_target("large", 2, 3_000), a_target("large", 3, 9_000)))
    assert spent(twice, "small", 1_000, {}).choosable["large"] == Choosable(3_000)


def test_nothing_is_known_elsewhere_of_what_nobody_served_or_expected() -> None:
    for found in (spent(decided(), None, 0, {}), spent(decided(), "another", 70, {}), spent(decided(), "out", 70, {})):
        assert (found.reference_nano, found.choosable, found.is_fallback) == (None, {}, False)


def test_requests_are_added_up_by_route_and_model() -> None:
    sums = SavingsSums()
    for decision, served_by, paid in (
        (decided(), "small", 500),
        (decided(), "small", 1_500),
        (decided(None), "spare", 4_000),
        (decided(basis="tool_loop"), None, 0),
        (decided(), "another", 70),
    ):
        sums.add(spent(decision, served_by, paid, {}))
    found = sums.savings()
    assert (found.requests, found.served, found.paid_nano) == (5, 4, 6_070)
    assert found.by_basis == {"matched": 3, "no_match": 1, "tool_loop": 1}
    assert found.matched is not None
    assert found.fallback is not None
    assert (found.matched.value, found.fallback.value) == (0.8, 0.25)
    assert (found.compared_requests, found.compared_paid_nano, found.reference_nano) == (3, 6_000, 36_000)
    assert found.groups == (
        SavingsGroup(None, "spare", 1, 4_000, 1, 4_000, 18_000),
        SavingsGroup("refund", "small", 2, 2_000, 2, 2_000, 18_000),
        SavingsGroup("refund", "another", 1, 70, 0, 0, 0),
    )
    assert found.compared.own is not None
    assert (found.compared.requests, found.compared.own.cost_nano) == (3, 2_000)
    assert [each.name for each in found.compared.controls] == [
        "always cheapest",
        "always best",
        "only large",
        "shuffle of the same choices",
    ]


def test_nothing_comes_to_nothing() -> None:
    found = SavingsSums().savings()
    assert (found.requests, found.matched, found.fallback, found.groups, found.compared.own) == (
        0,
        None,
        None,
        (),
        None,
    )


def test_the_managed_router_has_no_routes() -> None:
    found = spent(a_routing(None, SMALL, router=MANAGED_ROUTER, basis="managed"), "small", 10, {})
    assert (found.basis, found.route, found.model) == ("managed", None, "small")
