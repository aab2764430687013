"""Lists of prices that others publish, read as tables of ours."""

import json

import pytest

from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonValue
from headrace.wire.price_sources import Format, Offered, read_source

DAY = "2026-11-25"


def read(form: Format, value: JsonValue) -> tuple[Offered, ...]:
    """What a source of this format says."""
    return read_source("list.json", json.dumps(value).encode(), form, DAY)


def genai(prices: JsonValue, **model: JsonValue) -> Offered:
    """One model of genai-prices with these prices."""
    (offered,) = read("genai-prices", [{"id": "acme", "models": [{"id": "one", "prices": prices, **model}]}])
    return offered


def dev(cost: JsonValue) -> Offered:
    """One model of models.dev with this cost."""
    (offered,) = read("models.dev", {"acme": {"models": {"one": {"cost": cost}, "free": {}}}})
    return offered


def test_rates_of_genai_prices_keep_every_digit() -> None:
    prices: JsonValue = {
        "input_mtok": 0.1,
        "output_mtok": 1e-3,
        "cache_write_1h_mtok": 6,
        "cache_audio_read_mtok": None,
        "web_searches_kcount": 10,
        "input_audio_hours": 0.36,
        "audio_hours": 0.36,
        "input_video_mtok": 1,
    }
    offered = genai(prices)
    assert offered.table == {
        "input": "0.1",
        "output": "0.001",
        "cache_write_1h": "6",
        "usd_per_search": "0.01",
        "usd_per_minute": "0.006",
    }
    assert (offered.provider, offered.names, offered.left_out) == ("acme", {"one"}, ("input_video_mtok",))


def test_tiers_of_genai_prices_price_the_whole_request() -> None:
    tiered: JsonValue = {
        "input_mtok": {"base": 1.25, "tiers": [{"start": 200000, "price": 2.5}]},
        "output_mtok": {"base": 10, "tiers": [{"start": 200000, "price": 15}, {"start": 500000, "price": 20}]},
        "cache_read_mtok": 0.1,
    }
    assert genai(tiered).table == {
        "input": "1.25",
        "output": "10",
        "cache_read": "0.1",
        "tiers": [
            {"over_input_tokens": 200_000, "input": "2.5", "output": "15", "cache_read": "0.1"},
            {"over_input_tokens": 500_000, "input": "2.5", "output": "20", "cache_read": "0.1"},
        ],
    }


def test_the_newest_price_that_has_begun_counts_and_the_hours_after_it() -> None:
    entries: JsonValue = [
        {"prices": {"input_mtok": 1}},
        {"constraint": {"start_time": "00:30:00Z", "end_time": "16:30:00Z"}, "prices": {"input_mtok": 9}},
        {"constraint": {"start_date": "2026-11-01"}, "prices": {"input_mtok": 2}},
        {"constraint": {"start_time": "01:00:00Z", "end_time": "04:00:00Z"}, "prices": {"input_mtok": 4}},
        {"constraint": {"start_date": "2027-01-01"}, "prices": {"input_mtok": 3}},
    ]
    window = {"from_utc": "01:00", "to_utc": "04:00", "input": "4"}
    assert genai(entries).table == {"input": "2", "windows": [window]}


def test_a_model_goes_by_its_exact_names_only() -> None:
    match: JsonValue = {"or": [{"equals": "one-latest"}, {"starts_with": "on"}, {"or": [{"equals": "uno"}]}]}
    assert genai({"input_mtok": 1}, match=match).names == {"one", "one-latest", "uno"}


def test_costs_of_models_dev() -> None:
    offered = dev({"input": 2, "output": 12, "cache_read": 0.2, "reasoning": 12, "output_audio": 3, "odd": 1})
    assert offered.table == {
        "input": "2",
        "output": "12",
        "cache_read": "0.2",
        "reasoning": "12",
        "output_audio": "3",
    }
    assert offered.left_out == ("odd",)


def test_long_contexts_of_models_dev_keep_what_they_do_not_say() -> None:
    long: JsonValue = {"input": 4, "output": 18}
    assert dev({"input": 2, "output": 12, "cache_write": 3, "context_over_200k": long}).table["tiers"] == [
        {"over_input_tokens": 200_000, "input": "4", "output": "18", "cache_write_5m": "3"}
    ]


CATALOG = b"""
[provider]
name = "acme"

[[models]]
id = "one"

[[models.prices]]
effective = 2026-01-01
source = "x"
input = "9"

[[models.prices]]
effective = 2026-11-25
source = "x"
input = "1"
output = "2"
batch_multiplier = "0.5"

[[models.prices.tiers]]
over_input_tokens = 5
input = "3"
output = "4"

[[models.prices.windows]]
from_utc = "01:00"
to_utc = "02:00"
days = ["mon"]
multiplier = "2"

[[models.prices]]
effective = 2027-01-01
source = "x"
input = "8"

[[models]]
id = "later"

[[models.prices]]
effective = 2027-01-01
source = "x"
input = "8"
"""


