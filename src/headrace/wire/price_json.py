"""Prices as JSON: what the API shows of a version, and how the store keeps its tiers, windows and batch price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from headrace.domain.catalog import Listed
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import PPM, format_usd_each, format_usd_per_mtok
from headrace.domain.price import ALL_DAYS, PriceTier, PriceVersion, PriceWindow, Rates
from headrace.domain.usage import TokenClass, UnitClass, UsageClass
from headrace.wire.catalog_schema import DAYS

# Shown per million as vendors do; other units are shown each.
PER_MILLION = frozenset({*TokenClass, UnitClass.CHARACTER})
CLASSES: Mapping[str, UsageClass] = MappingProxyType({each.value: each for each in (*TokenClass, *UnitClass)})


class _Tier(msgspec.Struct, frozen=True):
    over_input_tokens: int
    rates_pico: dict[str, int]


class _Window(msgspec.Struct, frozen=True, omit_defaults=True):
    from_minute: int
    to_minute: int
    days: tuple[int, ...] = tuple(sorted(ALL_DAYS))
    multiplier_ppm: int = PPM
    rates_pico: dict[str, int] | None = None


class _Variants(msgspec.Struct, frozen=True, omit_defaults=True):
    tiers: tuple[_Tier, ...] = ()
    windows: tuple[_Window, ...] = ()
    batch_ppm: int = PPM


_COUNTS = msgspec.json.Decoder(dict[str, int])
_VARIANTS = msgspec.json.Decoder(_Variants)


def rates_text(rates: Rates) -> str:
    """Return rates as the store keeps them: a JSON object of pico-dollars by class."""
    return msgspec.json.encode(_named(rates)).decode()


def read_rates(text: str) -> Rates:
    """Return rates as they were kept."""
    return _classed(_COUNTS.decode(text))


def usage_class(name: str) -> UsageClass:
    """Return the class of tokens or units that has this name; raises KeyError."""
    return CLASSES[name]


def variants_text(price: PriceVersion) -> str | None:
    """Return a price's tiers, windows and batch price as the store keeps them, or None when there is none."""
    if not (price.tiers or price.windows or price.batch_ppm != PPM):
        return None
    kept = _Variants(
        tuple(_Tier(each.over_input_tokens, _named(each.rates_pico)) for each in price.tiers),
        tuple(
            _Window(
                each.from_minute,
                each.to_minute,
                tuple(sorted(each.days)),
                each.multiplier_ppm,
                None if each.rates_pico is None else _named(each.rates_pico),
            )
            for each in price.windows
        ),
        price.batch_ppm,
    )
    return msgspec.json.encode(kept).decode()


def read_variants(text: str | None) -> tuple[tuple[PriceTier, ...], tuple[PriceWindow, ...], int]:
    """Return tiers, windows and batch price as they were kept."""
    kept = _Variants() if text is None else _VARIANTS.decode(text)
    tiers = tuple(PriceTier(each.over_input_tokens, _classed(each.rates_pico)) for each in kept.tiers)
    windows = tuple(
        PriceWindow(
            each.from_minute,
            each.to_minute,
            frozenset(each.days),
            each.multiplier_ppm,
            None if each.rates_pico is None else _classed(each.rates_pico),
        )
        for each in kept.windows
    )
    return tiers, windows, kept.batch_ppm


def shown_rates(rates: Mapping[UsageClass, int]) -> JsonObject:
    """Return rates as dollars: per million tokens or characters, else each, in two objects."""
    per_million: JsonObject = {
        each.value: format_usd_per_mtok(pico) for each, pico in rates.items() if each in PER_MILLION
    }
    each_one: JsonObject = {
        each.value: format_usd_each(pico) for each, pico in rates.items() if each not in PER_MILLION
    }
    shown: JsonObject = {"usd_per_mtok": per_million}
    return {**shown, "usd_each": each_one} if each_one else shown


def version_object(price: PriceVersion) -> JsonObject:
    """Return one version of a price with everything that decides what a request costs."""
    return {
        "version": price.id,
        "effective": price.effective,
        "source": price.source,
        **shown_rates(price.rates_pico),
        **_variants_object(price.tiers, price.windows, price.batch_ppm),
        "service_tiers": {name: format_usd_per_mtok(each.multiplier_ppm) for name, each in price.service_tiers.items()},
        "markup_ppm": price.markup_ppm,
    }


def model_prices_object(entries: Sequence[Listed]) -> JsonObject:
    """Return every price of a model, provider by provider, and which of them is in force."""
    return {"model": entries[0].model.id, "offers": [_offer(each) for each in entries]}


def variants_object(text: str) -> JsonObject:
    """Return what the store keeps of a price's variants as receipts show it."""
    return _variants_object(*read_variants(text))


def window_text(window: PriceWindow) -> str:
    """Return a window in a few words."""
    days = "" if window.days == ALL_DAYS else f" {','.join(DAYS[day] for day in sorted(window.days))}"
    rates = window.rates_pico
    price = f"times {format_usd_per_mtok(window.multiplier_ppm)}" if rates is None else f"own rates {_short(rates)}"
    return f"{_clock(window.from_minute)}-{_clock(window.to_minute)}{days} {price}"


def _short(rates: Rates) -> str:
    shown = shown_rates(rates)
    return " ".join(
        f"{name} {text}" for part in shown.values() if isinstance(part, dict) for name, text in part.items()
    )


def _offer(entry: Listed) -> JsonObject:
    in_force = None if entry.price is None else entry.price.id
    versions = [{**version_object(each), "in_force": each.id == in_force} for each in entry.model.prices]
    return {"provider": entry.model.provider, "versions": list[JsonValue](versions)}


def _variants_object(tiers: tuple[PriceTier, ...], windows: tuple[PriceWindow, ...], batch_ppm: int) -> JsonObject:
    return {
        "tiers": [{"over_input_tokens": each.over_input_tokens, **shown_rates(each.rates_pico)} for each in tiers],
        "windows": [_window_object(each) for each in windows],
        "batch_multiplier": None if batch_ppm == PPM else format_usd_per_mtok(batch_ppm),
    }


def _window_object(window: PriceWindow) -> JsonObject:
    own = window.rates_pico
    return {
        "from_utc": _clock(window.from_minute),
        "to_utc": _clock(window.to_minute),
        "days": _days(sorted(window.days)),
        **({"multiplier": format_usd_per_mtok(window.multiplier_ppm)} if own is None else shown_rates(own)),
    }


def _days(days: Sequence[int]) -> list[JsonValue]:
    return [DAYS[day] for day in days]


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _named(rates: Rates) -> dict[str, int]:
    return {each.value: pico for each, pico in rates.items()}


def _classed(rates: Mapping[str, int]) -> Rates:
    return MappingProxyType({usage_class(name): pico for name, pico in rates.items()})
