"""Budgets: limits on charge over a window of time, and the scope of the ledger that a window is.

A budget is attached to the platform, a team, a key or a model. Each of its windows is a scope of its own, so what was
spent in one never counts in the next, and a hold that was taken in a window settles in it.
"""

from __future__ import annotations

import bisect
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MICROS = 1_000_000
HOUR_SECONDS = 3_600
PLATFORM_SCOPE = "platform"
BUDGET_PREFIX = "budget:"
BALANCE_PREFIX = "balance:"


class Window(StrEnum):
    """Over what time a budget's limit holds; a week begins on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class BudgetMode(StrEnum):
    """What happens to a call that does not fit: refused, or its output cap shrunk to what fits."""

    REJECT = "reject"
    CLAMP = "clamp"


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on charge; `scope` is "platform", "team:NAME", "key:ID" or "model:ID".

    Scope, window and zone never change: another window is another budget. `zone` is a name of the IANA database.
    """

    id: str
    scope: str
    window: Window
    zone: str
    limit_nano: int
    mode: BudgetMode
    created_at_micros: int
    changed_at_micros: int

    def span_at(self, at_micros: int) -> Span:
        """Return the window that this time lies in, with the name of its scope in the ledger."""
        starts, ends = window_bounds(self.window, ZoneInfo(self.zone), at_micros)
        label = "total" if starts is None else _utc_label(starts)
        return Span(f"{BUDGET_PREFIX}{self.id}:{label}", starts, ends)


@dataclass(frozen=True, slots=True)
class Span:
    """One window of a budget; the bounds are None for a window without an end."""

    scope: str
    starts_at_micros: int | None
    ends_at_micros: int | None

    def holds(self, at_micros: int) -> bool:
        """Whether this time lies in the window."""
        return (self.starts_at_micros is None or self.starts_at_micros <= at_micros) and (
            self.ends_at_micros is None or at_micros < self.ends_at_micros
        )


def is_zone(name: str) -> bool:
    """Whether a name is one of the IANA time zone database's."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def budget_of(scope: str) -> str | None:
    """Return the id of the budget whose window a ledger scope is, or None for other scopes."""
    if not scope.startswith(BUDGET_PREFIX):
        return None
    return scope.removeprefix(BUDGET_PREFIX).partition(":")[0]


def balance_scope(account: str) -> str:
    """Return the scope of an account's prepaid balance: its limit is what was paid in, its spending what was used."""
    return BALANCE_PREFIX + account


def window_bounds(window: Window, zone: ZoneInfo, at_micros: int) -> tuple[int | None, int | None]:
    """Return when a window begins and ends, in microseconds since 1970 UTC; days begin at the zone's midnight."""
    if window is Window.TOTAL:
        return None, None
    if window is Window.HOUR:
        return _hour(at_micros // MICROS, zone)
    first = datetime.datetime.fromtimestamp(at_micros // MICROS, zone).date()
    if window is Window.WEEK:
        first -= datetime.timedelta(days=first.weekday())
    elif window is Window.MONTH:
        first = first.replace(day=1)
    return _midnight(first, zone), _midnight(_next(first, window), zone)


def _next(first: datetime.date, window: Window) -> datetime.date:
    if window is Window.MONTH:
        return (first + datetime.timedelta(days=31)).replace(day=1)
    return first + datetime.timedelta(days=7 if window is Window.WEEK else 1)


def _hour(at: int, zone: ZoneInfo) -> tuple[int, int]:
    """Return the hour of the zone's clock; where the clock is set to other minutes, an hour ends and another begins."""
    past = _past_the_hour(at, zone)
    starts, ends = at - past, at - past + HOUR_SECONDS
    if _past_the_hour(starts, zone):
        starts = _first_second(starts, at, lambda second: _past_the_hour(second, zone) == past - (at - second))
    if _past_the_hour(ends - 1, zone) != HOUR_SECONDS - 1:
        ends = _first_second(at, ends, lambda second: _past_the_hour(second, zone) != past + (second - at))
    return starts * MICROS, ends * MICROS


def _past_the_hour(at: int, zone: ZoneInfo) -> int:
    """Return how many seconds the zone's clock is past the full hour."""
    offset = datetime.datetime.fromtimestamp(at, zone).utcoffset() or datetime.timedelta()
    return (at + int(offset.total_seconds())) % HOUR_SECONDS


def _first_second(before: int, after: int, is_reached: Callable[[int], bool]) -> int:
    """Return the first second, after one and not after another, at which something is reached that then stays so."""
    return before + 1 + bisect.bisect_left(range(before + 1, after), True, key=is_reached)


def _midnight(day: datetime.date, zone: ZoneInfo) -> int:
    midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=zone)
    return int(midnight.timestamp()) * MICROS


def _utc_label(at_micros: int) -> str:
    return datetime.datetime.fromtimestamp(at_micros // MICROS, datetime.UTC).strftime("%Y-%m-%dT%H:%MZ")