def test_a_catalog_file_offers_its_prices_of_the_day() -> None:
    (offered,) = read_source("any.toml", CATALOG, "catalog", DAY)
    assert offered.table == {
        "input": "1",
        "output": "2",
        "batch_multiplier": "0.5",
        "tiers": [{"input": "3", "output": "4", "over_input_tokens": 5}],
        "windows": [{"from_utc": "01:00", "to_utc": "02:00", "days": ["mon"], "multiplier": "2"}],
    }
    assert (offered.provider, offered.names, offered.says_batch) == ("acme", {"one"}, True)


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("genai-prices", b"{}"[:1]),
        ("genai-prices", b'{"a": 1}'),
        ("genai-prices", b'[{"id": "a", "models": [{"id": "b", "prices": {"input_mtok": "cheap"}}]}]'),
        ("models.dev", b"[]"),
        ("models.dev", b'{"a": {"models": {"b": {"cost": {"input": []}}}}}'),
        ("catalog", b"{}"),
        ("catalog", b'[provider]\nnam = "x"\n'),
    ],
)
def test_a_file_of_another_format_is_refused(form: Format, data: bytes) -> None:
    with pytest.raises(ConfigInvalid, match=r"list\.json"):
        read_source("list.json", data, form, DAY)


PACKAGE = b'''
"""Data."""
import datetime
from decimal import Decimal
from .types import *

providers: list[Provider] = [
    Provider(
        id='acme',
        models=[
            ModelInfo(
                id='one',
                match=ClauseOr(or_=[ClauseEquals(equals='uno'), ClauseStartsWith(starts_with='o')]),
                context_window=1000,
                prices=[
                    ConditionalPrice(constraint=None, prices=ModelPrice(input_mtok=Decimal('1'))),
                    ConditionalPrice(
                        constraint=StartDateConstraint(start_date=datetime.date(2026, 11, 1)),
                        prices=ModelPrice(
                            input_mtok=TieredPrices(base=Decimal('2'), tiers=[Tier(start=5, price=Decimal('3'))]),
                            output_mtok=Decimal('8'),
                        ),
                    ),
                    ConditionalPrice(
                        constraint=TimeOfDateConstraint(
                            start_time=datetime.time(0, 30, tzinfo=datetime.UTC),
                            end_time=datetime.time(16, 30, tzinfo=datetime.UTC),
                        ),
                        prices=ModelPrice(input_mtok=Decimal('4'), output_mtok=Decimal('16')),
                    ),
                ],
                price_variants=[
                    PriceVariant(
                        when={'processing': 'batch'},
                        prices=ModelPrice(
                            input_mtok=TieredPrices(base=Decimal('1'), tiers=[Tier(start=5, price=Decimal('1.5'))]),
                            output_mtok=Decimal('4'),
                        ),
                    ),
                    PriceVariant(
                        when={'service_tier': 'flex'},
                        prices=ModelPrice(input_mtok=Decimal('1'), output_mtok=Decimal('4')),
                    ),
                ],
            )
        ],
    )
]
'''


def test_the_data_of_the_package_is_read_without_being_run() -> None:
    (offered,) = read_source("data.py", PACKAGE, "genai-prices", DAY)
    assert offered.names == {"one", "uno"}
    assert offered.table == {
        "input": "2",
        "output": "8",
        "tiers": [{"over_input_tokens": 5, "input": "3", "output": "8"}],
        "windows": [{"from_utc": "00:30", "to_utc": "16:30", "input": "4", "output": "16"}],
        "batch_multiplier": "0.5",
    }
    assert (offered.says_batch, offered.says_service_tiers) == (True, False)
    assert offered.left_out == ("a price for service_tier flex",)


@pytest.mark.parametrize("text", ["providers: list = [x + 1]", "other = 1", "providers: list = [", "providers: list"])
def test_a_module_that_is_not_plain_data_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"not a file in the format genai-prices"):
        read_source("data.py", text.encode(), "genai-prices", DAY)


def variant(when: JsonValue, prices: JsonValue, start: str | None = None) -> JsonValue:
    """A variant of genai-prices."""
    return {"when": when, "prices": prices, "constraint": None if start is None else {"start_date": start}}


def test_variants_are_multipliers_of_a_batch_and_of_service_tiers() -> None:
    base: JsonValue = {"input_mtok": 2, "output_mtok": 8, "web_searches_kcount": 10}
    variants: list[JsonValue] = [
        variant({"processing": "batch"}, {"input_mtok": 0.1, "output_mtok": 0.1}, "2027-01-01"),
        variant({"processing": "batch"}, {"input_mtok": 1, "output_mtok": 4}, "2026-10-14"),
        variant({"processing": "batch"}, {"input_mtok": 2, "output_mtok": 8}),
        variant({"service_tier": "priority"}, {"input_mtok": 3.5, "output_mtok": 14}),
        variant({"service_tier": "default"}, {"input_mtok": 2, "output_mtok": 8}),
        variant({"speed": "fast"}, {"input_mtok": 4, "output_mtok": 16}),
        variant({"service_tier": "flex"}, {"input_mtok": 1, "output_mtok": 5}),
        variant({"service_tier": "odd"}, {"input_mtok": 1}),
        variant({"route": "eu"}, {"input_mtok": 4, "output_mtok": 16}),
    ]
    offered = genai(base, price_variants=variants)
    assert offered.table["batch_multiplier"] == "0.5"
    assert offered.table["service_tiers"] == {"priority": "1.75", "fast": "2"}
    assert offered.left_out == ("a price for route eu", "a price for service_tier flex", "a price for service_tier odd")
    assert (offered.says_batch, offered.says_service_tiers) == (True, True)


