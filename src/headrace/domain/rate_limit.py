"""Rate limits: how much a scope may ask for in a minute, in a day and at once, and the meter that holds it to that.

Time is monotonic, in microseconds, and given by the caller; all arithmetic is of integers, so that nothing drifts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

MINUTE_MICROS = 60_000_000
DAY_MICROS = 86_400_000_000
BUSY_WAIT_MICROS = 1_000_000
MAX_LIMIT = 1_000_000_000_000


class LimitKind(StrEnum):
    """What a limit counts, and over what time."""

    REQUESTS_PER_MINUTE = "requests_per_minute"
    REQUESTS_PER_DAY = "requests_per_day"
    TOKENS_PER_MINUTE = "tokens_per_minute"
    TOKENS_PER_DAY = "tokens_per_day"
    CONCURRENT_REQUESTS = "concurrent_requests"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The limits of one scope; None where there is none. At least one is set, and each is from 1 to MAX_LIMIT."""

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    concurrent_requests: int | None = None

    def by_kind(self) -> tuple[tuple[LimitKind, int | None], ...]:
        """Return every kind with its limit, or None, in the order of LimitKind."""
        return (
            (LimitKind.REQUESTS_PER_MINUTE, self.requests_per_minute),
            (LimitKind.REQUESTS_PER_DAY, self.requests_per_day),
            (LimitKind.TOKENS_PER_MINUTE, self.tokens_per_minute),
            (LimitKind.TOKENS_PER_DAY, self.tokens_per_day),
            (LimitKind.CONCURRENT_REQUESTS, self.concurrent_requests),
        )


