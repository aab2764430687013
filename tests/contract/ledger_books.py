"""Openings, settlements and the factories that every ledger suite shares; a driver joins LEDGERS."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from headrace.domain.books import Bound, Opening, RequestStart, Settlement, Timing, Void
from headrace.domain.price import PriceVersion, Rates, bound_nano, price_lines
from headrace.domain.receipt import AttemptRecord
from headrace.domain.transfer import Balance
from headrace.domain.usage import TokenClass, Usage
from headrace.drivers.stores import sql
from headrace.drivers.stores.accounts import SqlAccounts
from headrace.drivers.stores.audit import audit_holds, audit_spending, audit_usage
from headrace.drivers.stores.booking import or_nothing
from headrace.drivers.stores.database import Database, open_database
from headrace.drivers.stores.ledger import SqlLedger
from headrace.drivers.stores.postgres.connection import PostgresCursor
from headrace.drivers.stores.postgres.database import open_postgres
from headrace.drivers.stores.receipts import SqlReceipts
from headrace.drivers.stores.sqlite import Cursor
from headrace.ports.ambient import Clock
from headrace.ports.ledger import Ledger, Receipts
from headrace.testing.clock import FakeClock
from tests.postgres_server import store_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

START_MICROS = 1_764_000_000_000_000
RATES: Rates = {
    TokenClass.INPUT_FRESH: 50_000,
    TokenClass.INPUT_CACHE_READ: 5_000,
    TokenClass.INPUT_CACHE_WRITE_5M: 62_500,
    TokenClass.INPUT_CACHE_WRITE_1H: 100_000,
    TokenClass.OUTPUT_TEXT: 200_000,
    TokenClass.OUTPUT_REASONING: 200_000,
}
PRICE = PriceVersion("acme/small@2026-01-01#1", "acme", "small", "2026-01-01", "https://acme.example/prices", RATES)
SCOPES = ("platform", "key:k1")


class LimitedLedger(Ledger, Protocol):
    """A ledger whose scopes can be limited and looked at."""

    async def set_limit(self, scope: str, limit_nano: int | None) -> None: ...

    async def balance(self, scope: str) -> tuple[int | None, int, int]: ...


@dataclass(frozen=True, slots=True)
class Books:
    """One opened store as the suites see it; `audit` returns every broken invariant in words."""

    ledger: LimitedLedger
    receipts: Receipts
    audit: Callable[[], AbstractAsyncContextManager[list[str]]]
    clock: FakeClock

    async def attempt(self, attempt_id: str) -> AttemptRecord:
        """Return an attempt made by `opening`, whose request is named after it."""
        receipt = await self.receipts.get(attempt_id.replace("att", "req"), None)
        assert receipt is not None
        return next(each for each in receipt.attempts if each.attempt_id == attempt_id)


OpenBooks = Callable[[Path], AbstractAsyncContextManager[Books]]


OpenStore = Callable[[Path, Clock], Database]


def open_postgres_store(home: Path, clock: Clock) -> Database:
    """Open the PostgreSQL database that belongs to a home."""
    return open_postgres(store_of(home), clock)


STORES: dict[str, OpenStore] = {"sqlite": open_database, "postgres": open_postgres_store}


def books_in(open_store: OpenStore) -> OpenBooks:
    """Return what opens the books of a kind of store; leaving closes it in order."""

    @asynccontextmanager
    async def open_books(home: Path) -> AsyncGenerator[Books]:
        clock = FakeClock(START_MICROS)
        database = open_store(home, clock)
        try:
            yield books_of(database, clock)
        finally:
            database.close()

    return open_books


def books_of(database: Database, clock: FakeClock) -> Books:
    """Return the books of an opened database."""

    @asynccontextmanager
    async def audit() -> AsyncGenerator[list[str]]:
        yield await database.read(broken_invariants)

    return Books(new_ledger(database, clock), SqlReceipts(database), audit, clock)


class LimitedSqlLedger(SqlLedger):
    """The SQLite ledger; any scope can be limited, without a budget that says so."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock)
        self._store = database
        self._accounts = SqlAccounts(database)

    async def set_limit(self, scope: str, limit_nano: int | None) -> None:
        def write(cursor: Cursor) -> None:
            cursor.execute(sql.SET_LIMIT, (scope, or_nothing(limit_nano), 0, 0))
            self._store.figures.balances.forget()

        await self._store.write(write)

    async def balance(self, scope: str) -> tuple[int | None, int, int]:
        found = await self._accounts.balances([scope]) or (Balance(scope, None, 0, 0),)
        return found[0].limit_nano, found[0].held_nano, found[0].spent_nano


