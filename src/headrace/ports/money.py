"""Ports of money beside the calls: budgets, teams, their prepaid balances; calls are booked by the ledger's port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.domain.budget import Budget
from headrace.domain.team import Team
from headrace.domain.transfer import Balance, Entry, Transfer


class BudgetStore(Protocol):
    """Stored budgets; a changed limit is in force for the next hold."""

    async def put(self, budget: Budget, current_scope: str) -> None:
        """Store or replace a budget and the limit of its current window's scope, both or neither."""
        ...

    async def remove(self, budget_id: str) -> bool:
        """Forget a budget and lift the limit of all its windows; returns whether there was one."""
        ...

    async def list(self) -> tuple[Budget, ...]:
        """Return every budget, oldest first."""
        ...


class TeamStore(Protocol):
    """Stored teams."""

    async def put(self, team: Team) -> None:
        """Store a team, or replace the one of its name."""
        ...

    async def remove(self, name: str) -> bool:
        """Forget a team; returns whether there was one."""
        ...

    async def list(self) -> tuple[Team, ...]:
        """Return every team by name."""
        ...


class Accounts(Protocol):
    """Prepaid balances, and reading the ledger's scopes."""

    async def post(self, transfer: Transfer) -> Balance:
        """Book a transfer and move the balance's limit with it; returns the balance.

        Raises Conflict when its reference was booked already, and when an adjustment would take the limit below zero.
        """
        ...

    async def balances(self, scopes: Sequence[str]) -> tuple[Balance, ...]:
        """Return the scopes that exist, in the order asked."""
        ...

    async def transfers(self, account: str, limit: int) -> tuple[Entry, ...]:
        """Return the newest transfers of an account first."""
        ...
