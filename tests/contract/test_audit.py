"""The audit finds every figure that was changed by one, and nothing in books that nobody touched."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from headrace.domain.audit import MOST_SHOWN, AuditReport, Difference, Findings
from headrace.domain.errors import HomeUnusable, StoreUnusable
from headrace.drivers.stores.auditing import audit, audit_home, rebuild_usage
from headrace.drivers.stores.database import FILE_NAME, open_database
from headrace.drivers.stores.home import open_home
from headrace.drivers.stores.schema import METADATA
from headrace.drivers.stores.sqlite import connect_reader
from headrace.ports.fleet import Progress
from headrace.testing.clock import FakeClock
from tests.contract.audited_store import NOW_MICROS, Traffic, make_store

AUDITED = (
    *("scope", "hold", "attempt", "resolution", "settled_line", "ledger_entry"),
    *("usage_hour", "tag_hour", "price_version", "budget", "decision", "replica_run"),
)
# Nothing follows from these: they are facts of their own, which the store refuses to change.
FACTS = frozenset(
    {
        "attempt.turn_index",
        "attempt.epoch",
        "attempt.attempt_index",
        "attempt.bound_input_tokens",
        "attempt.bound_output_tokens",
        "attempt.input_estimate",
        "hold.sent_at_micros",
        "hold.checkpoint_output_tokens",
        "hold.checkpoint_bytes",
        "hold.checkpoint_at_micros",
        "resolution.epoch",
        "resolution.at_micros",
        "resolution.sent_at_micros",
        "resolution.delivered_bytes",
        "resolution.upstream_status",
        "resolution.request_status",
        "resolution.possible_spend",
        "resolution.share_micros",
        "ledger_entry.entry_id",
        "ledger_entry.at_micros",
        "ledger_entry.reverses",
        "budget.created_at_micros",
        "budget.changed_at_micros",
        "replica_run.started_at_micros",
        "replica_run.seen_at_micros",
        "replica_run.pid",
        "replica_run.gpus",
    }
)
# Where a row matters only in some state, the rows that are changed.
OPEN = "attempt_id IN (SELECT attempt_id FROM hold)"
WHERE = {"attempt.bound_nano": OPEN, "budget.limit_nano": "budget_id = 'bud_1'"}
NUMBERS = [
    f"{table}.{column.name}"
    for table in AUDITED
    for column in METADATA.tables[table].c
    if isinstance(column.type, sa.Integer | sa.BigInteger) and f"{table}.{column.name}" not in FACTS
]
WORDS = {
    "attempt.scopes": OPEN,
    "settled_line.line_kind": "1",
    "settled_line.attempt_id": "1",
    "ledger_entry.kind": "kind = 'top_up'",
    "request.tags": "tags IS NOT NULL",
    "request.account": "1",
    "request.key_id": "1",
    "request.route": "route IS NOT NULL",
    "resolution.ending": "ending IS NOT NULL",
    "usage_hour.account": "1",
    "usage_hour.key_id": "1",
    "usage_hour.model_id": "1",
    "usage_hour.provider": "1",
    "usage_hour.deployment": "1",
    "usage_hour.route": "1",
    "usage_hour.status": "1",
    "tag_hour.tag": "1",
    "tag_hour.status": "1",
    "decision.router": "1",
    "replica_run.account": "lines > 0",
    "replica_run.driver": "lines > 0",
    "replica_run.deployment": "lines > 0",
    "replica_run.deployment_id": "lines > 0",
}
NEW_WORDS = {
    "attempt.scopes": """'["platform"]'""",
    "attempt.price_version": "(SELECT price_version FROM price_version WHERE model_id = 'varied')",
    "ledger_entry.kind": "'adjustment'",
    "request.tags": """'["other"]'""",
}
ROWS = ("hold", "resolution", "settled_line", "ledger_entry", "scope", "usage_hour", "tag_hour", "replica_run")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose books nobody touched."""
    home = tmp_path_factory.mktemp("sound")
    asyncio.run(make_store(home))
    return home