def test_a_multiplier_of_more_than_six_places_is_not_one() -> None:
    offered = genai({"input_mtok": 3}, price_variants=[variant({"processing": "batch"}, {"input_mtok": 1})])
    assert (offered.left_out, offered.says_batch) == (("a price for processing batch",), False)


def listed(pricing: JsonValue, key: str = "data", **model: JsonValue) -> Offered:
    """One model in a provider's own list."""
    entry: JsonValue = {"id": "acme/one", "pricing": pricing, **model}
    (offered,) = read_source("models.json", json.dumps({key: [entry]}).encode(), "provider", DAY, "acme")
    return offered


def test_a_list_with_prices_per_token() -> None:
    pricing: JsonValue = {
        "prompt": "0.0000025",
        "completion": "0.00001",
        "input_cache_read": "0.00000025",
        "input_cache_write": "0",
        "internal_reasoning": "0.00001",
        "request": "0.005",
        "web_search": "0.01",
        "image": "0.001",
        "image_token": "0.0",
        "discount": 0.5,
        "overrides": [{"prompt": "1"}],
    }
    offered = listed(pricing, canonical_slug="acme/one-2026")
    assert offered.table == {
        "input": "2.5",
        "output": "10",
        "cache_read": "0.25",
        "reasoning": "10",
        "usd_per_call": "0.005",
        "usd_per_search": "0.01",
    }
    assert (offered.provider, offered.names) == ("acme", {"acme/one", "acme/one-2026"})
    assert offered.left_out == ("image", "overrides")


def test_a_list_with_prices_per_million() -> None:
    pricing: JsonValue = {
        "input_price_per_million": 0.25,
        "output_price_per_million": 0.55,
        "cache_read_input_price_per_million": 0.0,
        "input_cache_read": 2.5e-08,
        "cache_write_1h_input_price_per_million": 0.5,
        "reasoning_price_per_million": 0,
        "price_per_image": 0.0,
        "price_per_second": 0.03,
    }
    offered = listed(pricing, key="models", model_id="one")
    assert offered.table == {"input": "0.25", "output": "0.55", "cache_read": "0.025", "cache_write_1h": "0.5"}
    assert (offered.names, offered.left_out) == ({"acme/one", "one"}, ("price_per_second",))


def test_a_list_prices_drawings_by_text_and_image_tokens_or_by_the_piece() -> None:
    pricing: JsonValue = {"text_input_price_per_million": 5, "image_output_price_per_million": 30, "currency": "usd"}
    assert listed(pricing, key="models").table == {"input": "5", "output_image": "30", "currency": "USD"}
    speech: JsonValue = {"price_per_thousand_characters": 0.015}
    assert listed(speech, key="models").table == {"usd_per_mchar": "15"}


def test_a_free_model_is_offered_and_one_without_a_price_is_not() -> None:
    assert listed({"prompt": "0", "completion": "0"}).table == {"input": "0"}
    none = json.dumps({"models": [{"id": "x", "pricing": {"input_price_per_million": 0}}, {"id": "y"}]}).encode()
    assert read_source("models.json", none, "provider", DAY, "acme") == ()


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"data":[{"pricing":{"prompt":"1"}}]}', '{"data":[{"id":"x","pricing":7}]}']
)
def test_another_file_than_a_list_of_models_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"not a file in the format provider"):
        read_source("models.json", text.encode(), "provider", DAY, "acme")


@pytest.mark.parametrize(("form", "provider"), [("provider", None), ("models.dev", "acme")])
def test_a_provider_is_named_where_and_only_where_a_list_does_not_say_it(form: Format, provider: str | None) -> None:
    with pytest.raises(ConfigInvalid, match=r"whose"):
        read_source("models.json", b"{}", form, DAY, provider)


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-Infinity", "1e400", "-1", "1e12"])
def test_what_is_no_price_stays_as_it_is_for_the_check_to_show(price: str) -> None:
    text = '{"acme":{"models":{"one":{"cost":{"input":' + price + "}}}}}"
    (offered,) = read_source("list.json", text.encode(), "models.dev", DAY)
    assert offered.table["input"] in {"NaN", "Infinity", "-Infinity", "1E+400", "-1", "1E+12"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("list.json", b"[" * 200_000),
        ("data.py", b"providers: list = " + b"-" * 200_000 + b"1"),
        (
            "list.json",
            b'[{"id": "acme", "models": [{"id": "one", "prices": {"input_mtok": {"base": 1, "tiers": '
            b'[{"start": 1e999999, "price": 2}]}}}]}]',
        ),
    ],
)
def test_a_file_that_would_wear_us_out_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(ConfigInvalid, match="this is not a file in the format genai-prices"):
        read_source(name, data, "genai-prices", DAY)
