"""A provider's own list of its models with their prices, as its API sends it, as tables of our catalog.

Two kinds are known. One gives dollars for a single token as text, in `data[].pricing.prompt` and so on: the list of
https://openrouter.ai/docs/api/api-reference/models/get-models. The other gives numbers of dollars per million, in
`models[].pricing.input_price_per_million` and so on: https://github.com/digitalocean/openapi, the models' catalog
(both read 2026-11-28). In both a zero of anything but input and output says that it is not priced apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from headrace.wire.offered import Offered, decimal_text

# (their name, our key, what theirs is multiplied by); the first that is not zero counts.
_MILLION, _PIECE = Decimal(1_000_000), Decimal(1)
_PER_TOKEN: tuple[tuple[str, str, Decimal], ...] = (
    ("prompt", "input", _MILLION),
    ("completion", "output", _MILLION),
    ("input_cache_read", "cache_read", _MILLION),
    ("input_cache_write", "cache_write_5m", _MILLION),
    ("internal_reasoning", "reasoning", _MILLION),
    ("audio", "input_audio", _MILLION),
    ("input_audio_cache", "cache_read_audio", _MILLION),
    ("request", "usd_per_call", _PIECE),
    ("web_search", "usd_per_search", _PIECE),
)
_PER_MILLION: tuple[tuple[str, str, Decimal], ...] = (
    ("input_price_per_million", "input", _PIECE),
    ("text_input_price_per_million", "input", _PIECE),
    ("output_price_per_million", "output", _PIECE),
    ("text_output_price_per_million", "output", _PIECE),
    ("cache_read_input_price_per_million", "cache_read", _PIECE),
    ("text_cache_read_input_price_per_million", "cache_read", _PIECE),
    ("input_cache_read", "cache_read", _MILLION),
    ("cache_write_5m_input_price_per_million", "cache_write_5m", _PIECE),
    ("cache_write_1h_input_price_per_million", "cache_write_1h", _PIECE),
    ("reasoning_price_per_million", "reasoning", _PIECE),
    ("image_input_price_per_million", "input_image", _PIECE),
    ("image_cache_read_input_price_per_million", "cache_read_image", _PIECE),
    ("image_output_price_per_million", "output_image", _PIECE),
    ("price_per_image", "usd_per_image", _PIECE),
    ("price_per_thousand_characters", "usd_per_mchar", Decimal(1_000)),
)
_NAMES = ("id", "model_id", "canonical_slug")
_CURRENCY, _DISCOUNT = "currency", "discount"


def provider_offers(found: Any, provider: str) -> Iterator[Offered]:
    """Yield what a list of models offers; raises KeyError, TypeError or ArithmeticError where it is none."""
    listed: list[Mapping[str, Any]] = found["data"] if "data" in found else found["models"]
    for model in listed:
        pricing: Mapping[str, Any] = model.get("pricing") or {}
        names = frozenset(str(model[name]) for name in _NAMES if model.get(name))
        if not names:
            raise KeyError("id")
        offered = _offered(provider, names, pricing)
        if offered.table or offered.left_out:
            yield offered


def _offered(provider: str, names: frozenset[str], pricing: Mapping[str, Any]) -> Offered:
    rows = _PER_TOKEN if "prompt" in pricing or "completion" in pricing else _PER_MILLION
    table: dict[str, Any] = {}
    for theirs, ours, times in rows:
        value = _number(pricing.get(theirs))
        if value and ours not in table:
            table[ours] = decimal_text(value * times)
    priced = any(not key.startswith("usd_") for key in table)
    if table.keys() & {"output", "reasoning"} or (rows is _PER_TOKEN and not priced and pricing):
        table = {"input": "0", **table}
    if pricing.get(_CURRENCY):
        table[_CURRENCY] = str(pricing[_CURRENCY]).upper()
    known = {theirs for theirs, _, _ in rows} | {_CURRENCY, _DISCOUNT}
    left_out = tuple(sorted(name for name, value in pricing.items() if name not in known and not _is_nothing(value)))
    return Offered(provider, names, table, left_out)


def _number(value: Any) -> Decimal:
    return Decimal(0) if value is None else Decimal(value)


def _is_nothing(value: Any) -> bool:
    """Whether a field says no price: nothing, an empty list, or zero as a number or as text."""
    return not value or str(value).strip("0.") == ""
