"""Dated prices, which of their rates hold for a request, and the ledger lines that they make of usage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from headrace.domain.money import PICO_PER_NANO, PPM, divide_half_even, line_nano
from headrace.domain.usage import (
    INPUT_CLASSES,
    OUTPUT_CLASSES,
    TEXT_INPUT_CLASSES,
    Quantities,
    TokenClass,
    UnitClass,
    Usage,
    UsageClass,
)

Rates: TypeAlias = Mapping[UsageClass, int]

MINUTE_MICROS = 60_000_000
DAY_MINUTES = 24 * 60
ALL_DAYS = frozenset(range(7))
# 1 January 1970 was a Thursday; days are counted from Monday.
FIRST_WEEKDAY = 3
# A line is rounded on its own, so each may be half a nano-dollar over its share.
MOST_LINES = len(TokenClass) + len(UnitClass)

_NEAREST: Mapping[UsageClass, tuple[UsageClass, ...]] = {
    TokenClass.INPUT_AUDIO: (TokenClass.INPUT_FRESH,),
    TokenClass.INPUT_AUDIO_CACHE_READ: (TokenClass.INPUT_AUDIO, TokenClass.INPUT_CACHE_READ),
    TokenClass.INPUT_IMAGE: (TokenClass.INPUT_FRESH,),
    TokenClass.INPUT_IMAGE_CACHE_READ: (TokenClass.INPUT_IMAGE, TokenClass.INPUT_CACHE_READ),
    TokenClass.OUTPUT_AUDIO: (TokenClass.OUTPUT_TEXT,),
    TokenClass.OUTPUT_IMAGE: (TokenClass.OUTPUT_TEXT,),
}


@dataclass(frozen=True, slots=True)
class PriceTier:
    """The rates of a request whose input is longer than so many tokens: of all its tokens, not only those beyond."""

    over_input_tokens: int
    rates_pico: Rates


@dataclass(frozen=True, slots=True)
class PriceWindow:
    """Hours of the week, in UTC, at which a price differs: by a multiplier, or by rates that replace all others.

    `days` count from Monday, 0; a window that ends before it starts goes on into the next day. `from_minute` is in it,
    `to_minute` is not; where the two are equal it is the whole day.
    """

    from_minute: int
    to_minute: int
    days: frozenset[int] = ALL_DAYS
    multiplier_ppm: int = PPM
    rates_pico: Rates | None = None

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield the window's minutes of the week, counted from Monday 00:00 UTC, as ranges."""
        week = 7 * DAY_MINUTES
        length = (self.to_minute - self.from_minute) % DAY_MINUTES or DAY_MINUTES
        for day in self.days:
            start = day * DAY_MINUTES + self.from_minute
            yield start, min(start + length, week)
            if start + length > week:
                yield 0, start + length - week