@pytest.fixture
def home(sound: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    shutil.copy(sound / FILE_NAME, tmp_path / FILE_NAME)
    return tmp_path


def spoil(home: Path, *statements: str) -> int:
    """Change the tables behind the ledger's back, past triggers and checks; return how many rows changed last."""
    connection = sqlite3.connect(home / FILE_NAME, isolation_level=None)
    try:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        return [connection.execute(statement).rowcount for statement in statements][-1]
    finally:
        connection.close()


def look(home: Path) -> AuditReport:
    return audit_home(home, NOW_MICROS, lambda _: None)


def chosen(table: str, column: str, where: str | None) -> str:
    """The last row that has a value: a statement's condition by the table's own key."""
    key = ", ".join(each.name for each in METADATA.tables[table].primary_key)
    which = f"{column} IS NOT NULL AND {where or '1'}"
    return f"({key}) = (SELECT {key} FROM {table} WHERE {which} ORDER BY {key} DESC LIMIT 1)"


@pytest.mark.parametrize("seed", range(4))
def test_books_that_nobody_touched_agree(tmp_path: Path, seed: int) -> None:
    asyncio.run(make_store(tmp_path, Traffic(40, seed, apart_micros=200_000_000)))
    report = look(tmp_path)
    assert report.differences == ()
    assert report.agrees
    assert report.checked["attempts"] == report.checked["receipts"] == 40
    assert all(report.checked[what] for what in ("lines", "open holds", "scopes", "transfers", "price versions"))
    assert report.checked["usage_hour rows"]
    assert report.checked["tag_hour rows"]
    assert report.checked["replica runs"] == 3
    assert report.checked["shares"]


@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("place", NUMBERS)
def test_a_number_that_was_changed_by_one_is_found(home: Path, place: str, step: int) -> None:
    table, column = place.split(".")
    row = chosen(table, column, WHERE.get(place))
    # No two lines of an attempt may have one number.
    change = 50 * step if place.endswith(".line") else step
    assert spoil(home, f"UPDATE {table} SET {column} = {column} + {change} WHERE {row}") == 1
    assert not look(home).agrees


@pytest.mark.parametrize(
    "which",
    [
        "kind = 'top_up'",
        "kind = 'adjustment'",
        "kind = 'cost'",
        "kind = 'charge'",
    ],
)
def test_an_entry_of_any_kind_that_was_changed_by_one_is_found(home: Path, which: str) -> None:
    row = chosen("ledger_entry", "amount_nano", which)
    assert spoil(home, f"UPDATE ledger_entry SET amount_nano = amount_nano + 1 WHERE {row}") == 1
    assert not look(home).agrees


@pytest.mark.parametrize("whose", ["reverses IS NULL", "reverses IS NOT NULL"])
@pytest.mark.parametrize("column", ["line", "quantity", "price_pico"])
def test_a_line_that_was_changed_by_fifty_is_found(home: Path, column: str, whose: str) -> None:
    row = chosen("ledger_entry", column, whose)
    assert spoil(home, f"UPDATE ledger_entry SET {column} = {column} + 50 WHERE {row}") == 1
    assert not look(home).agrees


@pytest.mark.parametrize(
    "change", ["share_nano = NULL", "share_micros = NULL", "share_micros = share_micros + 2", "share_micros = -1"]
)
def test_a_share_that_was_changed_is_found(home: Path, change: str) -> None:
    row = chosen("resolution", "share_micros", None)
    assert spoil(home, f"UPDATE resolution SET {change} WHERE {row}") == 1
    assert [each.what for each in look(home).differences] == ["resolution.share_nano"]


@pytest.mark.parametrize("reverses", ["IS NULL", "IS NOT NULL"])
@pytest.mark.parametrize("column", ["line_kind", "debit", "credit", "run_id", "at_micros", "reverses", "scopes"])
def test_a_line_of_a_replica_that_was_changed_is_found(home: Path, column: str, reverses: str) -> None:
    row = chosen("ledger_entry", "scopes", f"run_id IS NOT NULL AND reverses {reverses}")
    change = {"at_micros": "at_micros + 1", "reverses": "coalesce(reverses, 1) + 1", "scopes": """'["platform"]'"""}
    value = change.get(column, f"{column} || 'x'")
    if (column, reverses) == ("scopes", "IS NULL"):
        row = chosen("ledger_entry", "scopes", "run_id = 'run_1' AND reverses IS NULL")
    assert spoil(home, f"UPDATE ledger_entry SET {column} = {value} WHERE {row}") == 1
    assert not look(home).agrees


@pytest.mark.parametrize("place", WORDS)
def test_a_word_that_was_changed_is_found(home: Path, place: str) -> None:
    table, column = place.split(".")
    value = NEW_WORDS.get(place, f"{column} || 'x'")
    assert spoil(home, f"UPDATE {table} SET {column} = {value} WHERE {chosen(table, column, WORDS[place])}") == 1
    assert not look(home).agrees


@pytest.mark.parametrize("column", ["model_id", "provider", "price_version"])
def test_an_attempt_that_was_moved_elsewhere_is_found(home: Path, column: str) -> None:
    ended = "attempt_id IN (SELECT attempt_id FROM settled_line WHERE charge_nano > 0) AND model_id = 'small'"
    value = NEW_WORDS.get(f"attempt.{column}", "'else'")
    assert spoil(home, f"UPDATE attempt SET {column} = {value} WHERE {chosen('attempt', column, ended)}") == 1
    assert not look(home).agrees


@pytest.mark.parametrize("column", ["rates_pico", "variants"])
def test_a_price_that_was_changed_by_one_is_found(home: Path, column: str) -> None:
    """Also of a class that nothing used: the digest in the price's id covers all of it."""
    value = f"""replace({column}, '"input_cache_write_1h":', '"input_cache_write_1h":1')"""
    assert spoil(home, f"UPDATE price_version SET {column} = {value} WHERE model_id = 'varied'") == 1
    found = look(home)
    assert any(each.what == "price_version.digest" for each in found.differences)


@pytest.mark.parametrize("table", ROWS)
def test_a_row_that_is_gone_is_found(home: Path, table: str) -> None:
    column = METADATA.tables[table].primary_key.columns.keys()[0]
    assert spoil(home, f"DELETE FROM {table} WHERE {chosen(table, column, None)}") == 1
    assert not look(home).agrees


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO hold SELECT attempt_id, NULL, NULL, NULL, NULL"
        " FROM attempt WHERE attempt_id NOT IN (SELECT attempt_id FROM hold) LIMIT 1",
        "INSERT INTO hold VALUES ('att_none', NULL, NULL, NULL, NULL)",
        "INSERT INTO scope VALUES ('key:new', 5, 0, 0)",
        "INSERT INTO usage_hour SELECT hour_start_micros + 3600000000000, account, key_id, model_id, provider,"
        " deployment, route, status, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM usage_hour LIMIT 1",
        "INSERT INTO settled_line SELECT attempt_id, 90, line_kind, 0, 0, 0, 0 FROM settled_line LIMIT 1",
        "INSERT INTO settled_line SELECT 'att_none', 0, line_kind, 0, 0, 0, 0 FROM settled_line LIMIT 1",
        "INSERT INTO settled_line SELECT attempt_id, 0, 'output', 1, 0, 0, 0 FROM hold LIMIT 1",
        "INSERT INTO waiver SELECT attempt_id, 'e', 503, 0 FROM settled_line WHERE charge_nano > 0 LIMIT 1",
        "INSERT INTO waiver VALUES ('att_none', 'e', 503, 0)",
        "INSERT INTO ledger_entry SELECT NULL, 0, 'charge', line_kind, debit, credit, 1, 0, 1, 0, NULL, NULL,"
        " NULL, NULL, NULL FROM ledger_entry WHERE kind = 'charge' LIMIT 1",
        "INSERT INTO ledger_entry SELECT NULL, 91, kind, line_kind, credit, debit, 1, 0, amount_nano + 1,"
        " 0, entry_id, NULL, NULL, run_id, scopes FROM ledger_entry WHERE kind = 'cost' LIMIT 1",
        "INSERT INTO ledger_entry SELECT NULL, 90, kind, line_kind, debit, credit, 0, 0, 0, 0, NULL, NULL, NULL,"
        " run_id, NULL FROM ledger_entry WHERE run_id IS NOT NULL LIMIT 1",
        "INSERT INTO ledger_entry SELECT NULL, 0, kind, line_kind, debit, credit, 0, 0, 0, 0, NULL, NULL, NULL,"
        " 'none', NULL FROM ledger_entry WHERE run_id IS NOT NULL LIMIT 1",
        "INSERT INTO decision SELECT 'req_none', router, received_at_micros, body, features FROM decision LIMIT 1",
    ],
)
def test_a_row_too_many_is_found(home: Path, statement: str) -> None:
    assert spoil(home, statement) == 1
    assert not look(home).agrees


