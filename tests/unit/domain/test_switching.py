"""The price of leaving a warm prompt cache, against the formula that the public engine has, and the budget for it."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.price import PriceTier, Rates
from headrace.domain.switching import (
    DEFAULT_CAP_PPM,
    InputRates,
    Placement,
    SwitchRecord,
    SwitchTotals,
    SwitchVerdict,
    base_nano,
    input_rates,
    switch_cost_nano,
    tokens_cached,
)
from headrace.domain.usage import TokenClass, UnitClass, Usage
from tests.fakes.nouns import a_price

TOKENS = st.integers(0, 2_000_000)
PICO = st.integers(0, 200_000_000)
RATES = st.builds(InputRates, PICO, PICO)
NANO = st.integers(0, 10**12)
CAPS = st.integers(0, 1_000_000)
A, B = Placement("a", "acme"), Placement("b", "acme")


def in_dollars(context: int, warm: int, candidate: InputRates, anchor: InputRates) -> Fraction:
    """The formula as it is published, in dollars with prices per million tokens."""
    fresh = context - warm
    per_million = Fraction(1, 1_000_000)
    there = fresh * (candidate.fresh_pico * per_million) + warm * (candidate.cached_pico * per_million)
    return (there - context * (anchor.cached_pico * per_million)) / 1_000_000


@given(TOKENS, TOKENS, RATES, RATES)
def test_the_cost_is_the_formula_rounded_up_to_a_nano_dollar(
    context: int, warm: int, candidate: InputRates, anchor: InputRates
) -> None:
    exact = in_dollars(context, min(warm, context), candidate, anchor) * 10**9
    cost = switch_cost_nano(context, warm, candidate, anchor)
    assert exact <= cost < exact + 1
    assert (cost <= 0) == (exact <= 0), "a switch that costs anything is never free"


@given(TOKENS, RATES, RATES, TOKENS, TOKENS)
def test_what_is_warm_at_the_candidate_never_makes_it_dearer(
    context: int, candidate: InputRates, anchor: InputRates, less: int, more: int
) -> None:
    candidate = InputRates(max(candidate.fresh_pico, candidate.cached_pico), candidate.cached_pico)
    few, many = sorted((less, more))
    costs = [switch_cost_nano(context, warm, candidate, anchor) for warm in (few, many)]
    assert costs[1] <= costs[0]


@given(TOKENS, RATES)
def test_a_model_without_a_cache_costs_itself_nothing_to_leave(context: int, rates: InputRates) -> None:
    assert switch_cost_nano(context, 0, rates, rates.uncached()) == 0


def test_the_published_example_costs_what_it_says() -> None:
    """90,000 tokens: stay $0.043 or switch $0.07, about 1.6 times (product facts, "Stay or switch")."""
    anchor, candidate = InputRates(4_777_778, 477_778), InputRates(777_778, 77_778)
    assert switch_cost_nano(90_000, 0, candidate, anchor) == pytest.approx(27_000_000, abs=10_000)


@given(NANO, NANO, st.lists(st.tuples(NANO, st.integers(-(10**12), 10**12)), max_size=20), CAPS)
def test_a_session_never_spends_more_than_its_share_of_the_base(
    spent: int, base: int, turns: list[tuple[int, int]], cap_ppm: int
) -> None:
    totals = SwitchTotals(min(spent, base * cap_ppm // 1_000_000), base)
    for adds, cost in turns:
        totals = totals.plus(adds)
        verdict = totals.verdict(cost, cap_ppm)
        assert (verdict is SwitchVerdict.FREE) == (cost <= 0)
        if verdict is not SwitchVerdict.OVER_CAP:
            totals = totals.plus(0, cost)
        else:
            assert (totals.spent_nano + cost) * 1_000_000 > cap_ppm * totals.base_nano
        assert totals.spent_nano * 1_000_000 <= cap_ppm * totals.base_nano


@given(NANO, NANO, st.integers(1, 10**12))
def test_a_cap_of_nothing_pays_for_no_switch_and_a_saving_gives_nothing_back(spent: int, base: int, cost: int) -> None:
    totals = SwitchTotals(spent, base)
    assert totals.verdict(cost, 0) is SwitchVerdict.OVER_CAP
    assert totals.verdict(-cost, 0) is SwitchVerdict.FREE
    assert totals.plus(0, -cost) == totals


def test_what_has_no_price_is_not_vetoed() -> None:
    assert SwitchTotals().verdict(None, 0) is SwitchVerdict.NO_PRICING


@given(TOKENS, RATES)
def test_the_base_grows_by_what_staying_costs_rounded_down(context: int, anchor: InputRates) -> None:
    exact = Fraction(context * anchor.cached_pico, 1_000)
    assert exact - 1 < base_nano(context, anchor) <= exact


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({TokenClass.INPUT_FRESH: 1_000, TokenClass.INPUT_CACHE_READ: 100}, InputRates(1_000, 100)),
        ({TokenClass.INPUT_FRESH: 1_000}, InputRates(1_000, 1_000)),
        ({UnitClass.CALL: 5_000_000}, None),
    ],
)
def test_a_model_without_a_cached_rate_reads_at_its_fresh_one(rates: Rates, expected: InputRates | None) -> None:
    assert input_rates(replace(a_price(), rates_pico=rates), 1_000, 0) == expected


def test_the_rates_are_those_of_a_prompt_so_long() -> None:
    long = PriceTier(200_000, {TokenClass.INPUT_FRESH: 2_000, TokenClass.INPUT_CACHE_READ: 200})
    price = replace(a_price(), tiers=(long,))
    assert input_rates(price, 200_000, 0) == InputRates(1_000, 1_000)
    assert input_rates(price, 200_001, 0) == InputRates(2_000, 200)


def test_where_writing_is_sold_only_what_was_written_or_read_is_believed_cached() -> None:
    usage = Usage(input_fresh=70, input_cache_read=20, input_cache_write_5m=5, input_cache_write_1h=4)
    selling = replace(a_price(), rates_pico={**a_price().rates_pico, TokenClass.INPUT_CACHE_WRITE_5M: 1_250})
    assert tokens_cached(usage, selling) == 29
    assert tokens_cached(usage, a_price()) == 99
    assert tokens_cached(usage, None) == 99


@pytest.mark.parametrize(
    ("verdict", "is_forced", "is_taken"),
    [
        (SwitchVerdict.FREE, False, True),
        (SwitchVerdict.WITHIN_CAP, False, True),
        (SwitchVerdict.NO_PRICING, False, True),
        (SwitchVerdict.SAME, False, True),
        (SwitchVerdict.OVER_CAP, False, False),
        (SwitchVerdict.OVER_CAP, True, True),
    ],
)
def test_a_record_says_who_would_have_served(verdict: SwitchVerdict, is_forced: bool, is_taken: bool) -> None:
    record = SwitchRecord(verdict, A, B, 1, 10, 0, DEFAULT_CAP_PPM, SwitchTotals(), is_forced)
    assert record.is_taken is is_taken
    assert record.counterfactual == (None if is_taken else B)
