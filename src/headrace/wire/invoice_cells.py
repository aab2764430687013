"""One record of a bill, cell by cell: counts, amounts and days as they are written, never as floats."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass

from headrace.domain.bill import day_of
from headrace.domain.errors import InvalidRequest
from headrace.domain.money import NANO_PER_USD, PICO_PER_NANO, divide_half_even

DOLLARS, CENTS = 12, 10
CENT_PICO = 10**10
FIRST_DAY = "2015-01-01"
MOST_COUNT = 10**15
MOST_PICO = 10**9 * NANO_PER_USD * PICO_PER_NANO
MOST_DIGITS = 80
SHOWN = 60
_COUNT = re.compile(r"([0-9]{1,18})(?:\.0+)?\Z")
_AMOUNT = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,2}))?\Z")
_SECONDS = re.compile(r"[0-9]{9,10}\Z")
_MILLISECONDS = re.compile(r"[0-9]{12,19}\Z")


def bill_invalid(message: str) -> InvalidRequest:
    """Return the refusal of a bill."""
    return InvalidRequest(f"{message} Nothing was stored.", code="bill_invalid", param="content")


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount in pico-dollars, how fine its text is (a cent at most, 0 for nothing), whether it had to be rounded."""

    pico: int
    step_pico: int
    text: str
    is_rounded: bool


@dataclass(frozen=True, slots=True)
class Cells:
    """A record and its place in the file; `columns` are all that the file has."""

    place: str
    values: Mapping[str, str | None]
    columns: frozenset[str]
    last_day: str

    def has(self, *names: str) -> bool:
        """Whether the file has one of these columns."""
        return not self.columns.isdisjoint(names)

    def word(self, *names: str) -> str:
        """Return the first of these cells that is filled, or ""."""
        return next((text for text in map(self._text, names) if text), "")

    def count(self, *names: str) -> int | None:
        """Return a count; None where the file has no such column, 0 where the cell is empty."""
        if not self.has(*names):
            return None
        name = next((each for each in names if self._text(each)), None)
        if name is None:
            return 0
        text = self._text(name)
        found = _COUNT.match(text)
        if found is None or int(found[1]) > MOST_COUNT:
            raise self.wrong(name, text, f"write a whole number from 0 to {MOST_COUNT}")
        return int(found[1])

    def amount(self, *names: str, unit: int = DOLLARS) -> Amount | None:
        """Return an amount, None where there is none; `unit` says of what the text is."""
        name = next((each for each in names if self._text(each)), None)
        if name is None:
            return None
        text = self._text(name)
        found = _AMOUNT.match(text) if len(text) <= MOST_DIGITS else None
        if found is None:
            raise self.wrong(name, text, "write a plain amount with a point, like 12.50, without a currency sign")
        digits, places = found[2] + (found[3] or ""), len(found[3] or "") - int(found[4] or 0)
        if found[1] and int(digits):
            raise self.wrong(name, text, "take credits and refunds out: they are no usage")
        shift = unit - places
        scale = 10 ** abs(shift)
        pico = int(digits) * scale if shift >= 0 else divide_half_even(int(digits), scale)
        if pico > MOST_PICO:
            raise self.wrong(name, text, "amounts go up to a thousand million dollars; is it in another unit?")
        is_rounded = shift < 0 and int(digits) % scale != 0
        step = 10 ** max(0, unit - _significant(digits, places)) if pico else 0
        return Amount(pico, min(step, CENT_PICO), text, is_rounded)

    def currency(self, *names: str) -> str:
        """Return the currency, USD where none is told; raises InvalidRequest for another one."""
        name = next((each for each in names if self._text(each)), None)
        if name is not None and self._text(name).upper() != "USD":
            raise self.wrong(name, self._text(name), "the books are in US dollars: export or convert the bill to USD")
        return "USD"

    def day(self, *names: str) -> str:
        """Return the day in UTC."""
        name = next((each for each in names if self._text(each)), None)
        if name is None:
            raise bill_invalid(f"{self.place}: the date is missing: fill the column {names[0]!r}.")
        text = self._text(name)
        day = self._day(name, text)
        if not FIRST_DAY <= day <= self.last_day:
            raise self.wrong(name, text, f"dates go from {FIRST_DAY} to {self.last_day}")
        return day

    def wrong(self, name: str, text: str, fix: str) -> InvalidRequest:
        """Return the refusal of one cell: its place, its value, the fix."""
        return bill_invalid(f"{self.place}, {name}: {text[:SHOWN]!r} cannot be read: {fix}.")

    def _text(self, name: str) -> str:
        return (self.values.get(name) or "").strip()

    def _day(self, name: str, text: str) -> str:
        if _SECONDS.match(text):
            return day_of(int(text) * 1_000_000)
        if _MILLISECONDS.match(text):
            raise self.wrong(name, text, "write seconds since 1970, or a date like 2026-11-24")
        try:
            moment = datetime.datetime.fromisoformat(text)
            return (moment if moment.tzinfo is None else moment.astimezone(datetime.UTC)).date().isoformat()
        except (ValueError, OverflowError):
            raise self.wrong(
                name, text, "write a date like 2026-11-24, or a moment like 2026-11-24T13:00:00Z"
            ) from None


def _significant(digits: str, places: int) -> int:
    """Return how many decimal places an amount really has, without needless zeros at its end."""
    needless = len(digits) - len(digits.rstrip("0"))
    return max(0, places - needless)
