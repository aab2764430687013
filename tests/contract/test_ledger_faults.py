"""A store that cannot write: a full disk, a lock held elsewhere, an operation that fails among good ones."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from headrace.domain.books import Held, Progress, Refused
from headrace.domain.errors import Conflict, MeteringUnavailable
from headrace.drivers.stores.database import Database, FileDatabase, open_database
from headrace.drivers.stores.sqlite import Cursor
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import (
    START_MICROS,
    LimitedSqlLedger,
    broken_invariants,
    charge_of,
    new_ledger,
    opening,
    settlement,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[FileDatabase]:
    opened = open_database(tmp_path, FakeClock(START_MICROS))
    yield opened
    opened.close()


@pytest.fixture
def ledger(database: Database) -> LimitedSqlLedger:
    return new_ledger(database, FakeClock(START_MICROS))


async def set_pages(database: Database, pages: int) -> None:
    """Let the file grow to so many pages only, as a full disk does."""
    await database.write(lambda cursor: cursor.execute(f"PRAGMA max_page_count = {pages}").fetchall())


LOCKER = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def locked_elsewhere(path: Path) -> Generator[None]:
    """Hold the file's write lock in another process: within one, the locks of two libraries do not meet."""
    command = [sys.executable, "-c", LOCKER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        yield
        other.stdin.close()
        assert other.wait() == 0


async def test_a_full_disk_refuses_holds_and_the_next_one_works_when_there_is_room(
    database: Database, ledger: LimitedSqlLedger
) -> None:
    await ledger.hold(opening(0))
    await set_pages(database, 1)
    outcomes = await asyncio.gather(*(ledger.hold(opening(number)) for number in range(1, 200)), return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, MeteringUnavailable)]
    assert refused
    assert all(each.code == "metering_unavailable" and "nothing was sent" in each.message for each in refused)
    assert database.writer.last_error is not None
    assert database.writer.failures > 0
    await set_pages(database, 1_000_000)
    assert await ledger.hold(opening(1_000)) == Held("att_001000")
    await ledger.settle(settlement("att_000000"))
    assert database.writer.last_error is None
    assert await database.read(broken_invariants) == []


async def test_a_settlement_that_found_no_room_can_be_repeated(database: Database, ledger: LimitedSqlLedger) -> None:
    await asyncio.gather(*(ledger.hold(opening(number)) for number in range(60)))
    await set_pages(database, 1)
    ends = [ledger.settle(settlement(f"att_{number:06d}")) for number in range(60)]
    outcomes = await asyncio.gather(*ends, return_exceptions=True)
    failed = [number for number, each in enumerate(outcomes) if isinstance(each, MeteringUnavailable)]
    assert failed
    await set_pages(database, 1_000_000)
    for number in failed:
        await ledger.settle(settlement(f"att_{number:06d}"))
    assert await ledger.balance("platform") == (None, 0, 60 * charge_of(settlement("")))
    assert await database.read(broken_invariants) == []


async def test_a_lifted_limit_stands_when_its_batch_was_rolled_back(
    database: Database, ledger: LimitedSqlLedger
) -> None:
    await ledger.set_limit("key:k1", 0)
    await set_pages(database, 1)
    many = [ledger.hold(opening(number, scopes=("platform",))) for number in range(300)]
    answers = await asyncio.gather(ledger.set_limit("key:k1", None), *many, return_exceptions=True)
    assert isinstance(answers[0], MeteringUnavailable)
    await set_pages(database, 1_000_000)
    again = [ledger.hold(opening(number)) for number in range(1_000, 1_002)]
    assert await asyncio.gather(*again) == [Refused("key:k1", 0, 0)] * 2
    assert await database.read(broken_invariants) == []


async def test_a_locked_store_refuses_and_goes_on_after_the_lock(
    database: FileDatabase, ledger: LimitedSqlLedger
) -> None:
    await ledger.hold(opening(1))
    with locked_elsewhere(database.path):
        with pytest.raises(MeteringUnavailable) as failure:
            await ledger.hold(opening(2))
        assert failure.value.retry_after_seconds == 2.0
        assert (await ledger.balance("platform"))[1] == opening(1).bound.amount_nano
    assert await ledger.hold(opening(2)) == Held("att_000002")


