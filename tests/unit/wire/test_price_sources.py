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
