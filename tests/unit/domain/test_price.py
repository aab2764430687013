"""Lines of usage, and bounds that no bill passes."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.domain.price import PriceVersion, bound_nano, price_lines
from headrace.domain.usage import TokenClass, Usage
from tests.fakes.nouns import a_price

RATES = st.fixed_dictionaries({each: st.integers(0, 10**9) for each in TokenClass})
COUNT = st.integers(0, 10**6)
USAGES = st.builds(Usage, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT)
PRICES = st.builds(
    PriceVersion, st.just("p"), st.just("acme"), st.just("m"), st.just("2026-11-01"), st.just("x"), RATES, COUNT
)


@given(usage=USAGES, price=PRICES, more=st.integers(0, 100))
def test_a_bound_is_never_under_the_bill(usage: Usage, price: PriceVersion, more: int) -> None:
    charge = sum(line.charge_nano for line in price_lines(usage, price))
    assert charge <= bound_nano(price, usage.input_total + more, usage.output_total + more)


def test_a_bound_allows_for_every_line_being_rounded_up() -> None:
    price = a_price(input_pico=1_500, output_pico=1_500)
    usage = Usage(1, 1, 1, 1, 1, 1)
    assert sum(line.charge_nano for line in price_lines(usage, price)) == 12
    assert bound_nano(price, usage.input_total, usage.output_total) >= 12


@given(usage=USAGES, price=PRICES)
def test_lines_account_for_every_token_once(usage: Usage, price: PriceVersion) -> None:
    lines = price_lines(usage, price)
    assert sum(line.quantity for line in lines) == usage.input_total + usage.output_total
    assert len({line.kind for line in lines}) == len(lines)
    assert [line.price_pico for line in lines] == [price.rates_pico[TokenClass(line.kind)] for line in lines]
    exact_pico = sum(line.quantity * line.price_pico for line in lines)
    assert abs(sum(line.cost_nano for line in lines) * 1000 - exact_pico) <= 500 * len(lines)
    assert all(isinstance(line.cost_nano, int) and isinstance(line.charge_nano, int) for line in lines)


@given(usage=USAGES, price=PRICES)
def test_what_is_not_charged_still_costs(usage: Usage, price: PriceVersion) -> None:
    free = price_lines(usage, price, charged=False)
    assert [replace(line, charge_nano=0) for line in price_lines(usage, price)] == list(free)


@given(usage=USAGES, price=PRICES)
def test_without_markup_cost_is_charge(usage: Usage, price: PriceVersion) -> None:
    for line in price_lines(usage, replace(price, markup_ppm=1_000_000)):
        assert line.cost_nano == line.charge_nano


@given(price=PRICES)
def test_the_dearest_of_each_side_makes_the_bound(price: PriceVersion) -> None:
    assume(not price.is_free)
    assert price.dearest_input_pico == max(
        pico for each, pico in price.rates_pico.items() if each.value.startswith("input")
    )
    assert price.dearest_output_pico == max(
        pico for each, pico in price.rates_pico.items() if each.value.startswith("output")
    )


def test_a_free_price_binds_nothing() -> None:
    free = a_price(input_pico=0, output_pico=0)
    assert free.is_free
    assert bound_nano(free, 10**6, 10**6) == 0
    assert not a_price().is_free


def test_no_usage_makes_no_line() -> None:
    assert price_lines(Usage(), a_price()) == ()
    assert Usage().quantities() == ()


def test_only_the_upstreams_counts_are_exact() -> None:
    assert not Usage().estimated
    assert Usage(source="counted").estimated
    assert Usage(source="bound").estimated