def new_ledger(database: Database, clock: Clock) -> LimitedSqlLedger:
    """Return the SQLite ledger of an opened database."""
    return LimitedSqlLedger(database, clock)


open_sqlite_books = books_in(open_database)
LEDGERS = tuple(pytest.param(books_in(open_store), id=name) for name, open_store in STORES.items())


def broken_invariants(cursor: Cursor) -> list[str]:
    """Return what contradicts itself in the tables: the state of attempts, their entries and the balances."""
    audits = (audit_holds(cursor), audit_spending(cursor), audit_usage(cursor))
    broken = [text for text in audits if text is not None]
    checks = {
        "an attempt neither open nor resolved, or both": """
            SELECT attempt_id FROM attempt LEFT JOIN resolution USING (attempt_id)
            WHERE (CASE WHEN attempt.attempt_id IN (SELECT attempt_id FROM hold) THEN 1 ELSE 0 END)
                = (CASE WHEN resolution.outcome IS NULL THEN 0 ELSE 1 END)""",
        "lines of an attempt that was not settled": """
            SELECT line.attempt_id FROM settled_line AS line LEFT JOIN resolution USING (attempt_id)
            WHERE coalesce(resolution.outcome, 'open') <> 'settled'""",
    }
    if not isinstance(cursor, PostgresCursor):
        checks["a broken reference"] = "PRAGMA foreign_key_check"
        checks["a damaged file"] = "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'"
    for name, statement in checks.items():
        rows = cursor.execute(statement).fetchall()
        broken += [f"{name}: {row}" for row in rows]
    return broken


def opening(
    number: int, *, scopes: tuple[str, ...] = SCOPES, input_tokens: int = 1_000, output_tokens: int = 100
) -> Opening:
    """Return the first attempt of a request, `att_N` of `req_N`."""
    request = RequestStart(
        f"req_{number:06d}", "chat", "operator", "k1", "web", "small", True, START_MICROS + number, None
    )
    amount = bound_nano(PRICE, input_tokens, output_tokens)
    bound = Bound(input_tokens, output_tokens, amount, input_estimate=input_tokens // 4)
    attempt_id = f"att_{number:06d}"
    return Opening(
        attempt_id, request, 0, 0, "small", "acme", None, "small-v1", PRICE, bound, scopes, START_MICROS + number
    )


def settlement(attempt_id: str, usage: Usage | None = None, *, charged: bool = True) -> Settlement:
    """Return a complete settlement priced at PRICE."""
    used = Usage(input_fresh=800, output_text=50) if usage is None else usage
    lines = price_lines(used, PRICE, 0, charged=charged)
    return Settlement(
        attempt_id,
        used,
        lines,
        "complete",
        Timing(START_MICROS + 10, START_MICROS + 20),
        delivered_bytes=512,
        upstream_status=200,
        upstream_request_id="up_1",
        request_status=200,
    )


def void(attempt_id: str, *, possible_spend: bool = False) -> Void:
    """Return a void after an upstream's refusal."""
    return Void(attempt_id, "upstream_rate_limited", START_MICROS + 20, 429, possible_spend, None)


def charge_of(settled: Settlement) -> int:
    """Return what a settlement charges, in nano-dollars."""
    return sum(line.charge_nano for line in settled.lines)