async def test_readiness_comes_back_without_a_call(database: FileDatabase, ledger: LimitedSqlLedger) -> None:
    assert database.fault() is None
    with locked_elsewhere(database.path):
        with pytest.raises(MeteringUnavailable):
            await ledger.hold(opening(1))
        assert "locked" in (database.fault() or "")
        failures = database.writer.failures
        while database.writer.failures == failures:
            await asyncio.sleep(0)
            assert "locked" in (database.fault() or "")
    while (told := database.fault()) is not None:
        assert "locked" in told
        await asyncio.sleep(0)
    assert (await database.read(lambda cursor: cursor.execute("SELECT count(*) FROM attempt").fetchone())) == (0,)


async def test_a_count_that_a_locked_store_lost_keeps_no_newer_one_away(
    database: FileDatabase, ledger: LimitedSqlLedger
) -> None:
    await ledger.hold(opening(1))
    await ledger.sent("att_000001", START_MICROS)
    with locked_elsewhere(database.path):
        ledger.checkpoint("att_000001", Progress(10, 80, START_MICROS + 1))
        with pytest.raises(MeteringUnavailable):
            await ledger.hold(opening(2))
    ledger.checkpoint("att_000001", Progress(20, 160, START_MICROS + 2))
    await ledger.hold(opening(3))
    counted = "SELECT checkpoint_output_tokens FROM hold WHERE attempt_id = 'att_000001'"
    assert await database.read(lambda cursor: cursor.execute(counted).fetchone()) == (20,)


async def test_one_failing_operation_spoils_no_other_of_its_batch(database: Database, ledger: LimitedSqlLedger) -> None:
    def explode(cursor: Cursor) -> None:
        cursor.execute("UPDATE scope SET held_nano = 0")
        raise ValueError("on purpose")

    def forbid(cursor: Cursor) -> None:
        cursor.execute("UPDATE settled_line SET charge_nano = 0")

    await ledger.hold(opening(1))
    await ledger.settle(settlement("att_000001"))
    commits = database.writer.commits
    outcomes = await asyncio.gather(
        ledger.hold(opening(2)),
        database.write(explode),
        database.write(forbid),
        ledger.hold(opening(1)),
        ledger.hold(opening(3)),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes] == [Held, ValueError, Conflict, Conflict, Held]
    assert database.writer.commits <= commits + 2
    assert (await ledger.balance("platform"))[1] == 2 * opening(1).bound.amount_nano
    assert await database.read(broken_invariants) == []


async def test_what_queues_during_a_commit_is_one_batch(database: Database, ledger: LimitedSqlLedger) -> None:
    commits = database.writer.commits
    await asyncio.gather(*(ledger.hold(opening(number)) for number in range(200)))
    assert database.writer.commits - commits <= 20
    assert database.writer.synchronous == "full"
    assert database.writer.queue_depth == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE settled_line SET charge_nano = 1",
        "DELETE FROM settled_line",
        "UPDATE resolution SET outcome = 'voided'",
        "DELETE FROM resolution",
        "UPDATE price_version SET rates_pico = '{}'",
        "UPDATE attempt SET bound_nano = 0",
        "DELETE FROM request",
        "INSERT INTO resolution SELECT * FROM resolution",
        "UPDATE scope SET spent_nano = -1",
        "UPDATE scope SET spent_nano = 4611686018427387905",
        "UPDATE scope SET spent_nano = 1.5",
    ],
)
async def test_the_database_itself_refuses_to_rewrite_the_books(
    database: Database, ledger: LimitedSqlLedger, change: str
) -> None:
    await ledger.hold(opening(1))
    await ledger.settle(settlement("att_000001"))
    with pytest.raises(Conflict):
        await database.write(lambda cursor: cursor.execute(change).fetchall())
    assert await database.read(broken_invariants) == []


async def test_a_closed_store_refuses(tmp_path: Path) -> None:
    closed = open_database(tmp_path, FakeClock(START_MICROS))
    ledger = new_ledger(closed, FakeClock(START_MICROS))
    await ledger.hold(opening(1))
    closed.close()
    with pytest.raises(MeteringUnavailable):
        await ledger.hold(opening(2))


async def test_a_queue_is_written_before_the_store_closes(tmp_path: Path) -> None:
    database = open_database(tmp_path, FakeClock(START_MICROS))
    ledger = new_ledger(database, FakeClock(START_MICROS))
    holds = [asyncio.ensure_future(ledger.hold(opening(number))) for number in range(50)]  # noqa: TID251 - awaited below
    await asyncio.sleep(0)
    database.close()
    assert [await each for each in holds] == [Held(f"att_{number:06d}") for number in range(50)]
    assert not database.path.with_name("headrace.db-wal").exists()
