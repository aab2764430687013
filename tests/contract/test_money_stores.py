"""The contract of the stores of budgets, teams and balances, together with the ledger, run over every driver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from headrace.domain.books import Held, Refused
from headrace.domain.budget import Budget, BudgetMode, Window, balance_scope
from headrace.domain.errors import Conflict
from headrace.domain.money import MAX_NANO
from headrace.domain.team import Team
from headrace.domain.transfer import Balance, Transfer, TransferKind
from headrace.drivers.stores.accounts import SqlAccounts
from headrace.drivers.stores.budgets import SqlBudgetStore
from headrace.drivers.stores.teams import SqlTeamStore
from headrace.ports.ledger import Ledger
from headrace.ports.money import Accounts, BudgetStore, TeamStore
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import START_MICROS, STORES, OpenStore, charge_of, new_ledger, opening, settlement

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

DAILY = Budget("bud_1", "team:shop", Window.DAY, "UTC", 5_000, BudgetMode.REJECT, 1_000, 1_000)
DAY_MICROS = 86_400_000_000
TODAY = DAILY.span_at(START_MICROS).scope
TOMORROW = DAILY.span_at(START_MICROS + DAY_MICROS).scope
SHOP = balance_scope("shop")


@dataclass(frozen=True, slots=True)
class Money:
    budgets: BudgetStore
    teams: TeamStore
    accounts: Accounts
    ledger: Ledger

    async def hold(self, number: int, *scopes: str) -> Held | Refused:
        return await self.ledger.hold(replace(opening(number), scopes=scopes))

    async def balance(self, scope: str) -> tuple[int | None, int, int]:
        (found,) = await self.accounts.balances([scope])
        return found.limit_nano, found.held_nano, found.spent_nano


@pytest.fixture(params=STORES.values(), ids=list(STORES))
def money(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Money]:
    open_store: OpenStore = request.param
    clock = FakeClock(START_MICROS)
    database = open_store(tmp_path, clock)
    yield Money(SqlBudgetStore(database), SqlTeamStore(database), SqlAccounts(database), new_ledger(database, clock))
    database.close()


def payment(amount_nano: int, reference: str, kind: TransferKind = TransferKind.TOP_UP) -> Transfer:
    return Transfer(kind, "shop", amount_nano, "why", reference, START_MICROS)


BOUND = opening(1).bound.amount_nano


async def test_budgets_come_back_as_they_were_stored_oldest_first(money: Money) -> None:
    later = replace(DAILY, id="bud_0", scope="platform", window=Window.TOTAL, created_at_micros=2_000)
    for budget in (later, DAILY):
        await money.budgets.put(budget, budget.span_at(START_MICROS).scope)
    assert await money.budgets.list() == (DAILY, later)
    changed = replace(DAILY, limit_nano=7, mode=BudgetMode.CLAMP, changed_at_micros=3_000)
    await money.budgets.put(changed, TODAY)
    assert await money.budgets.list() == (changed, later)
    assert await money.budgets.remove("bud_1")
    assert not await money.budgets.remove("bud_1")
    assert await money.budgets.list() == (later,)


async def test_each_window_has_the_whole_limit_and_its_own_spending(money: Money) -> None:
    budget = replace(DAILY, limit_nano=BOUND)
    await money.budgets.put(budget, TODAY)
    assert await money.hold(1, TODAY, "platform") == Held("att_000001")
    refused = await money.hold(2, TODAY, "platform")
    assert refused == Refused(TODAY, BOUND, 0)
    assert await money.hold(3, TOMORROW, "platform") == Held("att_000003")
    assert await money.balance("platform") == (None, 2 * BOUND, 0)
    settled = settlement("att_000001")
    await money.ledger.settle(settled)
    assert await money.balance(TODAY) == (BOUND, 0, charge_of(settled))
    assert await money.balance(TOMORROW) == (BOUND, BOUND, 0)


async def test_a_changed_limit_holds_for_the_next_hold_in_every_window(money: Money) -> None:
    await money.budgets.put(replace(DAILY, limit_nano=2 * BOUND), TODAY)
    assert await money.hold(1, TODAY) == Held("att_000001")
    assert await money.hold(2, TOMORROW) == Held("att_000002")
    await money.budgets.put(replace(DAILY, limit_nano=BOUND + 5), TODAY)
    for number, scope in ((3, TODAY), (4, TOMORROW)):
        assert await money.hold(number, scope) == Refused(scope, BOUND + 5, 5)
    assert await money.budgets.remove("bud_1")
    assert await money.hold(5, TODAY) == Held("att_000005")


async def test_a_limit_does_not_reach_a_budget_whose_id_begins_alike(money: Money) -> None:
    other = replace(DAILY, id="bud_11", limit_nano=BOUND)
    for budget in (DAILY, other):
        await money.budgets.put(budget, budget.span_at(START_MICROS).scope)
    await money.budgets.put(replace(DAILY, limit_nano=1), TODAY)
    assert await money.balance(other.span_at(START_MICROS).scope) == (BOUND, 0, 0)


async def test_a_balance_pays_until_it_is_used_up(money: Money) -> None:
    assert await money.hold(1, SHOP) == Refused(SHOP, 0, 0), "nothing was paid in yet"
    assert await money.accounts.post(payment(BOUND, "INV-1")) == Balance(SHOP, BOUND, 0, 0)
    assert await money.hold(2, SHOP) == Held("att_000002")
    assert await money.hold(3, SHOP) == Refused(SHOP, BOUND, 0)
    settled = settlement("att_000002")
    await money.ledger.settle(settled)
    after = await money.accounts.post(payment(5, "INV-2"))
    assert after == Balance(SHOP, BOUND + 5, 0, charge_of(settled))
    less = await money.accounts.post(payment(-5, "FIX-1", TransferKind.ADJUSTMENT))
    assert less.limit_nano == BOUND
    listed = await money.accounts.transfers("shop", 2)
    assert [(each.reference, each.amount_nano, each.debit, each.credit, each.note) for each in listed] == [
        ("FIX-1", 5, "receivable:shop", "adjustments", "why"),
        ("INV-2", 5, "cash", "receivable:shop", "why"),
    ]
    assert await money.accounts.transfers("other", 5) == ()


async def test_a_transfer_is_booked_once_and_a_refused_one_not_at_all(money: Money) -> None:
    await money.accounts.post(payment(100, "INV-1"))
    for wrong, code in (
        (payment(100, "INV-1"), "transfer_booked"),
        (payment(-101, "FIX-1", TransferKind.ADJUSTMENT), "balance_out_of_range"),
        (payment(MAX_NANO, "INV-2"), "balance_out_of_range"),
    ):
        with pytest.raises(Conflict) as refused:
            await money.accounts.post(wrong)
        assert refused.value.code == code
        assert await money.balance(SHOP) == (100, 0, 0)
        assert len(await money.accounts.transfers("shop", 10)) == 1


async def test_teams_come_back_by_name(money: Money) -> None:
    shop, desk = Team("shop", is_prepaid=True, created_at_micros=2), Team("desk", is_prepaid=False, created_at_micros=1)
    for team in (shop, desk, replace(desk, is_prepaid=True, created_at_micros=9)):
        await money.teams.put(team)
    assert await money.teams.list() == (replace(desk, is_prepaid=True), shop)
    assert await money.teams.remove("desk")
    assert not await money.teams.remove("desk")
    assert await money.teams.list() == (shop,)


async def test_only_scopes_that_exist_are_read(money: Money) -> None:
    await money.hold(1, "platform")
    assert [each.scope for each in await money.accounts.balances(["key:none", "platform"])] == ["platform"]
