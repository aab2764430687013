"""Lines of usage, the rates that hold for a request, and bounds that no bill passes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.domain.money import PPM
from headrace.domain.price import (
    ALL_DAYS,
    DAY_MINUTES,
    MOST_LINES,
    PriceTier,
    PriceVersion,
    PriceWindow,
    Rates,
    bound_nano,
    price_lines,
    rate_of,
    rates_at,
)
from headrace.domain.usage import (
    INPUT_CLASSES,
    MEDIA_INPUT_CLASSES,
    OUTPUT_CLASSES,
    TEXT_CLASSES,
    TEXT_INPUT_CLASSES,
    TokenClass,
    UnitClass,
    Usage,
    UsageClass,
    rare,
)
from tests.fakes.nouns import a_price

PICO = st.integers(0, 10**9)
COUNT = st.integers(0, 10**6)
MINUTE = st.integers(0, DAY_MINUTES - 1)
CLASSES: tuple[UsageClass, ...] = (*TokenClass, *UnitClass)
RARE = tuple(each for each in CLASSES if each not in TEXT_CLASSES)


@st.composite
def some_rates(draw: st.DrawFn) -> Rates:
    """The rates of text, and a few of the others."""
    few = draw(st.sets(st.sampled_from(RARE), max_size=3))
    return {each: draw(PICO) for each in CLASSES if each in TEXT_CLASSES or each in few}


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Any usage but of calls, which the price counts itself."""
    few = draw(st.sets(st.sampled_from(RARE), max_size=4)) - {UnitClass.CALL}
    fresh, read, short, long, text, reasoning = (draw(COUNT) for _ in TEXT_CLASSES)
    return Usage(fresh, read, short, long, text, reasoning, more=rare({each: draw(COUNT) for each in few}))


@st.composite
def plain_prices(draw: st.DrawFn) -> PriceVersion:
    """A price that has one table of rates, but for a price per call."""
    return PriceVersion("p", "acme", "m", "2026-11-01", "x", draw(some_rates()), draw(COUNT))


@st.composite
def windows(draw: st.DrawFn) -> PriceWindow:
    """A price window of either kind."""
    days = draw(st.frozensets(st.integers(0, 6), min_size=1))
    own = draw(st.none() | some_rates())
    return PriceWindow(draw(MINUTE), draw(MINUTE), days, draw(st.integers(1, 3 * PPM)), own)


@st.composite
def prices(draw: st.DrawFn) -> PriceVersion:
    """A price with tiers and windows."""
    starts = sorted(draw(st.sets(st.integers(1, 10**6), max_size=2)))
    tiers = tuple(PriceTier(start, draw(some_rates())) for start in starts)
    return replace(draw(plain_prices()), tiers=tiers, windows=tuple(draw(st.lists(windows(), max_size=2))))


AT = st.integers(0, 4 * 10**15)
# Prices of many tables are drawn slowly on a busy machine; that says nothing of the product.
UNHURRIED = settings(suppress_health_check=[HealthCheck.too_slow])
LONG: Rates = {TokenClass.INPUT_FRESH: 5_000, TokenClass.OUTPUT_TEXT: 9_000}
CHEAP: Rates = {TokenClass.INPUT_FRESH: 500, TokenClass.OUTPUT_TEXT: 2_000}