def test_a_decision_that_was_forgotten_is_nothing_amiss(home: Path) -> None:
    assert look(home).checked["decisions"]
    spoil(home, "DELETE FROM decision")
    report = look(home)
    assert report.agrees
    assert "decisions" not in report.checked


def test_a_difference_names_the_row_and_both_figures(home: Path) -> None:
    spoil(home, "UPDATE scope SET spent_nano = 7 WHERE scope = 'key:k3'")
    report = look(home)
    assert report.found == len(report.differences) == 1
    (found,) = report.differences
    assert (found.what, found.id, found.kept, found.unit) == ("scope.spent_nano", "key:k3", 7, "nano-dollars")
    assert isinstance(found.derived, int)
    assert found.derived > 7


def test_a_window_that_has_ended_may_have_an_older_limit(home: Path) -> None:
    spoil(home, "UPDATE budget SET limit_nano = limit_nano + 1 WHERE budget_id = 'bud_1'")
    assert not look(home).agrees
    tomorrow = NOW_MICROS + 24 * 3_600_000_000
    assert audit_home(home, tomorrow, lambda _: None).agrees


def test_a_limit_of_a_budget_that_is_gone_is_found(home: Path) -> None:
    spoil(home, "DELETE FROM budget WHERE budget_id = 'bud_2'")
    assert [each.what for each in look(home).differences] == ["scope.limit_nano"]


