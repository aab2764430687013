"""Owns the stored budgets and the limits of their windows; which window is now is the services'."""

from __future__ import annotations

from headrace.domain.budget import BUDGET_PREFIX, Budget, BudgetMode, Window
from headrace.drivers.stores import sql
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor

PUT = """
INSERT INTO budget (budget_id, scope, time_window, zone, limit_nano, mode, created_at_micros, changed_at_micros)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (budget_id) DO UPDATE SET
    limit_nano = excluded.limit_nano, mode = excluded.mode, changed_at_micros = excluded.changed_at_micros
"""
REMOVE = "DELETE FROM budget WHERE budget_id = ?"
LIMIT = "UPDATE scope SET limit_nano = ? WHERE scope >= ? AND scope < ?"
LIST = """
SELECT budget_id, scope, time_window, zone, limit_nano, mode, created_at_micros, changed_at_micros
FROM budget ORDER BY created_at_micros, budget_id
"""


class SqlBudgetStore:
    """Budgets, one row each; the limit of the window that runs is a scope's, changed in the same commit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, budget: Budget, current_scope: str) -> None:
        """Store or replace a budget and the limit of its current window's scope, both or neither.

        Its other windows have the limit too: the next one may have begun meanwhile, and a clock may step back.
        """

        def write(cursor: Cursor) -> None:
            cursor.execute(PUT, _row(budget))
            cursor.execute(sql.SET_LIMIT, (current_scope, budget.limit_nano, 0, 0))
            cursor.execute(LIMIT, (budget.limit_nano, *_windows(budget.id)))
            self._database.figures.balances.forget()

        await self._database.write(write)

    async def remove(self, budget_id: str) -> bool:
        """Forget a budget and lift the limit of all its windows; returns whether there was one."""

        def write(cursor: Cursor) -> bool:
            if cursor.execute(REMOVE, (budget_id,)).rowcount != 1:
                return False
            cursor.execute(LIMIT, (None, *_windows(budget_id)))
            self._database.figures.balances.forget()
            return True

        return await self._database.write(write)

    async def list(self) -> tuple[Budget, ...]:
        """Return every budget, oldest first."""
        rows = await self._database.read(lambda cursor: cursor.execute(LIST).fetchall())
        return tuple(
            Budget(budget_id, scope, Window(window), zone, limit, BudgetMode(mode), created, changed)
            for budget_id, scope, window, zone, limit, mode, created, changed in rows
        )


def _windows(budget_id: str) -> tuple[str, str]:
    return f"{BUDGET_PREFIX}{budget_id}:", f"{BUDGET_PREFIX}{budget_id};"


def _row(budget: Budget) -> tuple[str | int, ...]:
    return (
        budget.id,
        budget.scope,
        budget.window.value,
        budget.zone,
        budget.limit_nano,
        budget.mode.value,
        budget.created_at_micros,
        budget.changed_at_micros,
    )
