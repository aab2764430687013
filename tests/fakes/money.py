"""Budgets, teams and balances that live in memory; only what the control plane's tests need of the books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace.domain.budget import Budget, balance_scope
from headrace.domain.errors import Conflict
from headrace.domain.team import Team
from headrace.domain.transfer import Balance, Entry, Transfer


@dataclass(slots=True)
class MemoryMoney:
    """Budgets and the scopes of the books, shared by the stores."""

    budgets: dict[str, Budget] = field(default_factory=dict[str, Budget])
    scopes: dict[str, Balance] = field(default_factory=dict[str, Balance])
    entries: list[Entry] = field(default_factory=list[Entry])


class MemoryBudgetStore:
    def __init__(self, money: MemoryMoney) -> None:
        self.budgets = money.budgets
        self._money = money

    async def put(self, budget: Budget, current_scope: str) -> None:
        self.budgets[budget.id] = budget
        before = self._money.scopes.get(current_scope, Balance(current_scope, None, 0, 0))
        self._money.scopes[current_scope] = Balance(
            current_scope, budget.limit_nano, before.held_nano, before.spent_nano
        )

    async def remove(self, budget_id: str) -> bool:
        return self.budgets.pop(budget_id, None) is not None

    async def list(self) -> tuple[Budget, ...]:
        return tuple(self.budgets.values())


class MemoryTeamStore:
    def __init__(self) -> None:
        self.teams: dict[str, Team] = {}

    async def put(self, team: Team) -> None:
        self.teams[team.name] = team

    async def remove(self, name: str) -> bool:
        return self.teams.pop(name, None) is not None

    async def list(self) -> tuple[Team, ...]:
        return tuple(self.teams[name] for name in sorted(self.teams))


class MemoryAccounts:
    def __init__(self, money: MemoryMoney) -> None:
        self._money = money

    async def post(self, transfer: Transfer) -> Balance:
        if any(entry.reference == transfer.reference for entry in self._money.entries):
            raise Conflict("booked already", code="transfer_booked", param="reference")
        scope = balance_scope(transfer.account)
        before = self._money.scopes.get(scope, Balance(scope, 0, 0, 0))
        balance = Balance(scope, (before.limit_nano or 0) + transfer.amount_nano, before.held_nano, before.spent_nano)
        self._money.scopes[scope] = balance
        kind = transfer.kind.value
        entry = Entry(
            len(self._money.entries) + 1,
            kind,
            kind,
            "cash",
            f"receivable:{transfer.account}",
            abs(transfer.amount_nano),
            transfer.at_micros,
            transfer.note,
            transfer.reference,
        )
        self._money.entries.insert(0, entry)
        return balance

    async def balances(self, scopes: Sequence[str]) -> tuple[Balance, ...]:
        return tuple(self._money.scopes[each] for each in scopes if each in self._money.scopes)

    async def transfers(self, account: str, limit: int) -> tuple[Entry, ...]:
        name = f"receivable:{account}"
        return tuple(each for each in self._money.entries if name in (each.debit, each.credit))[:limit]
