"""An opened store as the ledger's machine sees it: the ports that it calls, and what the tables say after a commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from headrace.domain.budget import Budget, BudgetMode, Window
from headrace.domain.price import Line, PriceVersion, price_lines
from headrace.domain.usage import TokenClass, UnitClass, Usage, UsageClass
from headrace.drivers.stores.accounts import SqlAccounts
from headrace.drivers.stores.budgets import SqlBudgetStore
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor
from headrace.ports.ambient import Clock
from headrace.ports.money import Accounts, BudgetStore
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import PRICE, START_MICROS, LimitedLedger, broken_invariants, new_ledger
from tests.contract.ledger_books import STORES as KINDS
from tests.contract.ledger_reference import CLASSES, MARKUP_PPM, PICO, TEXT_CLASSES, Reference
from tests.contract.ledger_reference import Line as ReferenceLine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

HOUR_MICROS = 3_600_000_000
BUDGETS = {
    each.id: each
    for each in (
        Budget("bud_day", "platform", Window.DAY, "UTC", 0, BudgetMode.REJECT, 0, 0),
        Budget("bud_hour", "key:k1", Window.HOUR, "UTC", 0, BudgetMode.CLAMP, 0, 0),
        Budget("bud_total", "model:small", Window.TOTAL, "UTC", 0, BudgetMode.REJECT, 0, 0),
        Budget("bud_zone", "team:acme", Window.DAY, "Europe/Berlin", 0, BudgetMode.REJECT, 0, 0),
    )
}
USAGE_CLASSES: dict[str, UsageClass] = {
    each: UnitClass(each) if each == "search" else TokenClass(each) for each in CLASSES
}
PRICES = {
    name: replace(
        PRICE,
        id=f"acme/small@2026-01-01#{name}",
        rates_pico={USAGE_CLASSES[each]: pico for each, pico in PICO.items()},
        markup_ppm=markup,
    )
    for name, markup in MARKUP_PPM.items()
}
SCOPES = "SELECT scope, limit_nano, held_nano, spent_nano FROM scope"
HOLDS = """
SELECT attempt_id, attempt.bound_nano, hold.sent_at_micros, hold.checkpoint_output_tokens
FROM hold JOIN attempt USING (attempt_id)
"""
COLUMNS = ("attempts", "cost_nano", "charge_nano", *TEXT_CLASSES)
USAGE = f"""
SELECT hour_start_micros, status, {", ".join(f"sum({column})" for column in COLUMNS)} FROM usage_hour GROUP BY 1, 2
"""
LINES = """
SELECT attempt_id, line, line_kind, quantity, cost_nano, charge_nano FROM settled_line WHERE attempt_id >= ?
"""
ENTRIES = "SELECT entry_id, line, kind, quantity, amount_nano FROM ledger_entry WHERE entry_id > ? ORDER BY entry_id"
ENDED = "SELECT attempt_id, outcome FROM resolution"


class Seen(NamedTuple):
    """What the tables say after a commit; `entries` are the lines and transfers that were not seen before it."""

    scopes: dict[str, tuple[int | None, int, int]]
    holds: dict[str, tuple[int, bool, int]]
    usage: dict[tuple[int, str, str], int]
    entries: list[ReferenceLine]
    last_entry: int


@dataclass(slots=True)
class Store:
    """What the machine calls; a seeded fault replaces one of the parts."""

    ledger: LimitedLedger
    accounts: Accounts
    budgets: BudgetStore
    look: Callable[[int, Reference], Awaitable[Seen]]
    ended: Callable[[], Awaitable[dict[str, str]]]
    audit: Callable[[], Awaitable[list[str]]]
    price: Callable[[Usage, PriceVersion], tuple[Line, ...]]
    window: Callable[[Budget, int], str]
    database: Database


OpenStore: TypeAlias = Callable[[Path], AbstractAsyncContextManager[Store]]


def store_in(open_store: Callable[[Path, Clock], Database]) -> OpenStore:
    """Return what opens a kind of store for the machine; leaving closes it."""

    @asynccontextmanager
    async def open_it(home: Path) -> AsyncGenerator[Store]:
        clock = FakeClock(START_MICROS)
        database = open_store(home, clock)

        async def look(last_entry: int, before: Reference) -> Seen:
            return await database.read(lambda cursor: _seen(cursor, last_entry, before))

        async def ended() -> dict[str, str]:
            return dict(await database.read(lambda cursor: cursor.execute(ENDED).fetchall()))

        async def audit() -> list[str]:
            return await database.read(broken_invariants)

        try:
            yield Store(
                ledger=new_ledger(database, clock),
                accounts=SqlAccounts(database),
                budgets=SqlBudgetStore(database),
                look=look,
                ended=ended,
                audit=audit,
                price=lambda usage, price: price_lines(usage, price, 0),
                window=lambda budget, at_micros: budget.span_at(at_micros).scope,
                database=database,
            )
        finally:
            database.close()

    return open_it


STORES: dict[str, OpenStore] = {name: store_in(open_store) for name, open_store in KINDS.items()}


def hour_of(at_micros: int) -> int:
    """Return the hour after the first one."""
    return (at_micros - START_MICROS) // HOUR_MICROS


def micros_of(hour: int) -> int:
    """Return a time within an hour after the first one."""
    return START_MICROS + hour * HOUR_MICROS + 1


def _seen(cursor: Cursor, last_entry: int, before: Reference) -> Seen:
    usage: dict[tuple[int, str, str], int] = {}
    for start, status, *sums in cursor.execute(USAGE).fetchall():
        usage |= {(hour_of(start), status, column): each for column, each in zip(COLUMNS, sums, strict=True) if each}
    # Whatever ends in a commit was open before it, or begins in it with a later name than all others.
    # What a recovery ended has entries in the reference already.
    fresh = {entry[0] for entry in before.entries if entry[0] is not None}
    oldest = min([*before.open, *fresh], default=max(before.ended, default=""))
    lines = cursor.execute(LINES, (oldest,)).fetchall()
    lines = [row for row in lines if row[0] in fresh or row[0] not in before.ended]
    entries = cursor.execute(ENTRIES, (last_entry,)).fetchall()
    return Seen(
        {scope: (limit, held, spent) for scope, limit, held, spent in cursor.execute(SCOPES).fetchall()},
        {name: (nano, at is not None, tokens or 0) for name, nano, at, tokens in cursor.execute(HOLDS).fetchall()},
        usage,
        [*(tuple(row) for row in lines), *((None, *row[1:], 0) for row in entries)],
        entries[-1][0] if entries else last_entry,
    )
