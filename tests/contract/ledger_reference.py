"""The ledger's reference: what holds, ends, limits and transfers do to dictionaries; it shares no code with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple, TypeAlias

FIRST_HOUR = datetime(2025, 11, 24, 16, tzinfo=UTC)
SINCE_MIDNIGHT = {"bud_day": 16, "bud_zone": 17}
PICO = {
    "input_fresh": 50_000,
    "input_cache_read": 5_001,
    "input_cache_write_5m": 62_500,
    "input_cache_write_1h": 100_000,
    "output_text": 200_000,
    "output_reasoning": 200_499,
    "input_audio": 77_777,
    "search": 3_000_500,
}
CLASSES = tuple(PICO)
TEXT_CLASSES = CLASSES[:6]
MARKUP_PPM = {"plain": 1_000_000, "marked": 1_150_000}
CONFLICT, HELD = "conflict", "held"
Answer: TypeAlias = "str | tuple[str, int, int] | None"
Line: TypeAlias = "tuple[str | None, int, str, int, int, int]"
"""A line of a settlement: attempt, number, kind, quantity, cost, charge; or a transfer, which has an amount only."""


class Scope(NamedTuple):
    """A scope: its limit, what is held and what is spent."""

    limit: int | None = None
    held: int = 0
    spent: int = 0


class Attempt(NamedTuple):
    """An attempt, held, sent, settled or voided; `noted` is the hour of its last count, `last` of what came before."""

    scopes: tuple[str, ...]
    amount: int
    estimate: int
    price: str
    last: int
    noted: int | None = None
    state: str = HELD
    tokens: int = 0
    charge: int = 0


@dataclass(slots=True)
class Reference:
    """The books; every method returns what the ledger has to answer."""

    scopes: dict[str, Scope] = field(default_factory=dict[str, Scope])
    open: dict[str, Attempt] = field(default_factory=dict[str, Attempt])
    ended: dict[str, Attempt] = field(default_factory=dict[str, Attempt])
    budgets: dict[str, int] = field(default_factory=dict[str, int])
    paid: frozenset[str] = frozenset()
    usage: Counter[tuple[int, str, str]] = field(default_factory=Counter[tuple[int, str, str]])
    entries: list[Line] = field(default_factory=list[Line])

    def copy(self) -> Reference:
        """The same books, to try something on."""
        books = (dict(self.scopes), dict(self.open), dict(self.ended), dict(self.budgets), self.paid)
        return Reference(*books, self.usage.copy(), list(self.entries))

    def hold(self, name: str, wanted: Attempt) -> Answer:
        """Take the amount from every scope or from none."""
        found = {scope: self.scopes.get(scope) or Scope(self._first_limit(scope)) for scope in wanted.scopes}
        refusing = [each for each in found.items() if each[1].limit is not None and _left(each[1]) < wanted.amount]
        if not refusing and (name in self.open or name in self.ended):
            return CONFLICT
        self.scopes |= found
        if refusing:
            scope, state = min(refusing, key=lambda each: _left(each[1]))
            return scope, state.limit or 0, max(0, _left(state))
        self._move(wanted.scopes, wanted.amount, 0)
        self.open[name] = wanted
        return HELD

    def sent(self, name: str, hour: int) -> Answer:
        """Mark a held attempt."""
        attempt = self.open.get(name)
        if attempt is None or attempt.state != HELD:
            return CONFLICT
        self.open[name] = attempt._replace(state="sent", last=hour)
        return None

    def checkpoint(self, name: str, tokens: int, hour: int) -> Answer:
        """Note the count of an open attempt; of any other it means nothing."""
        if name in self.open:
            self.open[name] = self.open[name]._replace(tokens=tokens, noted=hour)
        return None

    def end(self, name: str, status: str, hour: int, used: Mapping[str, int], *, charged: bool = True) -> Answer:
        """Settle, or void where the status is voided: give back the hold, book a cost and a charge for every class."""
        attempt = self.open.pop(name, None)
        if attempt is None:
            return CONFLICT
        cost = charge = 0
        for number, each in enumerate(each for each in CLASSES if used.get(each)):
            owed, billed = _nano(used[each], PICO[each]), _nano(used[each], PICO[each], MARKUP_PPM[attempt.price])
            billed = billed if charged else 0
            cost, charge = cost + owed, charge + billed
            self.entries.append((name, number, each, used[each], owed, billed))
        counts = {each: used.get(each, 0) for each in TEXT_CLASSES}
        for column, count in {"attempts": 1, "cost_nano": cost, "charge_nano": charge, **counts}.items():
            self.usage[hour, status, column] += count
        self._move(attempt.scopes, -attempt.amount, charge)
        state = "voided" if status == "voided" else "settled"
        self.ended[name] = attempt._replace(state=state, charge=charge)
        return None

    def limit(self, scope: str, limit: int | None) -> Answer:
        """Limit a scope, or lift its limit."""
        self.scopes[scope] = self.scopes.get(scope, Scope())._replace(limit=limit)
        return None

    def budget(self, budget: str, limit: int, hour: int) -> Answer:
        """Set a budget and the limits of all its windows; the one of this hour begins, if it had not."""
        self.budgets[budget] = limit
        self.limit(window_of(budget, hour), limit)
        return self._limit_windows(budget, limit)

    def lift(self, budget: str) -> Answer:
        """Remove a budget and the limits of its windows."""
        is_known = self.budgets.pop(budget, None) is not None
        return self._limit_windows(budget, None) if is_known else None

    def pay(self, scope: str, amount: int, reference: str) -> Answer:
        """Move a balance, once for each reference and never below nothing paid."""
        balance = self.scopes.get(scope, Scope(0))
        limit = (balance.limit or 0) + amount
        if reference in self.paid or limit < 0:
            return CONFLICT
        self.paid |= {reference}
        kind = "top_up" if amount > 0 else "adjustment"
        self.entries.append((None, 0, kind, 1, abs(amount), 0))
        self.scopes[scope] = balance._replace(limit=limit)
        return None

    def restart(self) -> tuple[int, int]:
        """Close what is open; returns how many were settled and voided."""
        sent = [name for name, attempt in self.open.items() if attempt.state == "sent"]
        voided = [name for name in self.open if name not in sent]
        for name in sent:
            attempt = self.open[name]
            used = {"input_fresh": attempt.estimate, "output_text": attempt.tokens}
            hour = attempt.last if attempt.noted is None else attempt.noted
            self.end(name, "recovered", hour, used, charged=attempt.tokens > 0)
        for name in voided:
            self.end(name, "voided", self.open[name].last, {})
        return len(sent), len(voided)

    def _limit_windows(self, budget: str, limit: int | None) -> Answer:
        for scope in [scope for scope in self.scopes if scope.startswith(f"budget:{budget}:")]:
            self.limit(scope, limit)
        return None

    def _first_limit(self, scope: str) -> int | None:
        kind, _, rest = scope.partition(":")
        return 0 if kind == "balance" else self.budgets.get(rest.partition(":")[0]) if kind == "budget" else None

    def _move(self, scopes: tuple[str, ...], held: int, spent: int) -> None:
        for name in scopes:
            scope = self.scopes[name]
            self.scopes[name] = scope._replace(held=scope.held + held, spent=scope.spent + spent)


def window_of(budget: str, hour: int) -> str:
    """Return the scope of a budget's window at an hour after the first one."""
    if budget == "bud_total":
        return "budget:bud_total:total"
    since = SINCE_MIDNIGHT.get(budget)
    start = hour if since is None else (hour + since) // 24 * 24 - since
    return f"budget:{budget}:{FIRST_HOUR + timedelta(hours=start):%Y-%m-%dT%H:%MZ}"


def _left(scope: Scope) -> int:
    return (scope.limit or 0) - scope.held - scope.spent


def _nano(count: int, pico: int, ppm: int = 1_000_000) -> int:
    return round(Fraction(count * pico * ppm, 1_000_000_000))