def test_sums_are_made_anew_from_the_ledger(home: Path) -> None:
    spoil(home, "DELETE FROM tag_hour", "UPDATE usage_hour SET charge_nano = charge_nano + 1")
    assert not look(home).agrees
    rebuild_usage(home)
    assert look(home).agrees


def test_sums_are_not_made_anew_while_a_server_runs(home: Path) -> None:
    with open_home(home), pytest.raises(HomeUnusable, match="in use"):
        rebuild_usage(home)


def test_the_audit_sees_one_state_while_the_ledger_is_written(home: Path) -> None:
    database = open_database(home, FakeClock(NOW_MICROS))
    connection = connect_reader(home / FILE_NAME)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM attempt").fetchone()
        asyncio.run(database.write(lambda cursor: cursor.execute("UPDATE scope SET spent_nano = 0").rowcount))
        assert audit(connection, NOW_MICROS, lambda _: None).agrees
        connection.execute("ROLLBACK")
        assert not audit(connection, NOW_MICROS, lambda _: None).agrees
    finally:
        connection.close()
        database.close()


def test_what_cannot_be_audited_says_what_to_do(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(HomeUnusable, match="nothing to audit"):
        look(tmp_path_factory.mktemp("empty"))
    spoil(home, "UPDATE alembic_version SET version_num = '0009'")
    with pytest.raises(HomeUnusable, match="older than this version's"):
        look(home)
    spoil(home, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(HomeUnusable, match="newer version"):
        look(home)


def test_a_row_that_cannot_be_read_is_named_as_such(home: Path) -> None:
    spoil(home, "UPDATE attempt SET scopes = 'platform'")
    with pytest.raises(StoreUnusable, match="cannot be read"):
        look(home)
    (home / FILE_NAME).write_bytes(b"no database at all, but long enough to be looked at" * 40)
    with pytest.raises(StoreUnusable, match="cannot be read"):
        look(home)


def test_it_tells_how_far_it_has_come(home: Path) -> None:
    told: list[Progress] = []
    audit_home(home, NOW_MICROS, told.append)
    assert [(each.what, each.done, each.total) for each in told] == [
        ("attempts", 60, 60),
        ("hours of usage", told[1].total, told[1].total),
    ]


def test_past_a_thousand_differences_are_only_counted() -> None:
    findings = Findings()
    for number in range(MOST_SHOWN + 5):
        findings.compare("scope.held_nano", f"key:{number}", number, None)
        findings.compare("scope.held_nano", "same", number, number)
    report = findings.report()
    assert (report.found, len(report.differences)) == (MOST_SHOWN + 5, MOST_SHOWN)
    assert report.differences[0] == Difference("scope.held_nano", "key:0", 0, None)
    assert Difference("a.count", "", 1, 2).unit == ""
