"""Owns what every scope has held and spent while one process owns the store: in memory, and moved in the same commit.

Taking a hold is then a comparison and no statement, whatever the number of scopes. The table keeps the same figures:
what moved in a batch is written at its end, and after a rollback everything is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.domain.books import Opening, Refused
from headrace.domain.budget import BALANCE_PREFIX, budget_of
from headrace.drivers.stores import sql
from headrace.drivers.stores.rowsets import run_rows
from headrace.drivers.stores.sqlite import Cursor

MOST_REMEMBERED = 20_000
LIMIT_OF_BUDGET = "SELECT limit_nano FROM budget WHERE budget_id = ?"


@dataclass(slots=True)
class _Balance:
    """One scope; `held_moved` and `spent_moved` are what the table does not know yet."""

    limit: int | None
    held: int
    spent: int
    held_moved: int = 0
    spent_moved: int = 0


class Balances:
    """The balances of all scopes in use; it belongs to the writer's thread."""

    def __init__(self) -> None:
        self._known: dict[str, _Balance] = {}
        self._moved: set[str] = set()

    def forget(self) -> None:
        """Drop what was learnt: it is read again when it is needed."""
        self._known.clear()
        self._moved.clear()

    def take(self, cursor: Cursor, opening: Opening) -> Refused | None:
        """Hold the bound on every scope, or on none when one does not allow it: that with the least left is named."""
        amount = opening.bound.amount_nano
        balances = self._all(cursor, opening.scopes)
        for balance in balances:
            if balance.limit is not None and balance.held + balance.spent + amount > balance.limit:
                return _refused(opening.scopes, balances)
        for balance in balances:
            balance.held += amount
            balance.held_moved += amount
        self._moved.update(opening.scopes)
        return None

    def release(self, cursor: Cursor, scopes: Sequence[str], held_nano: int, charged_nano: int) -> None:
        """Give back a hold and note what was charged on every scope of an attempt."""
        for balance in self._all(cursor, scopes):
            balance.held -= held_nano
            balance.held_moved -= held_nano
            balance.spent += charged_nano
            balance.spent_moved += charged_nano
        self._moved.update(scopes)

    def write(self, cursor: Cursor) -> None:
        """Write what has moved since the last time."""
        if not self._moved:
            return
        rows: list[str | int] = []
        for scope in self._moved:
            balance = self._known[scope]
            rows += (scope, balance.held_moved, balance.spent_moved)
            balance.held_moved = balance.spent_moved = 0
        self._moved.clear()
        run_rows(cursor, sql.MOVE_ALL, 3, rows)
        if len(self._known) > MOST_REMEMBERED:
            self._known.clear()

    def _all(self, cursor: Cursor, scopes: Sequence[str]) -> list[_Balance]:
        known = self._known
        try:
            return [known[scope] for scope in scopes]
        except KeyError:
            return [known.get(scope) or self._read(cursor, scope) for scope in scopes]

    def _read(self, cursor: Cursor, scope: str) -> _Balance:
        row = cursor.execute(sql.READ_BALANCE, (scope,)).fetchone()
        if row is None:
            limit = _limit_of(cursor, scope)
            cursor.execute(sql.ADD_SCOPE, (scope, -1 if limit is None else limit, 0, 0))
            balance = _Balance(limit, 0, 0)
        else:
            balance = _Balance(row[0], row[1], row[2])
        self._known[scope] = balance
        return balance


def _refused(scopes: Sequence[str], balances: Sequence[_Balance]) -> Refused:
    """What the scope with the least left can afford, all of them can."""
    limited = [
        (each.limit - each.held - each.spent, place, each.limit)
        for place, each in enumerate(balances)
        if each.limit is not None
    ]
    left, place, limit = min(limited)
    return Refused(scopes[place], limit, max(0, left))


def _limit_of(cursor: Cursor, scope: str) -> int | None:
    if scope.startswith(BALANCE_PREFIX):
        return 0
    budget_id = budget_of(scope)
    if budget_id is None:
        return None
    row = cursor.execute(LIMIT_OF_BUDGET, (budget_id,)).fetchone()
    return None if row is None else row[0]
