"""Makes price versions of the tables in catalog files; what is wrong with a table was found before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from msgspec import UNSET, UnsetType

from headrace.domain.money import PPM, parse_ppm, parse_usd_each, parse_usd_per_minute, parse_usd_per_mtok
from headrace.domain.price import PriceTier, PriceVersion, PriceWindow, Rates, ServiceTier, in_service_tier
from headrace.domain.usage import TEXT_CLASSES, TokenClass, UnitClass, UsageClass
from headrace.wire.catalog_prices import TOKEN_KEYS, UNIT_KEYS, rates_given, window_of
from headrace.wire.catalog_schema import PriceTable, RatesTable, WindowTable
from headrace.wire.price_json import variants_text

DIGEST_DIGITS = 8
# What a table leaves out takes the nearest; other classes are left out of the rates, and take it when they are used.
_FALLBACKS: Mapping[TokenClass, TokenClass] = MappingProxyType(
    {
        TokenClass.INPUT_CACHE_READ: TokenClass.INPUT_FRESH,
        TokenClass.INPUT_CACHE_WRITE_5M: TokenClass.INPUT_FRESH,
        TokenClass.INPUT_CACHE_WRITE_1H: TokenClass.INPUT_FRESH,
        TokenClass.OUTPUT_REASONING: TokenClass.OUTPUT_TEXT,
    }
)
_UNIT_PARSERS: Mapping[UnitClass, Callable[[str], int]] = MappingProxyType(
    {UnitClass.CHARACTER: parse_usd_per_mtok, UnitClass.SECOND: parse_usd_per_minute}
)


def price_version(table: PriceTable, model_id: str, provider: str) -> PriceVersion:
    """Return the price of a table; its id holds a digest of all its rates."""
    effective = table.effective.isoformat()
    tiers = () if table.tiers is UNSET else table.tiers
    windows = () if table.windows is UNSET else table.windows
    price = PriceVersion(
        id="",
        provider=provider,
        model_id=model_id,
        effective=effective,
        source=table.source,
        rates_pico=rates_of(table),
        markup_ppm=_ppm(table.markup),
        tiers=tuple(PriceTier(each.over_input_tokens, rates_of(each)) for each in tiers),
        windows=tuple(_window(each) for each in windows),
        batch_ppm=_ppm(table.batch_multiplier),
    )
    asked = {} if table.service_tiers is UNSET else {name: _ppm(text) for name, text in table.service_tiers.items()}
    price = _named(price)
    if not asked:
        return price
    in_tiers = {name: ServiceTier(ppm, _named(in_service_tier(price, ppm))) for name, ppm in asked.items()}
    return replace(price, service_tiers=MappingProxyType(in_tiers))


def rates_of(table: RatesTable) -> Rates:
    """Return the rates of a table in pico-dollars: all classes of text when tokens are priced, others as given."""
    given = rates_given(table)
    rates: dict[UsageClass, int] = {
        TokenClass(name): parse_usd_per_mtok(given[key]) for key, name in TOKEN_KEYS.items() if key in given
    }
    if rates:
        rates.setdefault(TokenClass.OUTPUT_TEXT, 0)
        for each, nearest in _FALLBACKS.items():
            rates.setdefault(each, rates[nearest])
    for key, name in UNIT_KEYS.items():
        if key in given:
            unit = UnitClass(name)
            rates[unit] = _UNIT_PARSERS.get(unit, parse_usd_each)(given[key])
    return MappingProxyType({each: rates[each] for each in (*TokenClass, *UnitClass) if each in rates})


def _window(table: WindowTable) -> PriceWindow:
    window = window_of(table)
    own = rates_of(table)
    return replace(window, multiplier_ppm=_ppm(table.multiplier), rates_pico=own or None)


def _named(price: PriceVersion) -> PriceVersion:
    return replace(price, id=f"{price.provider}/{price.model_id}@{price.effective}#{rates_digest(price)}")


def rates_digest(price: PriceVersion) -> str:
    """Return the digest of all that a price says, which its id ends with."""
    rates = price.rates_pico
    extra = [each for each in rates if each not in TEXT_CLASSES]
    classes = TEXT_CLASSES if TokenClass.INPUT_FRESH in rates else ()
    spelled = ",".join(f"{each}={rates[each]}" for each in (*classes, *extra))
    markup = "" if price.markup_ppm == PPM else f"*{price.markup_ppm}"
    return hashlib.sha256(f"{spelled}{variants_text(price) or ''}{markup}".encode()).hexdigest()[:DIGEST_DIGITS]


def _ppm(text: str | UnsetType) -> int:
    return PPM if text is UNSET else parse_ppm(text)
