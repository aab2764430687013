"""Price versions of catalog tables."""

from dataclasses import replace

import msgspec
import pytest

from headrace.domain.price import PriceVersion, PriceWindow
from headrace.domain.usage import TEXT_CLASSES, TokenClass, UnitClass
from headrace.services.price_versions import price_version, rates_digest
from headrace.wire.catalog_schema import PriceTable

TIER = {"over_input_tokens": 200_000, "input": "2", "output": "4"}


def price(**keys: object) -> PriceVersion:
    """The price of a table with these keys."""
    table = msgspec.convert({"effective": "2026-11-01", "source": "test", **keys}, PriceTable)
    return price_version(table, "one", "acme")


def test_the_classes_of_text_are_always_priced_and_the_others_as_given() -> None:
    rates = price(input="1", output="3", input_audio="32").rates_pico
    assert rates == {
        TokenClass.INPUT_FRESH: 1_000_000,
        TokenClass.INPUT_CACHE_READ: 1_000_000,
        TokenClass.INPUT_CACHE_WRITE_5M: 1_000_000,
        TokenClass.INPUT_CACHE_WRITE_1H: 1_000_000,
        TokenClass.OUTPUT_TEXT: 3_000_000,
        TokenClass.OUTPUT_REASONING: 3_000_000,
        TokenClass.INPUT_AUDIO: 32_000_000,
    }
    assert tuple(rates)[:6] == TEXT_CLASSES


@pytest.mark.parametrize(
    ("key", "text", "unit", "pico"),
    [
        ("usd_per_call", "0.005", UnitClass.CALL, 5_000_000_000),
        ("usd_per_image", "0.065", UnitClass.IMAGE, 65_000_000_000),
        ("usd_per_search", "0.000000000001", UnitClass.SEARCH, 1),
        ("usd_per_mchar", "15", UnitClass.CHARACTER, 15_000_000),
        ("usd_per_minute", "0.006", UnitClass.SECOND, 100_000_000),
        ("usd_per_minute", "0.004", UnitClass.SECOND, 66_666_667),
    ],
)
def test_units_are_priced_in_the_unit_of_the_key(key: str, text: str, unit: UnitClass, pico: int) -> None:
    assert price(**{key: text}).rates_pico == {unit: pico}


def test_the_id_of_a_price_without_variants_is_what_it_was() -> None:
    assert price(input="1", output="5", cache_read="0.1").id == "acme/one@2026-11-01#0e52e092"


def test_everything_that_decides_the_cost_is_in_the_id() -> None:
    window = {"from_utc": "01:00", "to_utc": "04:00", "multiplier": "2"}
    different = [
        price(input="1", output="2"),
        price(input="1", output="2", input_audio="1"),
        price(input="1", output="2", usd_per_search="0.01"),
        price(input="1", output="2", batch_multiplier="0.5"),
        price(input="1", output="2", markup="1.2"),
        price(input="1", output="2", tiers=[TIER]),
        price(input="1", output="2", tiers=[{**TIER, "output": "5"}]),
        price(input="1", output="2", windows=[window]),
        price(input="1", output="2", windows=[{**window, "days": ["mon"]}]),
        price(usd_per_image="0.01"),
        price(usd_per_image="0.02"),
    ]
    assert len({each.id for each in different}) == len(different)
    assert price(input="1", output="2", source="elsewhere").id == different[0].id


def test_a_markup_turns_cost_into_charge() -> None:
    assert price(input="1", output="2", markup="1.333333").markup_ppm == 1_333_333
    assert price(input="1", output="2", markup="1").id == price(input="1", output="2").id


def test_tiers_and_windows_are_taken_over() -> None:
    window = {"from_utc": "16:30", "to_utc": "00:30", "days": ["fri", "mon"], "multiplier": "0.5"}
    own = {"from_utc": "02:00", "to_utc": "03:00", "input": "3", "output": "4"}
    made = price(input="1", output="2", tiers=[TIER], windows=[window, own], batch_multiplier="0.25")
    assert [(each.over_input_tokens, each.rates_pico[TokenClass.OUTPUT_REASONING]) for each in made.tiers] == [
        (200_000, 4_000_000)
    ]
    assert made.windows[0] == PriceWindow(990, 30, frozenset({0, 4}), 500_000)
    rates = made.windows[1].rates_pico
    assert rates is not None
    assert (rates[TokenClass.INPUT_FRESH], rates[TokenClass.OUTPUT_TEXT]) == (3_000_000, 4_000_000)
    assert made.windows[1].days == frozenset(range(7))
    assert made.batch_ppm == 250_000


def test_a_service_tier_is_a_version_of_its_own_with_dearer_tokens_and_the_same_pieces() -> None:
    window = {"from_utc": "01:00", "to_utc": "02:00", "input": "3", "output": "4", "usd_per_search": "0.01"}
    tier = {**TIER, "usd_per_search": "0.01"}
    made = price(
        input="1",
        output="2",
        usd_per_search="0.01",
        tiers=[tier],
        windows=[window, {"from_utc": "03:00", "to_utc": "04:00", "multiplier": "2"}],
        service_tiers={"priority": "1.75", "standard": "1"},
    )
    fast = made.service_tiers["priority"]
    assert fast.multiplier_ppm == 1_750_000
    assert fast.price.rates_pico[TokenClass.INPUT_FRESH] == 1_750_000
    assert fast.price.rates_pico[UnitClass.SEARCH] == 10_000_000_000
    assert fast.price.tiers[0].rates_pico[TokenClass.OUTPUT_TEXT] == 7_000_000
    own, times = fast.price.windows
    assert own.rates_pico is not None
    assert (own.rates_pico[TokenClass.INPUT_FRESH], times.multiplier_ppm) == (5_250_000, 2_000_000)
    assert fast.price.id.endswith(rates_digest(fast.price))
    assert fast.price.id != made.id
    assert fast.price.service_tiers == {}
    assert made.service_tiers["standard"].price == replace(made, service_tiers={})


def test_service_tiers_leave_the_id_of_the_price_as_it_is() -> None:
    assert price(input="1", output="2", service_tiers={"flex": "0.5"}).id == price(input="1", output="2").id
