"""Evaluating a router: what counts as right, and the controls that its cost is set beside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.evaluation import Choosable, Judged, evaluate

SMALL, LARGE = "small", "large"


def a_row(
    wanted: str | None = "refund",
    decided: str | None = "refund",
    chosen: str | None = None,
    choosable: dict[str, Choosable] | None = None,
) -> Judged:
    return Judged(wanted, decided, 2.0, chosen, choosable or {})


def two(
    small: float | None = None, large: float | None = None, costs: tuple[int, int] = (10, 100)
) -> dict[str, Choosable]:
    return {SMALL: Choosable(costs[0], -1.0, small), LARGE: Choosable(costs[1], 1.0, large)}


def test_nothing_judged_claims_nothing() -> None:
    found = evaluate([])
    assert (found.prompts, found.right, found.milliseconds_p99, found.own, found.controls) == (
        0,
        None,
        None,
        None,
        (),
    )


def test_right_abstained_and_wrong_are_all_there_is() -> None:
    found = evaluate(
        [
            a_row(),
            a_row(decided=None),
            a_row(decided="bug"),
            a_row(wanted=None, decided=None),
            a_row(wanted=None, decided="bug"),
        ]
    )
    assert found.right is not None
    assert found.abstained is not None
    assert found.wrong is not None
    assert [found.right.value, found.abstained.value, found.wrong.value] == [0.4, 0.2, 0.4]
    (refund,) = found.routes
    assert (refund.slug, refund.wanted, refund.right, refund.wrong, refund.abstained) == ("refund", 3, 1, 1, 1)


def test_controls_with_outcomes_are_cost_and_quality() -> None:
    rows = [
        a_row(chosen=SMALL, choosable=two(1.0, 1.0)),
        a_row(chosen=LARGE, choosable=two(0.0, 1.0)),
    ]
    found = evaluate(rows)
    assert found.own is not None
    assert (found.own.cost_nano, found.own.saved) == (55.0, None)
    assert found.own.quality is not None
    assert found.own.quality.value == 1.0
    by_name = {each.name: each for each in found.controls}
    assert list(by_name) == ["always cheapest", "always best", "only large", "shuffle of the same choices"]
    assert by_name["always cheapest"].saved == pytest.approx(1 - 55 / 10)
    assert by_name["always best"].cost_nano == 100
    assert by_name["only large"].saved == pytest.approx(0.45)
    shuffle = by_name["shuffle of the same choices"]
    assert (shuffle.cost_nano, shuffle.saved) == (55.0, 0.0)
    assert shuffle.quality is not None
    assert shuffle.quality.value == 0.75


def test_without_outcomes_quality_is_not_claimed_and_the_strongest_is_the_best() -> None:
    dearer_is_weaker = {SMALL: Choosable(200, 2.0), LARGE: Choosable(100, 1.0)}
    found = evaluate([a_row(chosen=LARGE, choosable=dearer_is_weaker)])
    assert [each.quality for each in found.controls] == [None] * 4
    assert {each.name: each.cost_nano for each in found.controls}["always best"] == 200


def test_one_unknown_outcome_makes_the_quality_unknown() -> None:
    rows = [
        a_row(chosen=SMALL, choosable=two(1.0, 1.0)),
        a_row(chosen=LARGE, choosable=two(None, 1.0)),
    ]
    found = evaluate(rows)
    by_name = {each.name: each.quality for each in found.controls}
    assert by_name["always cheapest"] is None
    assert by_name["shuffle of the same choices"] is None
    assert by_name["only large"] is not None


def test_where_an_outcome_is_missing_a_bad_one_does_not_make_the_best() -> None:
    found = evaluate([a_row(chosen=SMALL, choosable=two(0.1, None))])
    by_name = {each.name: each.cost_nano for each in found.controls}
    assert (by_name["always best"], by_name["only large"]) == (100, 100)


def test_without_a_common_model_there_is_no_single_one() -> None:
    rows = [
        a_row(chosen=SMALL, choosable={SMALL: Choosable(1)}),
        a_row(chosen=LARGE, choosable={LARGE: Choosable(0)}),
    ]
    found = evaluate(rows)
    assert [each.name for each in found.controls] == [
        "always cheapest",
        "always best",
        "shuffle of the same choices",
    ]


def test_free_models_have_no_saving() -> None:
    found = evaluate([a_row(chosen=SMALL, choosable={SMALL: Choosable(0)})])
    assert {each.saved for each in found.controls} == {None}


def test_a_prompt_without_a_model_is_left_out_of_the_costs() -> None:
    found = evaluate([a_row(), a_row(chosen=SMALL, choosable=two())])
    assert found.own is not None
    assert found.own.cost_nano == 10


@given(
    st.lists(
        st.tuples(st.sampled_from([SMALL, LARGE]), st.integers(0, 10**9), st.integers(0, 10**9)),
        min_size=1,
        max_size=30,
    )
)
def test_no_course_is_cheaper_than_the_cheapest(drawn: list[tuple[str, int, int]]) -> None:
    rows = [a_row(chosen=name, choosable=two(costs=(small, large))) for name, small, large in drawn]
    found = evaluate(rows)
    assert found.own is not None
    cheapest = found.controls[0].cost_nano
    assert cheapest <= found.own.cost_nano + 1e-6
    assert all(cheapest <= each.cost_nano + 1e-6 for each in found.controls)
