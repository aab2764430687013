"""Faults that are seeded into an opened store, to prove that the ledger's machine would find them; none ships.

Each is a wrapper around a port, or a changed part of the SQLite driver: what a wrong line would do to the books.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from headrace.domain.books import Held, Opening, Progress, RecoveryReport, Refused, Settlement, Void
from headrace.domain.budget import Budget
from headrace.domain.errors import Conflict
from headrace.domain.price import Line, PriceVersion
from headrace.domain.transfer import Balance, Entry, Transfer
from headrace.domain.usage import Usage
from headrace.drivers.stores.balances import Balances
from headrace.drivers.stores.budgets import SqlBudgetStore
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.open_attempts import Origin
from headrace.drivers.stores.rollups import Rollups
from headrace.drivers.stores.sqlite import Cursor
from tests.contract.ledger_store import Store

MOVE = """
UPDATE scope SET held_nano = held_nano + ?, spent_nano = spent_nano + ?
WHERE scope IN (SELECT drawn.value FROM attempt JOIN json_each(attempt.scopes) AS drawn WHERE attempt_id = ? LIMIT ?)
"""
BOUND = "SELECT bound_nano FROM attempt WHERE attempt_id = ?"
ADD_HOLD = """
INSERT INTO hold (attempt_id, epoch, account, provider, scopes, amount_nano)
SELECT attempt_id, epoch, 'operator', provider, scopes, bound_nano FROM attempt WHERE attempt_id = ?
"""
Priced: TypeAlias = Callable[[Usage, PriceVersion], tuple[Line, ...]]


class Wrapped:
    """Passes everything on to the store's ledger; a fault overrides one method."""

    def __init__(self, store: Store) -> None:
        self.inner = store.ledger
        self.database = store.database

    async def hold(self, opening: Opening) -> Held | Refused:
        return await self.inner.hold(opening)

    def sent(self, attempt_id: str, at_micros: int) -> Awaitable[None]:
        return self.inner.sent(attempt_id, at_micros)

    def checkpoint(self, attempt_id: str, progress: Progress) -> None:
        self.inner.checkpoint(attempt_id, progress)

    async def settle(self, settlement: Settlement) -> None:
        await self.inner.settle(settlement)

    async def void(self, void: Void) -> None:
        await self.inner.void(void)

    async def recover(self) -> RecoveryReport:
        return await self.inner.recover()

    async def set_limit(self, scope: str, limit_nano: int | None) -> None:
        await self.inner.set_limit(scope, limit_nano)

    async def balance(self, scope: str) -> tuple[int | None, int, int]:
        return await self.inner.balance(scope)

    async def move(self, attempt_id: str, held: int, spent: int, scopes: int = 99) -> None:
        """Move an attempt's scopes, or the first of them, behind the ledger's back."""

        def write(cursor: Cursor) -> None:
            cursor.execute(MOVE, (held, spent, attempt_id, scopes))
            self.database.figures.balances.forget()

        await self.database.write(write)

    async def bound(self, attempt_id: str) -> int:
        """Return what an attempt held."""
        return await self.database.read(lambda cursor: int(cursor.execute(BOUND, (attempt_id,)).fetchone()[0]))


class SettlesTwice(Wrapped):
    """A second settlement is refused, but its charge reaches the scopes."""

    async def settle(self, settlement: Settlement) -> None:
        try:
            await self.inner.settle(settlement)
        except Conflict:
            await self.move(settlement.attempt_id, 0, sum(line.charge_nano for line in settlement.lines))
            raise


class LeaksOnVoid(Wrapped):
    """A void gives the hold back to all scopes but one."""

    async def void(self, void: Void) -> None:
        await self.inner.void(void)
        await self.move(void.attempt_id, await self.bound(void.attempt_id), 0, scopes=1)


class Resurrects(Wrapped):
    """A voided attempt is open again."""

    async def void(self, void: Void) -> None:
        await self.inner.void(void)
        await self.database.write(lambda cursor: cursor.execute(ADD_HOLD, (void.attempt_id,)).rowcount)
        await self.move(void.attempt_id, await self.bound(void.attempt_id), 0)


class IgnoresScope(Wrapped):
    """A hold does not draw on its last scope."""

    async def hold(self, opening: Opening) -> Held | Refused:
        return await self.inner.hold(replace(opening, scopes=opening.scopes[:-1] or opening.scopes))


class HoldsOnSome(Wrapped):
    """A refused attempt still holds on its first scope, when another one refused it."""

    async def hold(self, opening: Opening) -> Held | Refused:
        answer = await self.inner.hold(opening)
        if isinstance(answer, Refused) and answer.scope != opening.scopes[0]:
            await self.inner.hold(replace(opening, scopes=opening.scopes[:1]))
        return answer


class OffByOne(Wrapped):
    """A hold may carry a scope one nano-dollar over its limit."""

    async def hold(self, opening: Opening) -> Held | Refused:
        answer = await self.inner.hold(opening)
        if not isinstance(answer, Refused) or opening.bound.amount_nano != answer.affordable_nano + 1:
            return answer
        await self.inner.set_limit(answer.scope, answer.limit_nano + 1)
        answer_then = await self.inner.hold(opening)
        await self.inner.set_limit(answer.scope, answer.limit_nano)
        return answer_then


class CapsCharge(Wrapped):
    """A charge beyond the hold is cut to it."""

    async def settle(self, settlement: Settlement) -> None:
        bound, lines = await self.bound(settlement.attempt_id), list[Line]()
        for line in settlement.lines:
            charge = min(line.charge_nano, bound)
            bound -= charge
            lines.append(replace(line, charge_nano=charge))
        await self.inner.settle(replace(settlement, lines=tuple(lines)))


