"""PostgreSQL's own troubles: a second server, a lost session, a commit whose answer was lost, a foreign database."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from headrace.domain.books import Held, Opening, Settlement
from headrace.domain.errors import ConfigInvalid, Conflict, HomeUnusable, MeteringUnavailable, StoreUnusable
from headrace.domain.secret import Secret
from headrace.drivers import stores
from headrace.drivers.stores.connection import Cursor
from headrace.drivers.stores.postgres.auditing import audit_postgres
from headrace.drivers.stores.postgres.connection import PostgresConnection, PostgresCursor, Raw, translated
from headrace.drivers.stores.postgres.database import PostgresDatabase, open_postgres
from headrace.drivers.stores.postgres.inspection import inspect_postgres
from headrace.drivers.stores.postgres.lock import WritingSessions
from headrace.drivers.stores.receipts import SqlReceipts
from headrace.drivers.stores.schema import METADATA
from headrace.drivers.stores.sqlite import OperationalError
from headrace.drivers.stores.upgrade import REVISIONS
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import (
    START_MICROS,
    broken_invariants,
    charge_of,
    new_ledger,
    opening,
    settlement,
)
from tests.postgres_server import postgres_server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
CLOCK = FakeClock(START_MICROS)
WHOLE = re.compile(r"(SELECT|INSERT|UPDATE|DELETE|WITH) [^{]*(?<! IN)", re.DOTALL)
NOT_FOR_POSTGRES = frozenset({"migrations", "sqlite", "upgrade"})


@pytest.fixture
def url() -> str:
    return postgres_server().migrated()


@pytest.fixture
def database(url: str) -> Iterator[PostgresDatabase]:
    opened = open_postgres(Secret(url), CLOCK)
    yield opened
    opened.close()


def outside(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements on a session of their own and return the rows of the last."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


class Gate:
    """Lets sessions through, or not, as a server that is away."""

    def __init__(self, sessions: WritingSessions) -> None:
        self.sessions = sessions
        self.is_shut = False

    def open(self) -> Raw:
        if self.is_shut:
            raise OperationalError("the server is away")
        return self.sessions.open()


class LossyCursor(PostgresCursor):
    """Loses the session around the next COMMIT, when it is told to."""

    def __init__(self, connection: LossyConnection) -> None:
        super().__init__(connection)
        self.connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> PostgresCursor:
        lose = self.connection.lose if sql == "COMMIT" else None
        if lose is None:
            return super().execute(sql, parameters)
        self.connection.lose = None
        return lose(super().execute)


class LossyConnection(PostgresConnection):
    """A session that is lost when a test says so."""

    lose: Callable[[Callable[[str], PostgresCursor]], PostgresCursor] | None = None

    def cursor(self) -> PostgresCursor:
        return LossyCursor(self)


class Lossy:
    """An open store whose commits can be lost, with its ledger."""

    def __init__(self, url: str) -> None:
        sessions = WritingSessions(Secret(url))
        self.gate = Gate(sessions)
        self.connection = LossyConnection(self.gate.open)
        self.database = PostgresDatabase(sessions, self.connection, CLOCK)
        self.ledger = new_ledger(self.database, CLOCK)

    def lose_next(self, *, is_made: bool, is_away: bool) -> None:
        """Lose the session at the next commit: before it reaches the server or after; with a server to go back to."""

        def lose(commit: Callable[[str], PostgresCursor]) -> PostgresCursor:
            if is_made:
                commit("COMMIT")
            self.connection.raw.close()
            self.gate.is_shut = is_away
            raise OperationalError("the answer was lost")

        self.connection.lose = lose


@pytest.fixture
def lossy(url: str) -> Iterator[Lossy]:
    made = Lossy(url)
    yield made
    made.database.close()


async def test_a_second_server_is_refused_and_told_who_has_the_database(database: PostgresDatabase, url: str) -> None:
    with pytest.raises(StoreUnusable, match=r"in use by another Headrace \(headrace .* pid \d+\)"):
        open_postgres(Secret(url), CLOCK, wait_seconds=0.05)
    assert await new_ledger(database, CLOCK).hold(opening(1)) == Held("att_000001")


async def test_two_installations_share_a_database_by_schemas_of_their_own(database: PostgresDatabase, url: str) -> None:
    outside(url, "CREATE SCHEMA shop")
    with closing(open_postgres(Secret(f"{url}&options=-csearch_path%3Dshop"), CLOCK)) as other:
        await new_ledger(database, CLOCK).hold(opening(1))
        assert await new_ledger(other, CLOCK).hold(opening(1)) == Held("att_000001")
        assert await other.read(broken_invariants) == []
    assert outside(url, "SELECT count(*) FROM shop.attempt") == [(1,)]


async def test_a_session_that_was_lost_between_two_calls_is_opened_again_unseen(
    database: PostgresDatabase, url: str
) -> None:
    ledger = new_ledger(database, CLOCK)
    await ledger.set_limit("platform", 3 * opening(0).bound.amount_nano)
    await ledger.hold(opening(1))
    await ledger.balance("platform")
    outside(url, END_SESSIONS)
    assert await ledger.hold(opening(2)) == Held("att_000002")
    await ledger.settle(settlement("att_000001"))
    outside(url, END_SESSIONS)
    assert (await ledger.balance("platform"))[1:] == (opening(0).bound.amount_nano, charge_of(settlement("")))
    assert await database.read(broken_invariants) == []
    assert database.writer.last_error is None


async def test_a_server_that_took_over_without_the_last_commits_is_believed(
    database: PostgresDatabase, url: str
) -> None:
    ledger = new_ledger(database, CLOCK)
    first = opening(1)
    await ledger.set_limit("platform", first.bound.amount_nano)
    assert await ledger.hold(first) == Held("att_000001")
    lost = ("hold", "attempt", "request", "price_version")
    outside(
        url,
        "SET session_replication_role = replica",
        *(f"DELETE FROM {table}" for table in lost),
        "UPDATE scope SET held_nano = 0",
        "RESET session_replication_role",
        END_SESSIONS,
    )
    assert await ledger.hold(opening(2)) == Held("att_000002")
    with pytest.raises(Conflict):
        await ledger.settle(settlement("att_000001"))
    assert (await ledger.balance("platform"))[1] == first.bound.amount_nano


async def test_a_session_that_ends_in_a_batch_fails_it_whole(database: PostgresDatabase) -> None:
    ledger = new_ledger(database, CLOCK)
    end = "SELECT pg_terminate_backend(pg_backend_pid())"
    outcomes = await asyncio.gather(
        ledger.hold(opening(1)),
        database.write(lambda cursor: cursor.execute(end).fetchall()),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes] == [MeteringUnavailable] * 2
    assert await ledger.hold(opening(2)) == Held("att_000002")
    assert (await ledger.balance("platform"))[1] == opening(0).bound.amount_nano
    assert await database.read(broken_invariants) == []


async def test_while_the_server_is_away_holds_are_refused_and_then_go_on(lossy: Lossy) -> None:
    await lossy.ledger.hold(opening(1))
    lossy.gate.is_shut = True
    lossy.connection.raw.close()
    with pytest.raises(MeteringUnavailable) as refused:
        await lossy.ledger.hold(opening(2))
    assert refused.value.retry_after_seconds == 2.0
    assert lossy.database.writer.last_error is not None
    with pytest.raises(MeteringUnavailable):
        await lossy.ledger.settle(settlement("att_000001"))
    lossy.gate.is_shut = False
    await lossy.ledger.settle(settlement("att_000001"))
    assert await lossy.ledger.hold(opening(2)) == Held("att_000002")
    assert lossy.database.writer.last_error is None
    assert await lossy.database.read(broken_invariants) == []


async def test_readiness_comes_back_without_a_call(lossy: Lossy) -> None:
    lossy.gate.is_shut = True
    lossy.connection.raw.close()
    with pytest.raises(MeteringUnavailable):
        await lossy.ledger.hold(opening(1))
    lossy.gate.is_shut = False
    mended = asyncio.Event()
    loop, renew = asyncio.get_running_loop(), lossy.connection.renew

    def renew_and_tell() -> None:
        renew()
        loop.call_soon_threadsafe(mended.set)

    lossy.connection.renew = renew_and_tell
    await asyncio.wait_for(mended.wait(), 10)
    await lossy.ledger.set_limit("platform", None)
    assert lossy.database.writer.last_error is None


@pytest.mark.parametrize("kind", ["hold", "settle"])
async def test_a_commit_that_was_made_counts_though_its_answer_was_lost(lossy: Lossy, kind: str) -> None:
    if kind == "settle":
        await lossy.ledger.hold(opening(1))
    lossy.lose_next(is_made=True, is_away=False)
    if kind == "hold":
        assert await lossy.ledger.hold(opening(1)) == Held("att_000001")
        assert (await lossy.ledger.balance("platform"))[1] == opening(1).bound.amount_nano
    else:
        await lossy.ledger.settle(settlement("att_000001"))
        with pytest.raises(Conflict):
            await lossy.ledger.settle(settlement("att_000001"))
    assert await lossy.database.read(broken_invariants) == []


async def test_a_commit_that_was_not_made_failed(lossy: Lossy) -> None:
    lossy.lose_next(is_made=False, is_away=False)
    with pytest.raises(MeteringUnavailable):
        await lossy.ledger.hold(opening(1))
    assert await lossy.ledger.hold(opening(1)) == Held("att_000001")
    assert (await lossy.ledger.balance("platform"))[1] == opening(1).bound.amount_nano


async def test_a_number_that_a_crashed_server_gave_out_again_is_no_commit_of_ours(lossy: Lossy, url: str) -> None:
    ((number,),) = outside(url, "SELECT CAST(pg_current_xact_id() AS text)")
    begin = lossy.connection.begin

    def begin_as_the_other(statement: bytes) -> psycopg.Cursor[tuple[Any, ...]]:
        cursor = begin(statement)
        lossy.connection.transaction = number
        return cursor

    lossy.connection.begin = begin_as_the_other
    lossy.lose_next(is_made=False, is_away=False)
    with pytest.raises(MeteringUnavailable):
        await lossy.ledger.hold(opening(1))
    assert await lossy.ledger.hold(opening(1)) == Held("att_000001")


@pytest.mark.parametrize("is_made", [True, False])
async def test_what_failed_for_its_waiters_leaves_no_hold_when_it_was_made_after_all(
    lossy: Lossy, is_made: bool
) -> None:
    first: Opening = opening(1)
    await lossy.ledger.set_limit("platform", first.bound.amount_nano)
    lossy.lose_next(is_made=is_made, is_away=True)
    with pytest.raises(MeteringUnavailable):
        await lossy.ledger.hold(first)
    with pytest.raises(MeteringUnavailable):
        await lossy.ledger.hold(opening(2))
    lossy.gate.is_shut = False
    assert await lossy.ledger.hold(opening(2)) == Held("att_000002")
    assert (await lossy.ledger.balance("platform"))[1] == first.bound.amount_nano
    states = "SELECT attempt_id, outcome FROM resolution"
    found = await lossy.database.read(lambda cursor: cursor.execute(states).fetchall())
    assert found == ([("att_000001", "voided")] if is_made else [])
    assert await lossy.database.read(broken_invariants) == []


ANSWERED = replace(settlement("att_000001"), delivered_bytes=0, ending="complete", request_status=200)


@pytest.mark.parametrize("ended", [ANSWERED, replace(ANSWERED, delivered_bytes=9)])
async def test_a_withheld_answer_is_not_charged_when_its_settlement_was_made_after_all(
    lossy: Lossy, ended: Settlement, url: str
) -> None:
    await lossy.ledger.hold(opening(1))
    lossy.lose_next(is_made=True, is_away=True)
    with pytest.raises(MeteringUnavailable):
        await lossy.ledger.settle(ended)
    lossy.gate.is_shut = False
    with pytest.raises(Conflict):
        await lossy.ledger.settle(ended.withheld())
    charge = charge_of(ended) if ended.delivered_bytes else 0
    assert await lossy.ledger.balance("platform") == (None, 0, charge)
    receipt = await SqlReceipts(lossy.database).get("req_000001", None)
    assert receipt is not None
    (attempt,) = receipt.attempts
    told = (200, None) if ended.delivered_bytes else (503, "metering_unavailable")
    assert (receipt.status, attempt.error_code) == told
    assert (attempt.charge_nano, attempt.cost_nano) == (charge, sum(line.cost_nano for line in ended.lines))
    assert await lossy.database.read(broken_invariants) == []
    report = audit_postgres(Secret(url), START_MICROS, lambda _: None)
    assert [each for each in report.differences if each.what != "price_version.digest"] == []
    assert report.checked.get("waivers", 0) == (0 if ended.delivered_bytes else 1)


async def test_a_settlement_that_was_made_before_is_not_waived_with_a_lost_one(lossy: Lossy) -> None:
    await lossy.ledger.hold(opening(1))
    await lossy.ledger.settle(ANSWERED)
    lossy.lose_next(is_made=True, is_away=True)
    with pytest.raises(MeteringUnavailable):
        await lossy.ledger.settle(ANSWERED)
    lossy.gate.is_shut = False
    await lossy.ledger.hold(opening(2))
    assert (await lossy.ledger.balance("platform"))[2] == charge_of(ANSWERED)
    assert await lossy.database.read(broken_invariants) == []


async def test_a_hold_that_was_there_before_is_not_given_back_with_a_second_one_that_was_lost(lossy: Lossy) -> None:
    await lossy.ledger.hold(opening(1))
    lossy.lose_next(is_made=True, is_away=True)
    with pytest.raises(MeteringUnavailable):
        await lossy.ledger.hold(opening(1))
    lossy.gate.is_shut = False
    await lossy.ledger.hold(opening(2))
    await lossy.ledger.settle(ANSWERED)
    assert (await lossy.ledger.balance("platform"))[2] == charge_of(ANSWERED)
    assert await lossy.database.read(broken_invariants) == []


async def test_what_could_not_be_taken_back_at_first_is_taken_back_once(lossy: Lossy) -> None:
    first, figures = opening(1), lossy.database.figures
    write = figures.write

    def fail_once(cursor: Cursor) -> None:
        figures.write = write
        raise OperationalError("a lock was not given in time")

    lossy.lose_next(is_made=True, is_away=True)
    with pytest.raises(MeteringUnavailable):
        await lossy.ledger.hold(first)
    figures.write = fail_once
    lossy.gate.is_shut = False
    # Either this call takes it back, or the writer did by itself before.
    with contextlib.suppress(MeteringUnavailable):
        await lossy.database.write(lambda cursor: None)
    assert figures.write == write
    assert await lossy.ledger.hold(opening(2)) == Held("att_000002")
    assert (await lossy.ledger.balance("platform"))[1] == first.bound.amount_nano
    assert await lossy.database.read(broken_invariants) == []


async def test_a_server_that_was_replaced_writes_no_more(lossy: Lossy, url: str) -> None:
    await lossy.ledger.hold(opening(1))
    lossy.connection.raw.close()
    with closing(open_postgres(Secret(url), CLOCK)) as other:
        await new_ledger(other, CLOCK).recover()
        with pytest.raises(MeteringUnavailable):
            await lossy.ledger.settle(settlement("att_000001"))
    for _ in range(2):
        with pytest.raises(MeteringUnavailable):
            await lossy.ledger.hold(opening(2))
    assert "another Headrace has written" in str(lossy.database.writer.last_error)
    assert outside(url, "SELECT outcome FROM resolution") == [("voided",)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE settled_line SET charge_nano = 1",
        "DELETE FROM settled_line",
        "TRUNCATE settled_line",
        "UPDATE resolution SET outcome = 'voided'",
        "DELETE FROM resolution",
        "UPDATE price_version SET rates_pico = '{}'",
        "UPDATE attempt SET bound_nano = 0",
        "DELETE FROM request",
        "TRUNCATE request CASCADE",
        "INSERT INTO resolution SELECT * FROM resolution",
        "UPDATE scope SET spent_nano = -1",
        "UPDATE scope SET spent_nano = 4611686018427387905",
        "UPDATE scope SET spent_nano = spent_nano + 9223372036854775807",
    ],
)
async def test_the_database_itself_refuses_to_rewrite_the_books(database: PostgresDatabase, change: str) -> None:
    ledger = new_ledger(database, CLOCK)
    await ledger.hold(opening(1))
    await ledger.settle(settlement("att_000001"))
    with pytest.raises(Conflict):
        await database.write(lambda cursor: cursor.execute(change).fetchall())
    assert await database.read(broken_invariants) == []


async def test_a_fraction_is_no_parameter_and_a_nul_loses_no_write(database: PostgresDatabase) -> None:
    with pytest.raises(TypeError, match="not a whole number"):
        await database.write(lambda cursor: cursor.execute("UPDATE scope SET spent_nano = ?", (1.5,)).rowcount)

    def write(cursor: Cursor) -> Any:
        cursor.execute("INSERT INTO installation (name, value) VALUES (?, ?)", ("odd", "a\0b"))
        return cursor.execute("SELECT value FROM installation WHERE name = ?", ("odd",)).fetchone()[0]

    assert await database.write(write) == "a\ufffdb"


def test_every_text_is_compared_by_its_bytes_whatever_the_language_of_the_database(url: str) -> None:
    collations = """
    SELECT kept.relname, attribute.attname FROM pg_attribute AS attribute
    JOIN pg_class AS kept ON kept.oid = attribute.attrelid AND kept.relkind = 'r'
    JOIN pg_collation AS used ON used.oid = attribute.attcollation AND used.collname <> 'C'
    WHERE kept.relnamespace = 'public'::regnamespace AND kept.relname <> 'alembic_version'
    """
    assert outside(url, collations) == []


def test_the_steps_make_the_schema_that_core_knows(url: str) -> None:
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=sa.NullPool)
    with engine.connect() as core:
        context = MigrationContext.configure(core, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def statements() -> Iterator[tuple[str, str]]:
    """Yield the statements that the stores' modules hold whole, with their names.

    A list of VALUES takes its types from its parameters: the ledger's suite runs those.
    """
    for module in pkgutil.iter_modules(stores.__path__):
        if module.ispkg or module.name in NOT_FOR_POSTGRES:
            continue
        held = vars(importlib.import_module(f"{stores.__name__}.{module.name}"))
        for name, text in held.items():
            if isinstance(text, str) and WHOLE.fullmatch(text.strip()) and "(VALUES" not in text:
                yield f"{module.name}.{name}", text


def test_every_statement_is_understood(url: str) -> None:
    found = list(statements())
    assert len(found) > 100
    with psycopg.connect(url, autocommit=True) as connection:
        for number, (name, text) in enumerate(found):
            try:
                connection.execute(f"PREPARE statement_{number} AS ".encode() + translated(text))
            except psycopg.Error as error:
                error.add_note(name)
                raise


def test_what_is_no_address_is_refused_without_showing_it() -> None:
    for address in (
        "postgresql://user:hunter2@[host/db",
        "postgresql://u:hunter2@h/d?nonsense=1",
        "postgresql://u:hunter2/x@127.0.0.1:1/d",
        "postgresql://u:x@hunter2@127.0.0.1:1/d",
        "postgresql://u:1/hunter2@127.0.0.1:1/d",
    ):
        with pytest.raises(ConfigInvalid) as refused:
            open_postgres(Secret(address), CLOCK)
        assert "hunter2" not in f"{refused.value.message} {refused.value.detail} {refused.value.__cause__}"


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    with pytest.raises(StoreUnusable) as refused:
        open_postgres(Secret("postgresql://shop:hunter2@127.0.0.1:1/books"), CLOCK)
    assert "postgresql://shop@127.0.0.1:1/books cannot be opened" in refused.value.message
    assert "hunter2" not in f"{refused.value.message} {refused.value.detail} {refused.value.__cause__}"


def test_a_database_of_something_else_is_left_alone() -> None:
    url = postgres_server().empty()
    outside(url, "CREATE TABLE theirs (id int)")
    with pytest.raises(StoreUnusable, match="tables that are not Headrace's"):
        open_postgres(Secret(url), CLOCK)
    assert outside(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(1,)]


def test_a_newer_schema_and_another_encoding_are_refused(url: str) -> None:
    outside(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(HomeUnusable, match="newer version of Headrace"):
        open_postgres(Secret(url), CLOCK)
    latin = postgres_server().empty("ENCODING LATIN1")
    with pytest.raises(StoreUnusable, match="keeps texts as LATIN1"):
        open_postgres(Secret(latin), CLOCK)


def test_the_doctor_sees_schema_and_durability(url: str) -> None:
    report = inspect_postgres(Secret(url))
    assert (report.revision, report.known_revision) == (REVISIONS[-1], REVISIONS[-1])
    assert report.problem is not None
    assert report.problem.startswith("fsync, full_page_writes is off")
    assert report.where.startswith("PostgreSQL 18")
    assert inspect_postgres(Secret(postgres_server().empty())).revision is None
