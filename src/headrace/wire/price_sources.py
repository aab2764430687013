"""Lists of prices that others publish, read as tables of our catalog; which of them is taken is the operator's choice.

Formats: genai-prices' data.json or the data module of its package (https://github.com/pydantic/genai-prices, MIT),
models.dev's api.json (https://models.dev, MIT), a provider's own list of its models, and a catalog file of ours (read
2026-11-28). Numbers are read as decimals, never as floats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast

from headrace.domain.errors import ConfigInvalid
from headrace.domain.finding import config_invalid
from headrace.wire.catalog_file import CatalogFile, CatalogText, read_catalog_file
from headrace.wire.catalog_prices import rates_given
from headrace.wire.catalog_schema import RatesTable
from headrace.wire.genai_package import read_package
from headrace.wire.offered import Offered, decimal_text, multiplier_of
from headrace.wire.provider_prices import provider_offers
from headrace.wire.service_tier import STANDARD
from headrace.wire.toml_text import Table

Format: TypeAlias = Literal["genai-prices", "models.dev", "provider", "catalog"]
FORMATS: tuple[Format, ...] = ("genai-prices", "models.dev", "provider", "catalog")

# (their name, our key, what theirs is multiplied by)
_GENAI_RATES: tuple[tuple[str, str, Decimal], ...] = (
    ("input_mtok", "input", Decimal(1)),
    ("output_mtok", "output", Decimal(1)),
    ("cache_read_mtok", "cache_read", Decimal(1)),
    ("cache_write_mtok", "cache_write_5m", Decimal(1)),
    ("cache_write_1h_mtok", "cache_write_1h", Decimal(1)),
    ("input_audio_mtok", "input_audio", Decimal(1)),
    ("cache_audio_read_mtok", "cache_read_audio", Decimal(1)),
    ("output_audio_mtok", "output_audio", Decimal(1)),
    ("input_image_mtok", "input_image", Decimal(1)),
    ("cache_image_read_mtok", "cache_read_image", Decimal(1)),
    ("output_image_mtok", "output_image", Decimal(1)),
    ("output_reasoning_mtok", "reasoning", Decimal(1)),
    ("input_mchars", "usd_per_mchar", Decimal(1)),
    ("web_searches_kcount", "usd_per_search", Decimal("0.001")),
    ("requests_kcount", "usd_per_call", Decimal("0.001")),
    ("input_audio_hours", "usd_per_minute", 1 / Decimal(60)),
)
_SAID_ELSEWHERE = frozenset({"audio_hours"})
_MODELS_DEV_RATES: tuple[tuple[str, str], ...] = (
    ("input", "input"),
    ("output", "output"),
    ("cache_read", "cache_read"),
    ("cache_write", "cache_write_5m"),
    ("reasoning", "reasoning"),
    ("input_audio", "input_audio"),
    ("output_audio", "output_audio"),
)
_LONG, _LONG_TOKENS = "context_over_200k", 200_000
_BATCH = (("processing", "batch"),)
_TIERS = ("service_tier", "speed")
_MOST_TOKENS = 10**12
# The last two are what a parser says of a file that nests too deep.
_UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
    RecursionError,
    MemoryError,
)
NOTHING: Mapping[str, object] = MappingProxyType({})


def read_source(name: str, data: bytes, form: Format, day: str, provider: str | None = None) -> tuple[Offered, ...]:
    """Return what a file offers on a day; `provider` is whose list it is, where the list does not say.

    Raises ConfigInvalid when the file is not of that format.
    """
    if form == "catalog":
        return tuple(_catalog(name, data, day))
    if (form == "provider") is (provider is None):
        need = "--format provider needs --provider NAME: whose list it is."
        raise ConfigInvalid(need if provider is None else f"A list in the format {form} says whose prices it has.")
    try:
        if form == "genai-prices" and name.endswith(".py"):
            return tuple(_genai(read_package(data.decode()), day))
        found = json.loads(data, parse_float=Decimal, parse_int=Decimal, parse_constant=Decimal)
        if provider is not None:
            return tuple(provider_offers(found, provider))
        return tuple(_genai(found, day) if form == "genai-prices" else _models_dev(found))
    except _UNREADABLE as error:
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise ConfigInvalid(
            f"{name}: this is not a file in the format {form}{why}. Fetch it again, or give its format with "
            f"--format: {', '.join(FORMATS)}."
        ) from error


def _genai(providers: Sequence[Mapping[str, Any]], day: str) -> Iterator[Offered]:
    for provider in providers:
        for model in provider["models"]:
            names = frozenset({str(model["id"]), *_equal_names(model.get("match", {}))})
            table, left_out = _genai_table(model["prices"], day)
            said, unsaid = _variants(table, model.get("price_variants") or (), day)
            known = ("batch_multiplier" in said, "service_tiers" in said)
            yield Offered(str(provider["id"]), names, {**table, **said}, (*left_out, *unsaid), *known)


def _equal_names(match: Mapping[str, Any]) -> Iterator[str]:
    """Only exact names: a name that merely begins alike may be another model."""
    if "equals" in match:
        yield str(match["equals"])
    for each in match.get("or", ()):
        yield from _equal_names(each)


def _genai_table(prices: Any, day: str) -> tuple[Table, tuple[str, ...]]:
    entries = cast("list[Mapping[str, Any]]", prices if isinstance(prices, list) else [{"prices": prices}])
    base, windows = entries[0], list[Mapping[str, Any]]()
    for entry in entries:
        constraint: Mapping[str, Any] = entry.get("constraint") or {}
        if "start_time" in constraint:
            windows.append(entry)
        elif str(constraint.get("start_date", "")) <= day:
            # What a dated price says replaces the hours before it too.
            base, windows = entry, []
    table, left_out = _tiered(base["prices"])
    for entry in windows:
        hours, _ = _rates(entry["prices"], None)
        constraint = entry["constraint"]
        span = {"from_utc": str(constraint["start_time"])[:5], "to_utc": str(constraint["end_time"])[:5]}
        table.setdefault("windows", []).append({**span, **hours})
    return table, left_out


def _variants(table: Table, variants: Sequence[Mapping[str, Any]], day: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what a batch and service tiers pay, and what is no single multiplier; the first that has begun counts."""
    paid: dict[tuple[tuple[str, str], ...], str | None] = {}
    for variant in variants:
        constraint = cast("Mapping[str, Any]", variant.get("constraint") or NOTHING)
        if str(constraint.get("start_date", "")) <= day:
            paid.setdefault(tuple(variant["when"].items()), _multiplier(variant["prices"], table))
    names = {when: when[0][1] for when in paid if len(when) == 1 and when[0][0] in _TIERS}
    tiers = {name: str(paid[when]) for when, name in names.items() if paid[when] and name not in STANDARD}
    batch = paid.get(_BATCH)
    said: dict[str, Any] = {} if batch is None else {"batch_multiplier": batch}
    if tiers:
        said["service_tiers"] = tiers
    told = {_BATCH, *names} - {when for when, times in paid.items() if times is None}
    told |= {when for when, name in names.items() if name in STANDARD}
    unsaid = ["a price for " + " ".join(f"{key} {value}" for key, value in when) for when in paid if when not in told]
    return said, tuple(sorted(unsaid))


