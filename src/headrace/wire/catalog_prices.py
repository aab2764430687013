"""What is wrong with the prices in a catalog file: form, unit, dates, tiers and windows; making prices is services'."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from msgspec import UNSET

from headrace.domain.money import PICO_PER_USD, PPM, SECONDS_PER_MINUTE, parse_ppm
from headrace.domain.price import PriceWindow
from headrace.wire.catalog_schema import DAYS, PriceTable, RatesTable, TierTable, WindowTable

TOKEN_KEYS: Mapping[str, str] = {
    "input": "input_fresh",
    "cache_read": "input_cache_read",
    "cache_write_5m": "input_cache_write_5m",
    "cache_write_1h": "input_cache_write_1h",
    "output": "output_text",
    "reasoning": "output_reasoning",
    "input_audio": "input_audio",
    "cache_read_audio": "input_audio_cache_read",
    "input_image": "input_image",
    "cache_read_image": "input_image_cache_read",
    "output_audio": "output_audio",
    "output_image": "output_image",
}
UNIT_KEYS: Mapping[str, str] = {
    "usd_per_call": "call",
    "usd_per_image": "image",
    "usd_per_search": "search",
    "usd_per_mchar": "character",
    "usd_per_minute": "second",
}
PRICE_KEYS = (*TOKEN_KEYS, *UNIT_KEYS)
EACH_KEYS = ("usd_per_call", "usd_per_image", "usd_per_search", "usd_per_minute")
MOST_APART = 1_000

_PLAIN_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?\Z")
_DEAREST_INPUT, _DEAREST_OUTPUT, _CHEAPEST = Decimal(500), Decimal(2_000), Decimal("0.001")
_CHEAPEST_PER_THOUSAND = Decimal("0.00001")
_DEAREST_EACH: Mapping[str, tuple[Decimal, str]] = {
    "usd_per_call": (Decimal(1), "calls"),
    "usd_per_image": (Decimal(5), "images"),
    "usd_per_search": (Decimal(1), "searches"),
    "usd_per_minute": (Decimal(10), "minutes"),
}


@dataclass(frozen=True, slots=True)
class PriceProblem:
    """One thing wrong with a price: the key below the price's table that it is at, what, and the fix."""

    path: tuple[str | int, ...]
    problem: str
    fix: str


