"""Moving an installation into PostgreSQL: everything or nothing, equal on both sides, and the file serves no more."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from headrace.domain.access import AccessKey, Role
from headrace.domain.errors import HomeUnusable, StoreUnusable
from headrace.domain.secret import Secret
from headrace.drivers.stores.accounts import SqlAccounts
from headrace.drivers.stores.auditing import audit_home, rebuild_usage
from headrace.drivers.stores.budgets import SqlBudgetStore
from headrace.drivers.stores.connection import Cursor
from headrace.drivers.stores.database import FILE_NAME, Database, open_database
from headrace.drivers.stores.home import open_home
from headrace.drivers.stores.keys import SqlKeyStore
from headrace.drivers.stores.ledger import SqlLedger
from headrace.drivers.stores.postgres.auditing import audit_postgres, rebuild_postgres
from headrace.drivers.stores.postgres.database import open_postgres
from headrace.drivers.stores.postgres.moving import move_books
from headrace.drivers.stores.receipts import SqlReceipts
from headrace.drivers.stores.schema import METADATA
from headrace.drivers.stores.sqlite import connect_writer
from headrace.ports.fleet import Progress
from headrace.testing.clock import FakeClock
from tests.contract.audited_store import NOW_MICROS, make_store
from tests.contract.ledger_books import broken_invariants, opening
from tests.postgres_server import postgres_server

pytestmark = pytest.mark.timeout(60)

CLOCK = FakeClock(NOW_MICROS)
KEY = AccessKey("k1", "web ✓", Role.KEY, "shop", b"\x00\xff" * 16, frozenset({"small"}), 1_000)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with traffic of every kind, and a key whose digest is no text."""
    asyncio.run(make_store(tmp_path))
    with closing(open_database(tmp_path, CLOCK)) as database:
        asyncio.run(SqlKeyStore(database).add(KEY))
    return tmp_path


@pytest.fixture
def url() -> Secret:
    return Secret(postgres_server().empty())


def move(home: Path, url: Secret, watch: list[Progress] | None = None) -> dict[str, int]:
    seen: list[Progress] = [] if watch is None else watch
    return dict(move_books(home, url, CLOCK, seen.append).rows)


def everything(cursor: Cursor) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of every table but those that name the process and the move."""
    own = {"epoch", "installation"}
    names = [table.name for table in METADATA.sorted_tables if table.name not in own]
    return {name: sorted(map(tuple, cursor.execute(f"SELECT * FROM {name}").fetchall()), key=str) for name in names}


async def spend(database: Database) -> None:
    """Use a moved store as a server does."""
    ledger = SqlLedger(database, CLOCK)
    await ledger.recover()
    await ledger.hold(opening(1))
    assert await database.read(broken_invariants) == []


def test_everything_comes_over_and_the_books_go_on(home: Path, url: Secret) -> None:
    with closing(open_database(home, CLOCK)) as file:
        before = asyncio.run(file.read(everything))
        receipts = asyncio.run(SqlReceipts(file).recent(None, 1_000))
    seen: list[Progress] = []
    rows = move(home, url, seen)
    assert rows["attempt"] == len(before["attempt"]) == 60
    assert seen[-1].done == seen[-1].total
    assert audit_postgres(url, NOW_MICROS, lambda _: None).agrees
    with closing(open_postgres(url, CLOCK)) as database:
        assert asyncio.run(database.read(everything)) == before
        assert asyncio.run(SqlReceipts(database).recent(None, 1_000)) == receipts
        assert asyncio.run(SqlKeyStore(database).list()) == (KEY,)
        assert len(asyncio.run(SqlBudgetStore(database).list())) == 2
        assert asyncio.run(SqlAccounts(database).balances(["balance:shop"]))[0].limit_nano == 51_000_000_116
        asyncio.run(spend(database))
    rebuild_postgres(url)
    assert audit_postgres(url, NOW_MICROS, lambda _: None).agrees


def test_the_old_file_serves_no_more_and_says_where_the_books_are(home: Path, url: Secret) -> None:
    move(home, url)
    with pytest.raises(StoreUnusable, match=r"were moved to postgresql://.*headrace serve --store postgresql://"):
        open_database(home, CLOCK)
    with pytest.raises(StoreUnusable, match=r"were moved to postgresql://.*HEADRACE_STORE"):
        audit_home(home, NOW_MICROS, lambda _: None)
    with pytest.raises(StoreUnusable, match=r"were moved to postgresql://"):
        rebuild_usage(home)
    with pytest.raises(StoreUnusable, match=r"moved to .* already"):
        move(home, Secret(postgres_server().empty()))


def test_a_database_that_is_not_empty_is_refused(home: Path, url: Secret) -> None:
    with closing(open_postgres(url, CLOCK)):
        pass
    with pytest.raises(StoreUnusable, match="not empty: it has rows in epoch"):
        move(home, url)
    with closing(open_database(home, CLOCK)) as database:
        assert asyncio.run(database.read(broken_invariants)) == []


def test_running_servers_on_either_side_are_refused(home: Path, url: Secret) -> None:
    with open_home(home), pytest.raises(HomeUnusable, match="in use by another Headrace"):
        move(home, url)
    served = Secret(postgres_server().migrated())
    with closing(open_postgres(served, CLOCK)), pytest.raises(StoreUnusable, match="in use by another Headrace"):
        move(home, served)


def test_what_fails_half_way_changes_neither_side(home: Path, url: Secret) -> None:
    def watch(progress: Progress) -> None:
        if progress.what == "ledger_entry":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move_books(home, url, CLOCK, watch)
    with closing(open_database(home, CLOCK)) as database:
        assert asyncio.run(database.read(broken_invariants)) == []
    assert move(home, url)["attempt"] == 60


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("UPDATE scope SET held_nano = held_nano + 1 WHERE scope = 'platform'", "damaged"),
        ("UPDATE scope SET spent_nano = spent_nano + 1 WHERE scope = 'platform'", "does not agree with itself"),
        ("INSERT INTO alias VALUES ('a', char(0), '[]', 1, 1)", "alias differs after the copy"),
        ("UPDATE alembic_version SET version_num = '0001'", "schema 0001"),
    ],
)
def test_books_that_are_wrong_stay_where_they_are(home: Path, url: Secret, harm: str, told: str) -> None:
    with closing(connect_writer(home / FILE_NAME)) as connection:
        connection.execute(harm)
    with pytest.raises((StoreUnusable, HomeUnusable), match=told):
        move(home, url)


def test_a_home_without_books_is_refused(tmp_path: Path, url: Secret) -> None:
    with pytest.raises(HomeUnusable, match="nothing to move"):
        move(tmp_path, url)