@dataclass(frozen=True, slots=True)
class ServiceTier:
    """A quicker or slower service that a request may ask for: what it pays of the tokens' rates, and as a price."""

    multiplier_ppm: int
    price: PriceVersion


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """What one model at one provider costs from a date on; immutable once it was used.

    `rates_pico` are pico-dollars per token or unit. A class that it leaves out takes the nearest: see `rate_of`.
    `tiers` are in ascending order, `windows` never overlap, `batch_ppm` is what a batch pays of the rates. `markup_ppm`
    turns cost into charge. `service_tiers` are versions of their own, by the name that requests say. `id` names
    provider, model, date and a digest of the rates, so an edited price is another version. The dearest rates are over
    all tiers and windows: every bound needs them.
    """

    id: str
    provider: str
    model_id: str
    effective: str
    source: str
    rates_pico: Rates
    markup_ppm: int = PPM
    tiers: tuple[PriceTier, ...] = ()
    windows: tuple[PriceWindow, ...] = ()
    batch_ppm: int = PPM
    service_tiers: Mapping[str, ServiceTier] = field(default_factory=lambda: MappingProxyType({}))
    dearest_input_pico: int = field(init=False, compare=False)
    dearest_media_pico: int = field(init=False, compare=False)
    dearest_output_pico: int = field(init=False, compare=False)
    dearest_units_pico: Mapping[UnitClass, int] = field(init=False, compare=False)
    rounding_nano: int = field(init=False, compare=False)
    is_plain: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Work out the highest rates, and whether one table of rates is all there is."""
        tables = list(_all_rates(self))
        units = {each: _dearest(tables, (each,)) for each in UnitClass}
        priced = MappingProxyType({each: pico for each, pico in units.items() if pico})
        object.__setattr__(self, "dearest_input_pico", _dearest(tables, TEXT_INPUT_CLASSES))
        object.__setattr__(self, "dearest_media_pico", _dearest(tables, INPUT_CLASSES))
        object.__setattr__(self, "dearest_output_pico", _dearest(tables, OUTPUT_CLASSES))
        object.__setattr__(self, "dearest_units_pico", priced)
        object.__setattr__(self, "rounding_nano", MOST_LINES if self._rounds() else 0)
        object.__setattr__(self, "is_plain", not (self.tiers or self.windows or UnitClass.CALL in priced))

    def _rounds(self) -> bool:
        """Whether lines can be rounded up: one at a rate below a whole one is never over it after rounding."""
        dearest = (self.dearest_input_pico, self.dearest_media_pico, self.dearest_output_pico)
        charged = (pico * self.markup_ppm for pico in (*dearest, *self.dearest_units_pico.values()))
        return any(each % (PICO_PER_NANO * PPM) for each in charged)

    @property
    def is_free(self) -> bool:
        """Whether nothing that it prices costs anything."""
        return not (self.dearest_media_pico or self.dearest_output_pico or self.dearest_units_pico)


@dataclass(frozen=True, slots=True)
class Line:
    """One priced quantity: what the operator owes upstream (cost) and what the caller is billed (charge)."""

    kind: str
    quantity: int
    price_pico: int
    cost_nano: int
    charge_nano: int


def in_service_tier(price: PriceVersion, multiplier_ppm: int) -> PriceVersion:
    """Return a price in a service tier: tokens at the multiplier, what is priced by the piece as it is; no new id."""

    def times(rates: Rates) -> Rates:
        tokens: Rates = {each: pico for each, pico in rates.items() if isinstance(each, TokenClass)}
        return MappingProxyType({**rates, **_times(tokens, multiplier_ppm)})

    tiers = tuple(replace(each, rates_pico=times(each.rates_pico)) for each in price.tiers)
    windows = tuple(
        each if each.rates_pico is None else replace(each, rates_pico=times(each.rates_pico)) for each in price.windows
    )
    return replace(price, rates_pico=times(price.rates_pico), tiers=tiers, windows=windows, service_tiers={})


def rates_at(price: PriceVersion, input_total: int, at_micros: int, *, batch: bool = False) -> Rates:
    """Return the rates of a request with so much input that was held at a time, in a batch or not."""
    rates = price.rates_pico
    for tier in price.tiers:
        if input_total > tier.over_input_tokens:
            rates = tier.rates_pico
    window = _window_at(price.windows, at_micros) if price.windows else None
    if window is not None:
        rates = _in_window(rates, window)
    return _times(rates, price.batch_ppm) if batch else rates


def rate_of(rates: Rates, each: UsageClass) -> int | None:
    """Return the rate of a class, or of the nearest that is priced, or None where the price says nothing of it.

    Audio and images of the input take the fresh input's rate, their cached tokens that of those that are not cached,
    audio and images of the output the text's.
    """
    pico = rates.get(each)
    if pico is None:
        pico = next((rates[near] for near in _NEAREST.get(each, ()) if near in rates), None)
    return pico


def price_lines(
    usage: Usage, price: PriceVersion, at_micros: int, *, charged: bool = True, batch: bool = False
) -> tuple[Line, ...]:
    """Return one line per used class that has a price; with `charged` false the cost stands and the charge is nothing.

    `at_micros` is when the attempt was held. A price per call makes a line whatever was used.
    """
    rates, quantities = price.rates_pico, usage.quantities()
    if batch or not price.is_plain:
        rates = rates_at(price, usage.input_total, at_micros, batch=batch)
        quantities = _with_call(quantities, rates)
    lines: list[Line] = []
    markup = price.markup_ppm
    for each, quantity in quantities:
        pico = rates.get(each)
        if pico is None:
            pico = rate_of(rates, each)
        if pico is not None:
            cost = line_nano(quantity, pico)
            charge = cost if markup == PPM else line_nano(quantity, pico, markup)
            lines.append(Line(each.value, quantity, pico, cost, charge if charged else 0))
    return tuple(lines)


def bound_nano(
    price: PriceVersion, prompt_tokens: int, output_tokens: int, media_tokens: int = 0, units: Quantities = ()
) -> int:
    """Return the most that a request can be charged, in nano-dollars.

    `prompt_tokens` are text, `media_tokens` may be of any input class. A hold may never be under the bill, so what
    rounding its lines can add is added.
    """
    if price.is_free:
        return 0
    markup = price.markup_ppm
    dearest = line_nano(prompt_tokens, price.dearest_input_pico, markup)
    dearest += line_nano(output_tokens, price.dearest_output_pico, markup) + price.rounding_nano
    if media_tokens:
        dearest += line_nano(media_tokens, price.dearest_media_pico, markup)
    if price.dearest_units_pico:
        dearest += _units_nano(price, units)
    return dearest


def _units_nano(price: PriceVersion, units: Quantities) -> int:
    dearest = price.dearest_units_pico
    each_call = dearest.get(UnitClass.CALL, 0)
    counted = [line_nano(n, dearest.get(each, 0), price.markup_ppm) for each, n in units if isinstance(each, UnitClass)]
    return line_nano(1, each_call, price.markup_ppm) + sum(counted)


def _with_call(quantities: Quantities, rates: Rates) -> Quantities:
    if UnitClass.CALL not in rates or any(each is UnitClass.CALL for each, _ in quantities):
        return quantities
    return (*quantities, (UnitClass.CALL, 1))


def _all_rates(price: PriceVersion) -> Iterator[Rates]:
    tiered = [price.rates_pico, *(tier.rates_pico for tier in price.tiers)]
    yield from tiered
    for window in price.windows:
        yield from (_in_window(rates, window) for rates in tiered)


def _dearest(tables: Iterable[Rates], classes: Iterable[UsageClass]) -> int:
    wanted = tuple(classes)
    return max(rate_of(rates, each) or 0 for rates in tables for each in wanted)


def _in_window(rates: Rates, window: PriceWindow) -> Rates:
    return _times(rates, window.multiplier_ppm) if window.rates_pico is None else window.rates_pico


def _window_at(windows: tuple[PriceWindow, ...], at_micros: int) -> PriceWindow | None:
    day, minute = divmod(at_micros // MINUTE_MICROS, DAY_MINUTES)
    of_week = (day + FIRST_WEEKDAY) % 7 * DAY_MINUTES + minute
    return next((each for each in windows if any(start <= of_week < end for start, end in each.spans())), None)


def _times(rates: Rates, ppm: int) -> Rates:
    return rates if ppm == PPM else {each: divide_half_even(pico * ppm, PPM) for each, pico in rates.items()}
