"""The checks at start notice a file that was tampered with; they repair nothing."""

from pathlib import Path

import pytest

from headrace.domain.errors import MeteringUnavailable
from headrace.drivers.stores.audit import audit_holds, audit_spending, check_file
from headrace.drivers.stores.database import FileDatabase, open_database
from headrace.drivers.stores.inspection import inspect_store
from headrace.drivers.stores.readers import Readers
from headrace.drivers.stores.sqlite import connect_reader
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import charge_of, new_ledger, opening, settlement

pytestmark = pytest.mark.anyio


class RunningClock(FakeClock):
    """A clock on which a second passes with every look."""

    def monotonic(self) -> float:
        self.advance(1)
        return super().monotonic()


async def tampered(home: Path, change: str) -> FileDatabase:
    """Open a store with one open and one settled attempt and change it behind the ledger's back."""
    database = open_database(home, FakeClock())
    ledger = new_ledger(database, FakeClock())
    for number in (1, 2):
        await ledger.hold(opening(number))
    await ledger.settle(settlement("att_000001"))
    await database.write(lambda cursor: cursor.execute(change).rowcount)
    return database


async def test_a_held_amount_without_its_holds_is_noticed(tmp_path: Path) -> None:
    database = await tampered(tmp_path, "UPDATE scope SET held_nano = held_nano + 1 WHERE scope = 'key:k1'")
    held = opening(2).bound.amount_nano
    try:
        found = await database.read(audit_holds)
        report = await new_ledger(database, FakeClock()).recover()
    finally:
        database.close()
    assert found == f"1 scopes disagree with their open holds; key:k1 holds {held + 1}, its holds sum to {held}"
    assert report.integrity == found
    looked = inspect_store(tmp_path, FakeClock())
    assert looked is not None
    assert looked.problem == found


async def test_a_spent_amount_without_its_entries_is_noticed(tmp_path: Path) -> None:
    database = await tampered(tmp_path, "UPDATE scope SET spent_nano = 0 WHERE scope = 'platform'")
    charge = charge_of(settlement(""))
    try:
        found = await database.read(audit_spending)
    finally:
        database.close()
    assert found == f"1 scopes disagree with the ledger; platform has spent 0, its entries sum to {charge}"


async def test_the_check_of_a_file_ends_with_its_time(tmp_path: Path) -> None:
    database = await tampered(
        tmp_path,
        "INSERT INTO installation WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) "
        "SELECT 'row' || i, hex(randomblob(40)) FROM n",
    )
    database.close()
    connection = connect_reader(database.path)
    try:
        assert check_file(connection, FakeClock(), 1.0).text == "ok"
        assert check_file(connection, RunningClock(), 0.5).text == "ok as far as it was checked"
    finally:
        connection.close()


async def test_a_store_that_cannot_be_read_is_our_failure(tmp_path: Path) -> None:
    readers = Readers(lambda: connect_reader(tmp_path / "missing.db"))
    with pytest.raises(MeteringUnavailable, match="could not be read"):
        await readers.read(lambda cursor: cursor.execute("SELECT 1").fetchone())
    readers.close()


async def test_looking_into_a_home_without_a_store_finds_none(tmp_path: Path) -> None:
    assert inspect_store(tmp_path, FakeClock()) is None