class LosesSent(Wrapped):
    """Every seventh attempt is not marked as sent."""

    def sent(self, attempt_id: str, at_micros: int) -> Awaitable[None]:
        return self._skipped(attempt_id, at_micros) if attempt_id[-1] == "7" else self.inner.sent(attempt_id, at_micros)

    async def _skipped(self, attempt_id: str, at_micros: int) -> None:
        return None


class KeepsFirstCount(Wrapped):
    """A later checkpoint of an attempt is dropped."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.noted: set[str] = set()

    def checkpoint(self, attempt_id: str, progress: Progress) -> None:
        if attempt_id not in self.noted:
            self.inner.checkpoint(attempt_id, progress)
        self.noted.add(attempt_id)


class LosesCheckpoint(Wrapped):
    """Recovery does not look at checkpoints."""

    async def recover(self) -> RecoveryReport:
        forget = "UPDATE hold SET checkpoint_output_tokens = NULL, checkpoint_bytes = NULL"
        await self.database.write(lambda cursor: cursor.execute(forget).rowcount)
        return await self.inner.recover()


class SkipsSums(Rollups):
    """An attempt whose caller left is not added to the hourly sums."""

    def settled(self, settlement: Settlement, charge_nano: int, origin: Origin) -> None:
        if settlement.ending != "client_closed":
            super().settled(settlement, charge_nano, origin)


def skips_sums(store: Store) -> None:
    """Seed SkipsSums."""
    store.database.figures.rollups = SkipsSums()


class PaysTwice:
    """A repeated transfer is refused, but its amount reaches the balance."""

    def __init__(self, store: Store) -> None:
        self._ledger, self._accounts = store.ledger, store.accounts

    async def post(self, transfer: Transfer) -> Balance:
        try:
            return await self._accounts.post(transfer)
        except Conflict:
            scope = f"balance:{transfer.account}"
            limit, _, _ = await self._ledger.balance(scope)
            await self._ledger.set_limit(scope, (limit or 0) + abs(transfer.amount_nano))
            raise

    async def balances(self, scopes: Sequence[str]) -> tuple[Balance, ...]:
        return await self._accounts.balances(scopes)

    async def transfers(self, account: str, limit: int) -> tuple[Entry, ...]:
        return await self._accounts.transfers(account, limit)


def pays_twice(store: Store) -> None:
    """Seed PaysTwice."""
    store.accounts = PaysTwice(store)


class KeepsLimit(SqlBudgetStore):
    """A removed budget goes on to limit its windows."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = database

    async def remove(self, budget_id: str) -> bool:
        statement = "DELETE FROM budget WHERE budget_id = ?"
        return await self._rows.write(lambda cursor: cursor.execute(statement, (budget_id,)).rowcount == 1)


def keeps_limit(store: Store) -> None:
    """Seed KeepsLimit."""
    store.budgets = KeepsLimit(store.database)


class NeverForgets(Balances):
    """What was learnt from a batch that was rolled back is not forgotten."""

    def forget(self) -> None:
        return


def never_forgets(store: Store) -> None:
    """Seed NeverForgets."""
    store.database.figures.balances = NeverForgets()


def in_utc(store: Store) -> None:
    """A budget's day begins at midnight UTC, whatever its zone."""

    def window(budget: Budget, at_micros: int) -> str:
        return replace(budget, zone="UTC").span_at(at_micros).scope

    store.window = window


def _priced(change: Callable[[Line, PriceVersion], Line | None]) -> Callable[[Store], None]:
    def seed(store: Store) -> None:
        inner = store.price

        def price(usage: Usage, version: PriceVersion) -> tuple[Line, ...]:
            changed = [change(line, version) for line in inner(usage, version)]
            return tuple(line for line in changed if line is not None)

        store.price = price

    return seed


def _rounded_up(line: Line, version: PriceVersion) -> Line:
    return replace(line, charge_nano=-(-line.quantity * line.price_pico * version.markup_ppm // 1_000_000_000))


def _wrapped(fault: type[Wrapped]) -> Callable[[Store], None]:
    def seed(store: Store) -> None:
        store.ledger = fault(store)

    return seed


MUTANTS: dict[str, Callable[[Store], None]] = {
    "settle twice": _wrapped(SettlesTwice),
    "leak a hold on void": _wrapped(LeaksOnVoid),
    "round up": _priced(_rounded_up),
    "drop a usage class": _priced(lambda line, _: None if line.kind == "input_cache_write_1h" else line),
    "ignore a scope": _wrapped(IgnoresScope),
    "wrong window": in_utc,
    "forget the markup": _priced(lambda line, _: replace(line, charge_nano=line.cost_nano)),
    "lose a checkpoint on recovery": _wrapped(LosesCheckpoint),
    "resurrect a voided attempt": _wrapped(Resurrects),
    "limit off by one": _wrapped(OffByOne),
    "rollup not updated": skips_sums,
    "top-up booked twice": pays_twice,
    "hold on some of the scopes": _wrapped(HoldsOnSome),
    "charge cut to the hold": _wrapped(CapsCharge),
    "sent not written": _wrapped(LosesSent),
    "first checkpoint kept": _wrapped(KeepsFirstCount),
    "limit kept after its budget": keeps_limit,
    "figures kept after a rollback": never_forgets,
}