def _multiplier(prices: Mapping[str, Any], table: Table) -> str | None:
    """Return the one multiplier that makes these prices of a table, in all its tiers, or None where there is none."""
    found = {
        multiplier_of(_rates(prices, rates.get("over_input_tokens"))[0], _texts(rates))
        for rates in (table, *table.get("tiers", ()))
    }
    return found.pop() if len(found) == 1 else None


def _texts(rates: Table) -> dict[str, str]:
    return {key: value for key, value in rates.items() if isinstance(value, str)}


def _tiered(prices: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    starts = sorted({_start(tier) for each in prices.values() for tier in _tiers(each)})
    rates, left_out = _rates(prices, None)
    table: dict[str, Any] = dict(rates)
    if starts:
        table["tiers"] = [{"over_input_tokens": start, **_rates(prices, start)[0]} for start in starts]
    return table, left_out


def _tiers(price: object) -> list[Mapping[str, Any]]:
    return cast("Mapping[str, list[Mapping[str, Any]]]", price)["tiers"] if isinstance(price, dict) else []


def _start(tier: Mapping[str, Any]) -> int:
    start = Decimal(tier["start"])
    if not 0 <= start <= _MOST_TOKENS:
        raise ValueError(f"a tier starts at {start}")
    return int(start)


def _rates(prices: Mapping[str, Any], start: int | None) -> tuple[dict[str, str], tuple[str, ...]]:
    known = {theirs for theirs, _, _ in _GENAI_RATES} | _SAID_ELSEWHERE
    rates: dict[str, str] = {}
    for theirs, ours, times in _GENAI_RATES:
        price = prices.get(theirs)
        if price is not None:
            rates[ours] = decimal_text(_at_tier(price, start) * times)
    return rates, tuple(sorted(name for name, price in prices.items() if name not in known and price is not None))


def _at_tier(price: Any, start: int | None) -> Decimal:
    tiers = [tier for tier in _tiers(price) if start is not None and _start(tier) <= start]
    base = cast("Mapping[str, Any]", price)["base"] if isinstance(price, dict) else price
    return Decimal(tiers[-1]["price"] if tiers else base)


def _models_dev(providers: Mapping[str, Any]) -> Iterator[Offered]:
    for provider, entry in providers.items():
        for model, facts in entry["models"].items():
            cost = facts.get("cost")
            if not cost:
                continue
            table: dict[str, Any] = _dev_rates(cost)
            if _LONG in cost:
                table["tiers"] = [{"over_input_tokens": _LONG_TOKENS, **table, **_dev_rates(cost[_LONG])}]
            known = {theirs for theirs, _ in _MODELS_DEV_RATES} | {_LONG}
            left_out = tuple(sorted(name for name in cost if name not in known))
            yield Offered(provider, frozenset({model}), table, left_out)


def _dev_rates(cost: Mapping[str, Any]) -> dict[str, str]:
    return {
        ours: decimal_text(Decimal(cost[theirs])) for theirs, ours in _MODELS_DEV_RATES if cost.get(theirs) is not None
    }


def _catalog(name: str, data: bytes, day: str) -> Iterator[Offered]:
    file = catalog_of(name, data)
    for model in file.tables.models:
        dated = [each for each in model.prices or () if each.effective.isoformat() <= day]
        if not dated:
            continue
        newest = dated[-1]
        table: dict[str, Any] = dict(rates_given(newest))
        for key in ("batch_multiplier", "service_tiers", "markup", "tiers", "windows"):
            value = getattr(newest, key)
            if value:
                table[key] = value if isinstance(value, str | dict) else [plain_table(each) for each in value]
        provider = file.tables.provider.name
        yield Offered(provider, frozenset({model.id}), table, says_batch=True, says_service_tiers=True)


def catalog_of(name: str, data: bytes) -> CatalogFile:
    """Return a catalog file whose own name does not matter; raises ConfigInvalid with what is wrong."""
    provider = ""
    for line in data.decode("utf-8", "replace").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "name":
            provider = value.strip().strip("\"'")
            break
    file = read_catalog_file(CatalogText(name, provider, "operator", data))
    if isinstance(file, CatalogFile):
        return file
    raise config_invalid(file)


def plain_table(table: RatesTable) -> Table:
    """Return what a tier or a window gives, as it stands in a file."""
    given: dict[str, Any] = {name: getattr(table, name) for name in table.__struct_fields__}
    return {name: list(value) if name == "days" else value for name, value in given.items() if value}