def micros(text: str) -> int:
    """The time of an ISO text in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def bound_for(price: PriceVersion, usage: Usage, more: int = 0) -> int:
    """The bound of a request that may use this much and so many tokens more."""
    media = sum(count for each, count in usage.more if each in MEDIA_INPUT_CLASSES)
    units = tuple((each, count + more) for each, count in usage.more if isinstance(each, UnitClass))
    return bound_nano(price, usage.input_total - media + more, usage.output_total + more, media + more, units)


@UNHURRIED
@given(usage=usages(), price=prices(), more=st.integers(0, 100), at=AT)
def test_a_bound_is_never_under_the_bill(usage: Usage, price: PriceVersion, more: int, at: int) -> None:
    charge = sum(line.charge_nano for line in price_lines(usage, price, at))
    assert charge <= bound_for(price, usage, more)


@UNHURRIED
@given(usage=usages(), price=prices(), at=AT, batch_ppm=st.integers(1, PPM))
def test_a_batch_is_never_over_its_bound(usage: Usage, price: PriceVersion, at: int, batch_ppm: int) -> None:
    batch = replace(price, batch_ppm=batch_ppm)
    assert sum(line.charge_nano for line in price_lines(usage, batch, at, batch=True)) <= bound_for(batch, usage)


@given(usage=usages(), price=plain_prices(), at=AT)
def test_rounding_adds_nothing_to_a_bound_at_whole_rates(usage: Usage, price: PriceVersion, at: int) -> None:
    whole = max(price.rates_pico.values(), default=0) // 1_000 * 1_000 + 1_000
    dearest: Rates = {TokenClass.INPUT_FRESH: whole, TokenClass.INPUT_AUDIO: whole, TokenClass.OUTPUT_TEXT: whole}
    units: Rates = dict.fromkeys(UnitClass, whole)
    exact = replace(price, rates_pico={**price.rates_pico, **dearest, **units}, markup_ppm=PPM)
    assert exact.rounding_nano == 0
    assert sum(line.charge_nano for line in price_lines(usage, exact, at)) <= bound_for(exact, usage)


def test_a_price_per_call_is_held_as_it_is_billed() -> None:
    price = replace(a_price(input_pico=0, output_pico=0), rates_pico={UnitClass.CALL: 100_000_000_000})
    assert bound_nano(price, 900, 256) == sum(line.charge_nano for line in price_lines(Usage(), price, 0)) == 10**8
    assert replace(price, markup_ppm=1_000_001).rounding_nano == 0
    assert replace(price, rates_pico={UnitClass.CALL: 100_000_000_001}).rounding_nano == MOST_LINES


def test_a_bound_allows_for_every_line_being_rounded_up() -> None:
    price = a_price(input_pico=1_500, output_pico=1_500)
    usage = Usage(1, 1, 1, 1, 1, 1)
    assert sum(line.charge_nano for line in price_lines(usage, price, 0)) == 12
    assert bound_nano(price, usage.input_total, usage.output_total) >= 12


@given(usage=usages(), price=plain_prices())
def test_lines_account_for_every_token_once(usage: Usage, price: PriceVersion) -> None:
    lines = price_lines(usage, price, 0)
    tokens = [line for line in lines if line.kind in set(TokenClass)]
    assert sum(line.quantity for line in tokens) == usage.input_total + usage.output_total
    assert len({line.kind for line in lines}) == len(lines)
    exact_pico = sum(line.quantity * line.price_pico for line in lines)
    assert abs(sum(line.cost_nano for line in lines) * 1000 - exact_pico) <= 500 * len(lines)
    assert all(isinstance(line.cost_nano, int) and isinstance(line.charge_nano, int) for line in lines)


@UNHURRIED
@given(usage=usages(), price=prices(), at=AT)
def test_what_is_not_charged_still_costs(usage: Usage, price: PriceVersion, at: int) -> None:
    free = price_lines(usage, price, at, charged=False)
    assert [replace(line, charge_nano=0) for line in price_lines(usage, price, at)] == list(free)


@UNHURRIED
@given(usage=usages(), price=prices(), at=AT)
def test_without_markup_cost_is_charge(usage: Usage, price: PriceVersion, at: int) -> None:
    for line in price_lines(usage, replace(price, markup_ppm=PPM), at):
        assert line.cost_nano == line.charge_nano


@given(price=plain_prices())
def test_the_dearest_of_each_side_makes_the_bound(price: PriceVersion) -> None:
    def dearest(classes: tuple[TokenClass, ...]) -> int:
        return max(rate_of(price.rates_pico, each) or 0 for each in classes)

    assert price.dearest_input_pico == dearest(TEXT_INPUT_CLASSES)
    assert price.dearest_media_pico == dearest(INPUT_CLASSES)
    assert price.dearest_output_pico == dearest(OUTPUT_CLASSES)


def test_media_are_held_at_the_dearest_of_all_input_and_text_at_that_of_text() -> None:
    price = replace(a_price(), rates_pico={**a_price().rates_pico, TokenClass.INPUT_AUDIO: 32_000})
    assert bound_nano(price, 100, 0) == 100
    assert bound_nano(price, 0, 0, 100) == 3_200
    assert bound_nano(price, 0, 0, 0, ((UnitClass.IMAGE, 9),)) == 0


def test_a_free_price_binds_nothing() -> None:
    free = a_price(input_pico=0, output_pico=0)
    assert free.is_free
    assert bound_nano(free, 10**6, 10**6) == 0
    assert not a_price().is_free
    assert not replace(free, rates_pico={UnitClass.IMAGE: 1}).is_free
    assert not replace(free, tiers=(PriceTier(10, LONG),)).is_free


def test_no_usage_makes_no_line() -> None:
    assert price_lines(Usage(), a_price(), 0) == ()
    assert Usage().quantities() == ()


def test_only_the_upstreams_counts_are_exact() -> None:
    assert not Usage().estimated
    assert Usage(source="counted").estimated
    assert Usage(source="bound").estimated


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({TokenClass.INPUT_FRESH: 1}, {TokenClass.INPUT_AUDIO: 1, TokenClass.INPUT_IMAGE: 1}),
        ({TokenClass.INPUT_AUDIO: 7}, {TokenClass.INPUT_AUDIO_CACHE_READ: 7, TokenClass.INPUT_IMAGE: None}),
        (
            {TokenClass.INPUT_CACHE_READ: 2},
            {TokenClass.INPUT_AUDIO_CACHE_READ: 2, TokenClass.INPUT_IMAGE_CACHE_READ: 2},
        ),
        ({TokenClass.OUTPUT_TEXT: 3}, {TokenClass.OUTPUT_AUDIO: 3, TokenClass.OUTPUT_IMAGE: 3, UnitClass.IMAGE: None}),
    ],
)
def test_a_class_without_a_rate_takes_the_nearest(given: Rates, wanted: dict[UsageClass, int | None]) -> None:
    assert {each: rate_of(given, each) for each in wanted} == wanted


@pytest.mark.parametrize(("tokens", "pico"), [(0, 1_000), (200, 1_000), (201, 5_000), (1_000, 5_000), (1_001, 7_000)])
def test_the_whole_request_is_priced_by_the_highest_tier_that_its_input_passes(tokens: int, pico: int) -> None:
    tiers = (PriceTier(200, LONG), PriceTier(1_000, {TokenClass.INPUT_FRESH: 7_000, TokenClass.OUTPUT_TEXT: 1}))
    price = replace(a_price(), tiers=tiers)
    assert rates_at(price, tokens, 0)[TokenClass.INPUT_FRESH] == pico
    lines = price_lines(Usage(input_fresh=tokens), price, 0)
    assert [line.price_pico for line in lines] == [pico] * bool(tokens)


def test_cached_and_heard_tokens_count_for_the_tier() -> None:
    price = replace(a_price(), tiers=(PriceTier(200, LONG),))
    usage = Usage(input_fresh=1, input_cache_read=100, more=rare({TokenClass.INPUT_AUDIO: 100}))
    assert usage.input_total == 201
    assert {line.price_pico for line in price_lines(usage, price, 0)} == {5_000}


NIGHT = PriceWindow(16 * 60 + 30, 30, frozenset({0, 6}), 500_000)


@pytest.mark.parametrize(
    ("at", "is_cheap"),
    [
        ("2026-11-23T16:29:59", False),
        ("2026-11-23T16:30:00", True),  # a Monday
        ("2026-11-24T00:29:59", True),
        ("2026-11-24T00:30:00", False),
        ("2026-11-24T17:00:00", False),
        ("2026-11-22T23:00:00", True),  # a Sunday, whose night goes on into the Monday
        ("2026-11-23T00:29:59", True),
        ("2026-11-23T00:30:00", False),
    ],
)
def test_a_window_holds_from_its_first_minute_until_before_its_last_and_past_midnight(at: str, is_cheap: bool) -> None:
    price = replace(a_price(), windows=(NIGHT,))
    rates = rates_at(price, 0, micros(at))
    assert rates[TokenClass.INPUT_FRESH] == (500 if is_cheap else 1_000)
    assert rates[TokenClass.OUTPUT_TEXT] == (2_000 if is_cheap else 4_000)


@given(start=MINUTE, end=MINUTE, days=st.frozensets(st.integers(0, 6), min_size=1))
def test_a_window_spans_its_length_on_each_of_its_days(start: int, end: int, days: frozenset[int]) -> None:
    spans = list(PriceWindow(start, end, days).spans())
    assert sum(last - first for first, last in spans) == ((end - start) % DAY_MINUTES or DAY_MINUTES) * len(days)
    assert all(0 <= first < last <= 7 * DAY_MINUTES for first, last in spans)


def test_a_window_multiplies_the_tiers_rates_or_replaces_them_all() -> None:
    price = replace(a_price(), tiers=(PriceTier(200, LONG),), windows=(PriceWindow(0, 0, ALL_DAYS, 2 * PPM),))
    assert rates_at(price, 201, 0)[TokenClass.INPUT_FRESH] == 10_000
    own = replace(price, windows=(PriceWindow(0, 0, ALL_DAYS, PPM, CHEAP),))
    assert rates_at(own, 201, 0) == CHEAP
    assert own.dearest_input_pico == 5_000
    assert price.dearest_input_pico == 10_000


def test_a_batch_pays_its_part_of_the_rates_that_hold() -> None:
    price = replace(a_price(), tiers=(PriceTier(200, LONG),), batch_ppm=500_000)
    assert price_lines(Usage(input_fresh=300), price, 0, batch=True)[0].price_pico == 2_500
    assert price_lines(Usage(input_fresh=100), price, 0, batch=True)[0].price_pico == 500
    assert price_lines(Usage(input_fresh=100), price, 0)[0].price_pico == 1_000


def test_a_call_is_priced_whatever_it_used_and_once() -> None:
    price = replace(a_price(), rates_pico={**a_price().rates_pico, UnitClass.CALL: 5_000_000})
    lines = price_lines(Usage(input_fresh=10), price, 0)
    assert [(line.kind, line.quantity, line.cost_nano) for line in lines] == [
        ("input_fresh", 10, 10),
        ("call", 1, 5_000),
    ]
    assert bound_nano(price, 10, 0) >= 5_010
    counted = Usage(more=((UnitClass.CALL, 3),))
    assert [(line.kind, line.quantity) for line in price_lines(counted, price, 0)] == [("call", 3)]


def test_units_without_a_rate_make_no_line() -> None:
    usage = Usage(input_fresh=1, more=((UnitClass.SEARCH, 4), (UnitClass.SECOND, 9)))
    price = replace(a_price(), rates_pico={UnitClass.SECOND: 100_000_000})
    assert [(line.kind, line.quantity, line.cost_nano) for line in price_lines(usage, price, 0)] == [
        ("second", 9, 900_000)
    ]


def test_a_plain_price_has_one_table_of_rates() -> None:
    assert a_price().is_plain
    assert not replace(a_price(), tiers=(PriceTier(1, LONG),)).is_plain
    assert not replace(a_price(), windows=(NIGHT,)).is_plain
    assert not replace(a_price(), rates_pico={UnitClass.CALL: 1}).is_plain
    assert replace(a_price(), rates_pico={UnitClass.IMAGE: 1}).is_plain