def check_price_value(name: str, value: object) -> PriceProblem | None:
    """Return what is wrong with one rate as it was written, or None."""
    if not isinstance(value, str):
        text = str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else "0.0375"
        shown = {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
        shown = "this list" if isinstance(value, list) else "this table" if isinstance(value, dict) else shown
        fix = f'Prices are text, so that no digit is lost: {name} = "{text}" ({unit_of(name)}).'
        return PriceProblem((), f"{shown} is not text", fix)
    if _PLAIN_DECIMAL.match(value) is None:
        return PriceProblem((), f'"{value}" is not a price', f'Write a plain decimal: {name} = "0.0375".')
    if value.startswith("0") and value[1:2].isdigit():
        fix = f'Write it without: "{_plain(Decimal(value))}".'
        return PriceProblem((), f'"{value}" begins with a needless zero', fix)
    return _check_each(name, value) if name in EACH_KEYS else _check_per_million(name, value)


def unit_of(name: str) -> str:
    """Return the unit that a key's price is in, in words."""
    if name == "usd_per_mchar":
        return "dollars per million characters"
    return f"dollars per {name.removeprefix('usd_per_')}" if name in EACH_KEYS else "dollars per million tokens"


def rates_given(table: RatesTable) -> dict[str, str]:
    """Return the rates that a table gives, by key, in the order of PRICE_KEYS."""
    values = {name: getattr(table, name) for name in PRICE_KEYS}
    return {name: value for name, value in values.items() if value is not UNSET}


def check_prices(prices: Sequence[PriceTable]) -> Iterator[PriceProblem]:
    """Yield what is wrong with a model's prices among themselves; each rate alone is right already."""
    for number, price in enumerate(prices):
        problems = list(_check_price(price))
        earlier = prices[number - 1].effective if number else None
        if earlier is not None and price.effective <= earlier:
            same = "the same day as" if price.effective == earlier else "not after"
            problems.insert(
                0,
                PriceProblem(
                    ("effective",),
                    f"{price.effective} is {same} the entry above",
                    "A price changes by a new entry with a later date, written below the others.",
                ),
            )
        for each in problems:
            yield PriceProblem((number, *each.path), each.problem, each.fix)


def window_of(table: WindowTable) -> PriceWindow:
    """Return when a window holds; what it costs then is left out."""
    days = range(7) if table.days is UNSET else (DAYS.index(each) for each in table.days)
    return PriceWindow(_minute(table.from_utc), _minute(table.to_utc), frozenset(days))


def _check_each(name: str, value: str) -> PriceProblem | None:
    dearest, many = _DEAREST_EACH[name]
    if len(value.partition(".")[2]) > 12:
        return PriceProblem((), f'"{value}" has more than 12 decimal places', "Round it to 12.")
    if Decimal(value) > dearest:
        fix = f'It is {unit_of(name)}: {name} = "{_plain(Decimal(value) / 1_000)}"?'
        return PriceProblem((), f'"{value}" is dearer than any: is it for a thousand {many}?', fix)
    return None


def _check_per_million(name: str, value: str) -> PriceProblem | None:
    price, unit = Decimal(value), unit_of(name).capitalize().replace("Dollars", "Prices are dollars")
    places = len(value.partition(".")[2])
    what = "character" if name == "usd_per_mchar" else "token"
    if places > 6:
        fix = f'{unit}: {name} = "{_plain(price * 1_000_000)}"?'
        return PriceProblem((), f'"{value}" has {places} decimal places: is it a price per {what}?', fix)
    is_output = name in ("output", "reasoning", "output_audio", "output_image")
    if price > (_DEAREST_OUTPUT if is_output else _DEAREST_INPUT):
        fix = f'{unit}: {name} = "{_plain(price / 1_000_000)}"?'
        return PriceProblem((), f'"{_plain(price)}" is dearer than any model: is it in micro-dollars?', fix)
    if name.startswith("cache_"):
        return None
    if 0 < price < _CHEAPEST_PER_THOUSAND:
        fix = f'{unit}: {name} = "{_plain(price * 1_000_000)}"?'
        return PriceProblem((), f'"{_plain(price)}" is cheaper than any model: is it a price per {what}?', fix)
    if 0 < price < _CHEAPEST:
        fix = f'{unit}: {name} = "{_plain(price * 1_000)}"?'
        return PriceProblem((), f'"{_plain(price)}" is cheaper than any model: is it a price per thousand?', fix)
    return None


def _check_price(price: PriceTable) -> Iterator[PriceProblem]:
    if price.currency is not UNSET and price.currency != "USD":
        fix = "Prices are in US dollars: convert it, and say the rate and its date in source."
        yield PriceProblem(("currency",), f'"{price.currency}" is not USD', fix)
    yield from _check_rates(price, needs_a_rate=True)
    yield from _check_tiers(price)
    yield from _check_windows(price)
    if price.batch_multiplier is not UNSET:
        yield from _check_multiplier("batch_multiplier", price.batch_multiplier, [price, *_tiers(price)], most=PPM)
    for name, text in ({} if price.service_tiers is UNSET else price.service_tiers).items():
        for each in _check_multiplier(name, text, [price, *_tiers(price)], most=10 * PPM):
            yield PriceProblem(("service_tiers", *each.path), each.problem, each.fix)


def _check_rates(table: RatesTable, *, needs_a_rate: bool) -> Iterator[PriceProblem]:
    given = rates_given(table)
    has_tokens = any(name in given for name in TOKEN_KEYS)
    if "input" not in given and (has_tokens or (needs_a_rate and not given)):
        yield PriceProblem((), '"input" is missing', 'input: dollars per million tokens in quotes, like "0.0375".')
        return
    for name, full in (
        ("cache_read", "input"),
        ("cache_read_audio", "input_audio"),
        ("cache_read_image", "input_image"),
    ):
        if name in given and Decimal(given[name]) > Decimal(given.get(full, given["input"])):
            compared = full if full in given else "input"
            yield PriceProblem(
                (name,),
                f'"{given[name]}" is dearer than {compared} "{given[compared]}"',
                f"Reading from the cache costs at most the {compared} price: swap them or leave {name} out.",
            )
    yield from _check_outliers(given)


def _check_outliers(given: Mapping[str, str]) -> Iterator[PriceProblem]:
    """A rate a thousand times another of the same model is one of them in another unit."""
    base = Decimal(given.get("input", "0"))
    for name in TOKEN_KEYS:
        rate = Decimal(given.get(name, "0"))
        if name.startswith("cache_") or not (base and rate):
            continue
        if rate >= base * MOST_APART:
            fix = f'Both are dollars per million tokens: input = "{_plain(base * 1_000)}"?'
            yield PriceProblem((name,), f'"{given[name]}" is {rate / base:.0f} times input "{given["input"]}"', fix)
        elif base >= rate * MOST_APART:
            fix = f'Both are dollars per million tokens: {name} = "{_plain(rate * 1_000)}"?'
            problem = f'input "{given["input"]}" is {base / rate:.0f} times {name} "{given[name]}"'
            yield PriceProblem((name,), problem, fix)


def _check_tiers(price: PriceTable) -> Iterator[PriceProblem]:
    tiers, needed = _tiers(price), rates_given(price)
    for index, (lower, tier) in enumerate(pairwise(tiers), start=1):
        if tier.over_input_tokens <= lower.over_input_tokens:
            problem = f"{tier.over_input_tokens} is not more than {lower.over_input_tokens} above"
            yield PriceProblem(("tiers", index, "over_input_tokens"), problem, "Write tiers from short to long input.")
    for index, tier in enumerate(tiers):
        missing = [name for name in needed if name not in rates_given(tier)]
        if missing:
            fix = "A tier prices the whole request: write every rate that the price has, also those that stay."
            yield PriceProblem(("tiers", index), f"{', '.join(missing)} {_is(missing)} missing", fix)
        else:
            for each in _check_rates(tier, needs_a_rate=True):
                yield PriceProblem(("tiers", index, *each.path), each.problem, each.fix)


def _check_windows(price: PriceTable) -> Iterator[PriceProblem]:
    taken: dict[int, int] = {}
    for index, window in enumerate(() if price.windows is UNSET else price.windows):
        given = rates_given(window)
        path = ("windows", index)
        if (window.multiplier is UNSET) == (not given):
            fix = 'Write either multiplier = "0.5" or every rate of these hours.'
            yield PriceProblem(path, "says neither or both of multiplier and rates", fix)
        elif window.multiplier is not UNSET:
            found = _check_multiplier("multiplier", window.multiplier, [price, *_tiers(price)], most=10 * PPM)
            yield from (PriceProblem((*path, *each.path), each.problem, each.fix) for each in found)
        elif missing := [name for name in rates_given(price) if name not in given]:
            fix = "The rates of a window replace all others: write every rate that the price has."
            yield PriceProblem(path, f"{', '.join(missing)} {_is(missing)} missing", fix)
        else:
            found = _check_rates(window, needs_a_rate=True)
            yield from (PriceProblem((*path, *each.path), each.problem, each.fix) for each in found)
        minutes = [minute for start, end in window_of(window).spans() for minute in range(start, end)]
        other = next((taken[minute] for minute in minutes if minute in taken), None)
        if other is not None:
            fix = "Windows must not overlap: change days, from_utc or to_utc."
            yield PriceProblem(path, f"overlaps windows[{other}]", fix)
        taken.update(dict.fromkeys(minutes, index))


def _check_multiplier(name: str, text: str, tables: Sequence[RatesTable], most: int) -> Iterator[PriceProblem]:
    """A multiplied rate must stay a whole number of pico-dollars, or receipts would show a rounded one."""
    ppm = parse_ppm(text)
    if not 0 < ppm <= most:
        yield PriceProblem((name,), f'"{text}" is out of range', f"Write more than 0 and at most {most // PPM}.")
        return
    for table in tables:
        for key, value in rates_given(table).items():
            if _pico(key, value) * ppm % PPM:
                fix = "Write a window with its own rates instead." if name == "multiplier" else "Leave it out."
                yield PriceProblem((name,), f'{key} "{value}" times "{text}" has too many decimal places', fix)
                return


def _pico(name: str, value: str) -> int:
    if name == "usd_per_minute":
        return int(Decimal(value) * PICO_PER_USD) // SECONDS_PER_MINUTE
    return int(Decimal(value) * (PICO_PER_USD if name in EACH_KEYS else PPM))


def _tiers(price: PriceTable) -> tuple[TierTable, ...]:
    return () if price.tiers is UNSET else price.tiers


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
