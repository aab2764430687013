"""The managed router's order: worth, price alone without a strength, and what may not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.candidate import Candidate, Ranked
from headrace.domain.intervals import Interval
from headrace.domain.router import RoutingPreference
from headrace.domain.routing import PromptFigures
from headrace.services.managed import predicted_quality, rank_managed
from tests.fakes.nouns import a_model, a_target

BUDGET, BALANCED, QUALITY = RoutingPreference.BUDGET, RoutingPreference.BALANCED, RoutingPreference.QUALITY


def a_candidate(name: str, cost: int, strength: float | None, low: float | None = None, fits: bool = True) -> Candidate:
    known = None if strength is None else Interval(strength, strength if low is None else low, strength)
    target = a_target(replace(a_model(name), strength=known))
    return Candidate(name, target, (target,), cost, None, fits)


def names(ranked: tuple[Ranked, ...]) -> list[str]:
    return [each.candidate.name for each in ranked]


SMALL, MIDDLE, LARGE = (
    a_candidate("small", 1_000, 0.0),
    a_candidate("middle", 20_000, 1.5),
    a_candidate("large", 9**6, 2.5),
)
POOL = (LARGE, SMALL, MIDDLE)


@pytest.mark.parametrize(
    ("preference", "difficulty", "order"),
    [
        (QUALITY, 0.0, ["large", "middle", "small"]),
        (BALANCED, 0.0, ["large", "middle", "small"]),
        (BUDGET, 0.0, ["middle", "small", "large"]),
        (BALANCED, -2.0, ["middle", "large", "small"]),
        (BUDGET, -3.0, ["middle", "small", "large"]),
        (QUALITY, 3.0, ["large", "middle", "small"]),
    ],
)
def test_what_each_preference_puts_first(preference: RoutingPreference, difficulty: float, order: list[str]) -> None:
    assert names(rank_managed(POOL, PromptFigures(difficulty, 300.0), preference)) == order


def test_a_prompt_that_was_not_read_counts_as_average() -> None:
    read = rank_managed(POOL, PromptFigures(0.0, 300.0), BALANCED)
    assert rank_managed(POOL, None, BALANCED) == read


def test_the_first_says_what_it_is_worth_more_than_the_next_one() -> None:
    first, second, _ = rank_managed(POOL, None, BALANCED)
    assert (first.code, first.strength) == ("worth_most", 2.5)
    assert first.reason == (
        "a good answer is 92% likely for $0.000531441, worth 0.010 more to balanced than"
        " middle with 82% for $0.000020000"
    )
    assert (second.code, second.strength) == ("worth_less", 1.5)
    assert second.reason == "a good answer is 82% likely for $0.000020000, worth 0.010 less"


def test_the_low_end_of_the_interval_counts() -> None:
    vague = a_candidate("vague", 1_000, 2.0, low=-2.0)
    assert names(rank_managed((vague, a_candidate("sure", 1_000, 1.0)), None, QUALITY)) == ["sure", "vague"]


def test_models_without_a_strength_come_after_by_price_and_say_so() -> None:
    pool = (a_candidate("dear", 9, None), a_candidate("cheap", 3, None), a_candidate("known", 100, -1.0))
    known, cheap, dear = rank_managed(pool, None, BUDGET)
    assert names((known, cheap, dear)) == ["known", "cheap", "dear"]
    assert known.reason == "a good answer is 27% likely for $0.000000100; no other has a strength"
    assert (cheap.code, cheap.strength) == ("price_only", None)
    assert cheap.reason == "nothing is known of its strength; by its price only, $0.000000003"


def test_what_may_not_fit_comes_last() -> None:
    pool = (a_candidate("tight", 1, 3.0, fits=False), a_candidate("odd", 2, None, fits=False), SMALL)
    ranked = rank_managed(pool, None, QUALITY)
    assert [(each.candidate.name, each.code) for each in ranked] == [
        ("small", "worth_most"),
        ("tight", "may_not_fit"),
        ("odd", "may_not_fit"),
    ]
    assert [each.strength for each in ranked] == [0.0, 3.0, None]
    assert ranked[1].reason.startswith("prompt and answer may be over its ")


def test_free_models_divide_by_nothing_and_of_no_models_there_is_no_order() -> None:
    assert names(rank_managed((a_candidate("a", 0, 0.0), a_candidate("b", 0, 1.0)), None, BUDGET)) == ["b", "a"]
    assert rank_managed((), None, BALANCED) == ()


def test_quality_is_half_where_strength_is_the_difficulty() -> None:
    assert predicted_quality(1.3, 1.3) == 0.5
    assert predicted_quality(2.0, 0.0) > predicted_quality(2.0, 1.0)


POOLS = st.lists(st.tuples(st.integers(0, 10**9), st.one_of(st.none(), st.floats(-3, 4))), min_size=1, max_size=8).map(
    lambda rows: tuple(a_candidate(f"m{number}", *row) for number, row in enumerate(rows))
)
DIFFICULTIES = st.floats(-3, 3)


@given(POOLS, DIFFICULTIES, st.sampled_from(RoutingPreference))
def test_every_candidate_stands_once_and_a_dominated_one_never_first(
    pool: tuple[Candidate, ...], difficulty: float, preference: RoutingPreference
) -> None:
    ranked = rank_managed(pool, PromptFigures(difficulty, 1.0), preference)
    assert sorted(names(ranked)) == sorted(each.name for each in pool)
    first = ranked[0].candidate
    mine = first.target.model.strength
    for other in pool:
        its = other.target.model.strength
        weaker = mine is None if its is None else mine is None or mine.low < its.low
        assert not (weaker and first.cost_nano > other.cost_nano)


@given(POOLS, DIFFICULTIES)
def test_budget_costs_no_more_than_balanced_and_balanced_no_more_than_quality(
    pool: tuple[Candidate, ...], difficulty: float
) -> None:
    figures = PromptFigures(difficulty, 1.0)
    budget, balanced, quality = (
        rank_managed(pool, figures, each)[0].candidate.cost_nano for each in (BUDGET, BALANCED, QUALITY)
    )
    assert budget <= balanced <= quality
