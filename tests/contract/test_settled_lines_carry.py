"""Books of the schema with two entries a line become lines, to the nano-dollar, in both kinds of store.

The older books are made from today's: what today is derived, the accounts of entries and what a hold repeated of its
attempt, is written out as it was.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from headrace.domain.errors import StoreUnusable
from headrace.domain.secret import Secret
from headrace.drivers.stores.auditing import audit, audit_home
from headrace.drivers.stores.database import FILE_NAME
from headrace.drivers.stores.migrations.runner import apply_steps
from headrace.drivers.stores.postgres.auditing import audit_postgres
from headrace.drivers.stores.postgres.place import read_place
from headrace.drivers.stores.postgres.steps import apply_steps as apply_steps_to_postgres
from headrace.drivers.stores.schema import METADATA
from headrace.drivers.stores.sqlite import Connection, library
from headrace.drivers.stores.upgrade import STEPS
from tests.contract.audited_store import NOW_MICROS, Traffic, make_store
from tests.postgres_server import postgres_server

TABLES = [table.name for table in METADATA.sorted_tables]
NEW = frozenset({"settled_line", "waiver"})
OF_THE_STEP = NEW | {"attempt", "hold", "ledger_entry"}
SAME = [name for name in TABLES if name not in OF_THE_STEP]
WRITTEN_OUT = """
INSERT INTO turn SELECT request_id, turn_index, min(held_at_micros) FROM today.attempt GROUP BY 1, 2;
INSERT INTO attempt SELECT * FROM today.attempt;
INSERT INTO hold SELECT attempt_id, epoch, account, provider, scopes, bound_nano, sent_at_micros,
    checkpoint_output_tokens, checkpoint_bytes, checkpoint_at_micros
FROM today.hold JOIN today.attempt USING (attempt_id) JOIN today.request USING (request_id);
INSERT INTO ledger_entry (entry_id, line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano, at_micros,
    reverses, note, reference, run_id, scopes)
SELECT * FROM today.ledger_entry;
INSERT INTO ledger_entry (attempt_id, line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano,
    at_micros)
SELECT attempt_id, line, 'cost', line_kind, 'expense:' || provider, 'payable:' || provider, quantity, price_pico,
    cost_nano, at_micros
FROM today.settled_line JOIN today.attempt USING (attempt_id) JOIN today.resolution USING (attempt_id)
UNION ALL
SELECT attempt_id, line, 'charge', line_kind, 'receivable:' || account, 'revenue', quantity, price_pico, charge_nano,
    at_micros
FROM today.settled_line JOIN today.attempt USING (attempt_id) JOIN today.resolution USING (attempt_id)
    JOIN today.request USING (request_id);
"""
DIFFERENT = """
DROP TRIGGER ledger_entry_no_update;
UPDATE ledger_entry SET quantity = quantity + 1 WHERE kind = 'cost' AND attempt_id IS NOT NULL;
"""
REVERSAL = """
INSERT INTO ledger_entry (attempt_id, line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano,
    at_micros, reverses)
SELECT attempt_id, 90, kind, line_kind, credit, debit, quantity, price_pico, amount_nano, at_micros, entry_id
FROM ledger_entry WHERE attempt_id IS NOT NULL AND amount_nano > 0 LIMIT 1;
"""


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Books with requests that were settled, voided and are open, transfers, and runs of replicas with reversals."""
    home = tmp_path_factory.mktemp("today")
    asyncio.run(make_store(home, Traffic(60, 5)))
    return home / FILE_NAME


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The steps before this one."""
    earlier = tmp_path / "steps"
    shutil.copytree(STEPS.folder, earlier)
    for step in (earlier / "versions").glob("0*.py"):
        if step.name > "0017":
            step.unlink()
    return earlier


@pytest.fixture
def before(today: Path, folder: Path) -> Iterator[Connection]:
    """The same books in the schema before it."""
    connection = library.connect(":memory:", isolation_level=None)
    apply_steps(connection, folder)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("ATTACH ? AS today", (str(today),))
    for name in SAME:
        connection.execute(f"INSERT INTO {name} SELECT * FROM today.{name}")
    connection.executescript(WRITTEN_OUT)
    connection.execute("PRAGMA foreign_keys = ON")
    yield connection
    connection.close()


def rows_of(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(file)) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=str) for name in TABLES}


def test_a_file_carries_its_books_over(before: Connection, today: Path) -> None:
    assert before.execute("SELECT count(*) FROM ledger_entry WHERE attempt_id IS NOT NULL").fetchone()[0] > 100
    before.execute("DETACH today")
    apply_steps(before, STEPS.folder)
    found = {name: sorted(before.execute(f"SELECT * FROM {name}").fetchall(), key=str) for name in TABLES}
    assert found == rows_of(today)
    assert audit(before, NOW_MICROS, lambda _: None).differences == ()
    assert before.execute("PRAGMA foreign_key_check").fetchall() == []
    assert (
        before.execute("SELECT name FROM sqlite_master WHERE name LIKE '%before' OR name LIKE '%anew'").fetchall() == []
    )


@pytest.mark.parametrize("harm", [REVERSAL, DIFFERENT])
def test_entries_that_are_no_line_are_refused_and_left_as_they_were(before: Connection, harm: str) -> None:
    before.execute("DETACH today")
    before.executescript(harm)
    entries = before.execute("SELECT * FROM ledger_entry ORDER BY entry_id").fetchall()
    with pytest.raises(StoreUnusable, match="is not one cost and one charge"):
        apply_steps(before, STEPS.folder)
    assert before.execute("SELECT * FROM ledger_entry ORDER BY entry_id").fetchall() == entries
    assert before.execute("SELECT version_num FROM alembic_version").fetchone() == ("0016",)


def test_a_database_carries_its_books_over(before: Connection, folder: Path, today: Path) -> None:
    url = Secret(postgres_server().empty())
    place = read_place(url, "headrace")
    apply_steps_to_postgres(place, folder)
    with psycopg.connect(place.conninfo.reveal()) as target:
        target.execute("SET session_replication_role = replica")
        for name in (*TABLES, "turn"):
            if name not in NEW:
                copy(before, target, name)
    apply_steps_to_postgres(place, STEPS.folder)
    with psycopg.connect(place.conninfo.reveal()) as target:
        found = {name: target.execute(f"SELECT * FROM {name}".encode()).fetchall() for name in TABLES}
        checked = sa.inspect(sa.create_engine("postgresql+psycopg://", creator=lambda: target))
        assert "turn" not in checked.get_table_names()
    assert {name: sorted(rows, key=str) for name, rows in found.items()} == rows_of(today)
    assert audit_postgres(url, NOW_MICROS, lambda _: None).differences == ()
    with psycopg.connect(place.conninfo.reveal()) as target, pytest.raises(psycopg.Error, match="append-only"):
        target.execute("DELETE FROM ledger_entry")


def copy(source: Connection, target: psycopg.Connection[Any], name: str) -> None:
    rows = source.execute(f"SELECT * FROM main.{name}").fetchall()
    if rows:
        values = ", ".join(["%s"] * len(rows[0]))
        target.cursor().executemany(f"INSERT INTO {name} VALUES ({values})".encode(), rows)


def test_todays_books_agree(today: Path) -> None:
    assert audit_home(today.parent, NOW_MICROS, lambda _: None).agrees
