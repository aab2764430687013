"""Prices as the API shows them and as the store keeps them."""

from dataclasses import replace

from hypothesis import given

from headrace.domain.price import PriceTier, PriceVersion, PriceWindow
from headrace.domain.usage import TokenClass, UnitClass
from headrace.wire.price_json import (
    rates_text,
    read_rates,
    read_variants,
    shown_rates,
    usage_class,
    variants_object,
    variants_text,
    version_object,
)
from tests.fakes.nouns import a_price
from tests.unit.domain.test_price import prices

RATES = {TokenClass.INPUT_FRESH: 2_500_000, UnitClass.CHARACTER: 15_000_000, UnitClass.IMAGE: 65_000_000_000}
WINDOWS = (
    PriceWindow(990, 30, frozenset({0, 4}), 500_000),
    PriceWindow(600, 660, frozenset({5}), rates_pico={TokenClass.INPUT_FRESH: 1_000_000}),
)


@given(price=prices())
def test_what_is_kept_comes_back(price: PriceVersion) -> None:
    assert read_rates(rates_text(price.rates_pico)) == price.rates_pico
    tiers, windows, batch_ppm = read_variants(variants_text(price))
    assert replace(price, tiers=tiers, windows=windows, batch_ppm=batch_ppm) == price


def test_a_plain_price_keeps_no_variants() -> None:
    assert variants_text(a_price()) is None
    assert variants_text(replace(a_price(), batch_ppm=500_000)) == '{"batch_ppm":500000}'


def test_rates_are_shown_per_million_or_each() -> None:
    assert shown_rates(RATES) == {
        "usd_per_mtok": {"input_fresh": "2.5", "character": "15"},
        "usd_each": {"image": "0.065"},
    }
    assert "usd_each" not in shown_rates({TokenClass.INPUT_FRESH: 1})


def test_a_version_shows_everything_that_decides_the_cost() -> None:
    tiers = (PriceTier(200, {TokenClass.INPUT_FRESH: 4_000_000}),)
    price = replace(a_price(), rates_pico=RATES, tiers=tiers, windows=WINDOWS, batch_ppm=500_000)
    shown = version_object(price)
    variants = {name: shown[name] for name in ("tiers", "windows", "batch_multiplier")}
    assert variants == {
        "tiers": [{"over_input_tokens": 200, "usd_per_mtok": {"input_fresh": "4"}}],
        "windows": [
            {"from_utc": "16:30", "to_utc": "00:30", "days": ["mon", "fri"], "multiplier": "0.5"},
            {"from_utc": "10:00", "to_utc": "11:00", "days": ["sat"], "usd_per_mtok": {"input_fresh": "1"}},
        ],
        "batch_multiplier": "0.5",
    }
    assert variants_object(variants_text(price) or "") == variants
    assert version_object(a_price())["batch_multiplier"] is None


def test_every_class_has_its_name() -> None:
    assert [usage_class(each.value) for each in (*TokenClass, *UnitClass)] == [*TokenClass, *UnitClass]