@dataclass(frozen=True, slots=True)
class ScopedLimits:
    """The limits that the operator has set for a scope: "platform", "team:NAME", "key:ID" or "model:ID"."""

    scope: str
    limits: RateLimits
    changed_at_micros: int


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a request does not fit: the limit, what is left of it, what was asked, and the wait until it may fit.

    `wait_micros` is None when it never fits: it asks for more than the whole limit.
    """

    scope: str
    kind: LimitKind
    limit: int
    left: int
    asked: int
    wait_micros: int | None


class Reading(NamedTuple):
    """Where a limit stands: what is left of it, and in what time all of it would have flowed back."""

    kind: LimitKind
    limit: int
    left: int
    full_in_micros: int


class Bucket:
    """One limit over one period: full at first, then flowing back continuously at `capacity` per period.

    What is spent in any window of time is at most the capacity and what has flowed back in that time, as long as each
    spending fits; one that does not leaves a debt that flows back first.
    """

    __slots__ = ("_at", "_owed", "_period", "capacity", "kind")

    def __init__(self, kind: LimitKind, capacity: int, period_micros: int, now_micros: int) -> None:
        self.kind = kind
        self.capacity = capacity
        self._period = period_micros
        self._at = now_micros
        # What was spent and has not flowed back, times the period: each microsecond takes `capacity` of it, exactly.
        self._owed = 0

    def wait_micros(self, amount: int, now_micros: int) -> int:
        """Return in what time the amount fits: 0 when it does now."""
        excess = self._drained(now_micros) + (amount - self.capacity) * self._period
        return -(-excess // self.capacity) if excess > 0 else 0

    def spend(self, amount: int, now_micros: int) -> None:
        """Take the amount, whether it fits or not."""
        self._owed = self._drained(now_micros) + amount * self._period

    def take_back(self, amount: int, spent_at_micros: int, now_micros: int) -> None:
        """Undo a spending that came to nothing; what of it has flowed back since is not given twice."""
        left = amount * self._period - (now_micros - spent_at_micros) * self.capacity
        if left > 0:
            self._owed = max(0, self._drained(now_micros) - left)

    def left(self, now_micros: int) -> int:
        """Return how much fits now; below zero while there is a debt."""
        return self.capacity + -self._drained(now_micros) // self._period

    def reading(self, now_micros: int, held: int = 0) -> Reading:
        """Return where the limit stands, with what is held as if it were spent."""
        owed = self._drained(now_micros) + held * self._period
        left = self.capacity + -owed // self._period
        return Reading(self.kind, self.capacity, left if left > 0 else 0, -(-owed // self.capacity))

    def resize(self, capacity: int, now_micros: int) -> None:
        """Put another limit in force; what was spent stays spent."""
        self._drained(now_micros)
        self.capacity = capacity

    def _drained(self, now_micros: int) -> int:
        elapsed = now_micros - self._at
        if elapsed > 0:
            self._at = now_micros
            owed = self._owed - elapsed * self.capacity
            self._owed = owed if owed > 0 else 0
        return self._owed


class Meter:
    """Everything that is counted for one scope: what was spent, what runs, and the tokens held for what runs.

    Held tokens do not flow back: they are spent at their true number, or let go, when their request is settled.
    """

    __slots__ = ("_requests", "_tokens", "held_tokens", "limits", "running", "scope")

    def __init__(self, scope: str, limits: RateLimits, now_micros: int) -> None:
        self.scope = scope
        self.running = 0
        self.held_tokens = 0
        self._requests: tuple[Bucket, ...] = ()
        self._tokens: tuple[Bucket, ...] = ()
        self.limits = limits
        self.change(limits, now_micros)

    def change(self, limits: RateLimits, now_micros: int) -> None:
        """Put other limits in force; what was counted under a kind that stays is kept."""
        known = {each.kind: each for each in (*self._requests, *self._tokens)}

        def buckets(*wanted: tuple[LimitKind, int | None, int]) -> tuple[Bucket, ...]:
            made: list[Bucket] = []
            for kind, capacity, period in wanted:
                if capacity is not None:
                    bucket = known.get(kind) or Bucket(kind, capacity, period, now_micros)
                    bucket.resize(capacity, now_micros)
                    made.append(bucket)
            return tuple(made)

        self.limits = limits
        self._requests = buckets(
            (LimitKind.REQUESTS_PER_MINUTE, limits.requests_per_minute, MINUTE_MICROS),
            (LimitKind.REQUESTS_PER_DAY, limits.requests_per_day, DAY_MICROS),
        )
        self._tokens = buckets(
            (LimitKind.TOKENS_PER_MINUTE, limits.tokens_per_minute, MINUTE_MICROS),
            (LimitKind.TOKENS_PER_DAY, limits.tokens_per_day, DAY_MICROS),
        )

    def shortage(self, tokens: int, now_micros: int) -> Shortage | None:
        """Return what a request of so many tokens has to wait for longest, or None when it fits."""
        at_once = self.limits.concurrent_requests
        worst: Shortage | None = None
        if at_once is not None and self.running >= at_once:
            worst = Shortage(self.scope, LimitKind.CONCURRENT_REQUESTS, at_once, 0, 1, BUSY_WAIT_MICROS)
        for bucket in self._requests:
            if bucket.wait_micros(1, now_micros):
                worst = _longer(worst, self._short(bucket, 1, 0, now_micros))
        for bucket in self._tokens:
            if bucket.wait_micros(self.held_tokens + tokens, now_micros):
                worst = _longer(worst, self._short(bucket, tokens, self.held_tokens, now_micros))
        return worst

    def admit(self, tokens: int, now_micros: int) -> None:
        """Count a request: it is spent, it runs, and its tokens are held."""
        self.running += 1
        self.held_tokens += tokens
        for bucket in self._requests:
            bucket.spend(1, now_micros)

    def settle(self, held: int, spent: int, now_micros: int) -> None:
        """Spend the tokens that were used and let those go that were held for them."""
        self.held_tokens -= held
        for bucket in self._tokens:
            bucket.spend(spent, now_micros)

    def end(self) -> None:
        """Count a request as running no longer."""
        self.running -= 1

    def forget(self, admitted_at_micros: int, now_micros: int) -> None:
        """Give back a request that was counted and never made."""
        for bucket in self._requests:
            bucket.take_back(1, admitted_at_micros, now_micros)

    def readings(self, now_micros: int) -> tuple[list[Reading], list[Reading]]:
        """Return where each limit over time stands: those of requests, those of tokens."""
        requests = [each.reading(now_micros) for each in self._requests]
        return requests, [each.reading(now_micros, self.held_tokens) for each in self._tokens]

    def _short(self, bucket: Bucket, amount: int, held: int, now_micros: int) -> Shortage:
        left = max(0, bucket.left(now_micros) - held)
        wait = None if amount > bucket.capacity else bucket.wait_micros(held + amount, now_micros)
        return Shortage(self.scope, bucket.kind, bucket.capacity, left, amount, wait)


def longest(shortages: Iterable[Shortage | None]) -> Shortage | None:
    """Return the shortage that keeps a request waiting longest, if there is one: all of its limits must have room."""
    worst: Shortage | None = None
    for each in shortages:
        if each is not None:
            worst = _longer(worst, each)
    return worst


def _longer(worst: Shortage | None, other: Shortage) -> Shortage:
    if worst is None:
        return other
    if worst.wait_micros is None or other.wait_micros is None:
        return worst if worst.wait_micros is None else other
    return worst if worst.wait_micros >= other.wait_micros else other
