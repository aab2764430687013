"""Whose means are used up: budgets, a prepaid balance, and what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from headrace.domain.budget import Budget, BudgetMode, Window, balance_scope
from headrace.domain.errors import MeteringUnavailable
from headrace.domain.snapshot import Snapshot
from headrace.domain.team import Team
from headrace.domain.transfer import Balance
from headrace.services.deployment_means import DeploymentMeans
from headrace.testing.clock import FakeClock
from tests.fakes.money import MemoryAccounts, MemoryMoney
from tests.fakes.reconciled import a_deployment

pytestmark = pytest.mark.anyio


def budget(scope: str, limit_nano: int = 100) -> Budget:
    return Budget(f"bud_{scope}", scope, Window.TOTAL, "UTC", limit_nano, BudgetMode.REJECT, 0, 0)


def means(*budgets: Budget, teams: tuple[Team, ...] = (), spent: dict[str, Balance] | None = None) -> DeploymentMeans:
    found = Snapshot(1, models={}, providers={}, keys={}, budgets=budgets, teams={each.name: each for each in teams})
    return DeploymentMeans(lambda: found, MemoryAccounts(MemoryMoney(scopes=spent or {})), FakeClock())


def used(each: Budget, spent_nano: int, held_nano: int = 0) -> dict[str, Balance]:
    scope = each.span_at(0).scope
    return {scope: Balance(scope, each.limit_nano, held_nano, spent_nano)}


async def test_without_budgets_everybody_can_pay() -> None:
    assert await means().objection(a_deployment()) is None
    assert await means(budget("team:other", 0), budget("key:k1", 0)).objection(a_deployment()) is None


@pytest.mark.parametrize(
    ("scope", "named"),
    [("platform", "of the platform"), ("team:shop", 'of the team "shop"'), ("model:prod", 'of the model "prod"')],
)
async def test_a_budget_that_is_used_up_is_named(scope: str, named: str) -> None:
    each = budget(scope)
    assert await means(each, spent=used(each, 40, 59)).objection(a_deployment()) is None
    expected = f"It is not scaled up: the budget bud_{scope} {named} is used up."
    assert await means(each, spent=used(each, 40, 60)).objection(a_deployment()) == expected
    assert await means(budget(scope, 0)).objection(a_deployment()) == expected


async def test_a_free_deployment_needs_no_budget() -> None:
    assert await means(budget("platform", 0)).objection(replace(a_deployment(), nano_per_hour=0)) is None


async def test_a_prepaid_balance_has_to_be_there() -> None:
    team, scope = Team("shop", is_prepaid=True, created_at_micros=0), balance_scope("shop")
    expected = 'It is not scaled up: the prepaid balance of the team "shop" is used up.'
    assert await means(teams=(team,)).objection(a_deployment()) == expected
    paid = {scope: Balance(scope, 50, 0, 0)}
    assert await means(teams=(team,), spent=paid).objection(a_deployment()) is None
    billed = replace(team, is_prepaid=False)
    assert await means(teams=(billed,)).objection(a_deployment()) is None


class LockedAccounts(MemoryAccounts):
    async def balances(self, scopes: Sequence[str]) -> tuple[Balance, ...]:
        raise MeteringUnavailable("The store is locked.")


async def test_what_cannot_be_read_speaks_against_growing() -> None:
    found = Snapshot(1, models={}, providers={}, keys={}, budgets=(budget("platform"),))
    locked = DeploymentMeans(lambda: found, LockedAccounts(MemoryMoney()), FakeClock())
    assert await locked.objection(a_deployment()) == (
        "It is not scaled up while its budgets cannot be read: The store is locked."
    )
