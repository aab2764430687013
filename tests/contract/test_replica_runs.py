"""Runs of replicas in the books: every sum of lines is the exact amount, whatever is repeated, lost or taken back."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.budget import Budget, BudgetMode, Window
from headrace.domain.errors import MeteringUnavailable
from headrace.domain.replica_run import MICROS_PER_HOUR, QUARTER_MICROS, ReplicaRun, cuts
from headrace.domain.transfer import Transfer, TransferKind
from headrace.drivers.stores.accounts import SqlAccounts
from headrace.drivers.stores.audit_books import Row
from headrace.drivers.stores.auditing import audit_rows
from headrace.drivers.stores.budgets import SqlBudgetStore
from headrace.drivers.stores.database import Database, FileDatabase, open_database
from headrace.drivers.stores.receipts import SqlReceipts
from headrace.drivers.stores.replica_runs import SqlReplicaRuns
from headrace.drivers.stores.replica_steps import Meter, ReplicaSteps
from headrace.drivers.stores.rollups import rebuild
from headrace.drivers.stores.sqlite import Cursor
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import (
    START_MICROS,
    OpenStore,
    broken_invariants,
    charge_of,
    new_ledger,
    opening,
    settlement,
)
from tests.fakes.replicas import a_run

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

SCOPES = ("balance:default", "budget:bud_1:total", "platform")
MINUTE = 60_000_000
LINES = """
SELECT line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano, at_micros, reverses IS NOT NULL, scopes
FROM ledger_entry WHERE run_id = ? ORDER BY entry_id
"""
CHARGED = """
SELECT coalesce(sum(CASE WHEN reverses IS NULL THEN amount_nano ELSE -amount_nano END), 0),
    coalesce(sum(CASE WHEN reverses IS NULL THEN quantity ELSE -quantity END), 0)
FROM ledger_entry WHERE run_id = ? AND kind = ?
"""
SPENT = "SELECT scope, spent_nano FROM scope WHERE spent_nano > 0 ORDER BY scope"
HOURS = """
SELECT hour_start_micros, account, key_id, model_id, provider, deployment, status, attempts, requests, cost_nano,
    charge_nano FROM usage_hour WHERE status = 'replica' ORDER BY hour_start_micros
"""


@pytest.fixture
def database(open_store: OpenStore, tmp_path: Path) -> Iterator[Database]:
    """An open store of each kind."""
    opened = open_store(tmp_path, FakeClock(START_MICROS))
    yield opened
    opened.close()


async def sums(database: Database, run_id: str) -> tuple[int, int]:
    """The nano-dollars and microseconds of a run's lines; both kinds must agree."""
    cost, charge = [
        await database.read(lambda cursor, kind=kind: cursor.execute(CHARGED, (run_id, kind)).fetchone())
        for kind in ("cost", "charge")
    ]
    assert tuple(cost) == tuple(charge)
    return int(charge[0]), int(charge[1])


async def audited(database: Database) -> list[str]:
    """What the audit of the whole store finds, and what contradicts itself in the tables."""

    def look(cursor: Cursor) -> list[str]:
        def rows(statement: str, values: tuple[str | int, ...]) -> list[Row]:
            return cursor.execute(statement, values).fetchall()

        report = audit_rows(
            lambda statement, values: iter(rows(statement, tuple(values))), START_MICROS, lambda _: None
        )
        return [f"{each.what} {each.id}: {each.kept} != {each.derived}" for each in report.differences]

    return await database.read(look) + await database.read(broken_invariants)


async def test_a_line_is_a_cost_and_a_charge_with_the_time_and_the_price_of_an_hour(database: Database) -> None:
    runs, run = SqlReplicaRuns(database), a_run(nano_per_hour=2_590_000_000)
    await runs.begin(run)
    metered = replace(run, ready_at_micros=START_MICROS, metered_to_micros=START_MICROS + 5 * MINUTE)
    assert await runs.meter(metered, SCOPES) == 215_833_333
    lines = await database.read(lambda cursor: [tuple(row) for row in cursor.execute(LINES, (run.id,)).fetchall()])
    same = (5 * MINUTE, 2_590_000_000_000, 215_833_333, START_MICROS + 5 * MINUTE, 0)
    listed = '["balance:default","budget:bud_1:total","platform"]'
    assert [(*row[:9], int(row[9]), row[10]) for row in lines] == [
        (0, "charge", "replica_seconds", "receivable:default", "revenue", *same, listed),
        (0, "cost", "replica_seconds", "expense:dedicated:local", "payable:dedicated:local", *same, None),
    ]
    spent = await database.read(lambda cursor: [tuple(row) for row in cursor.execute(SPENT).fetchall()])
    assert spent == [(scope, 215_833_333) for scope in SCOPES]
    hours = await database.read(lambda cursor: [tuple(row) for row in cursor.execute(HOURS).fetchall()])
    hour = START_MICROS - START_MICROS % MICROS_PER_HOUR
    place = (hour, "default", "", "prod-llm", "dedicated", "dep_1", "replica")
    assert hours == [(*place, 0, 0, 215_833_333, 215_833_333)]
    assert await audited(database) == []


async def test_repeating_books_nothing_and_a_run_that_is_there_stays(database: Database) -> None:
    runs, run = SqlReplicaRuns(database), a_run()
    metered = replace(run, ready_at_micros=START_MICROS, metered_to_micros=START_MICROS + MINUTE)
    first = await runs.meter(metered, SCOPES)
    assert first > 0
    await runs.begin(run)
    assert [await runs.meter(metered, SCOPES) for _ in range(3)] == [0, 0, 0]
    earlier = replace(metered, metered_to_micros=START_MICROS + MINUTE // 2)
    assert await runs.meter(earlier, SCOPES) == 0
    (kept,) = await runs.unfinished()
    assert kept == metered
    assert await sums(database, run.id) == (first, MINUTE)
    assert await audited(database) == []


async def test_parts_add_up_to_what_the_whole_owes(database: Database) -> None:
    """A third of a nano-dollar each second: rounding each line would lose every one of them."""
    runs, run = SqlReplicaRuns(database), a_run(nano_per_hour=1_200)
    run = replace(run, ready_at_micros=START_MICROS)
    for second in range(1, 61):
        await runs.meter(replace(run, metered_to_micros=START_MICROS + second * 1_000_000), SCOPES)
    assert await sums(database, run.id) == (20, MINUTE)
    assert await audited(database) == []


async def test_a_run_that_was_never_ready_owes_nothing(database: Database) -> None:
    runs, run = SqlReplicaRuns(database), a_run()
    await runs.begin(run)
    ended = replace(run, gone_at_micros=START_MICROS + MINUTE, metered_to_micros=START_MICROS + MINUTE)
    assert await runs.meter(ended, SCOPES) == 0
    assert await runs.unfinished() == ()
    (kept,) = await runs.of("dep_1", START_MICROS, START_MICROS + 1)
    assert (kept.gone_at_micros, kept.metered_to_micros) == (START_MICROS + MINUTE, None)
    assert await audited(database) == []


async def test_a_replica_that_was_gone_earlier_has_its_last_lines_reversed(database: Database) -> None:
    runs, run = SqlReplicaRuns(database), a_run()
    run = replace(run, ready_at_micros=START_MICROS)
    for minutes in (5, 10, 15):
        await runs.meter(replace(run, metered_to_micros=START_MICROS + minutes * MINUTE), SCOPES)
    gone_at = START_MICROS + 7 * MINUTE + 1
    ended = replace(run, gone_at_micros=gone_at, metered_to_micros=gone_at)
    assert await runs.meter(ended, ("platform",)) < 0
    assert await sums(database, run.id) == (ended.amount_nano(gone_at), 7 * MINUTE + 1)
    assert await audited(database) == []
    again = replace(run, metered_to_micros=START_MICROS + 15 * MINUTE)
    assert await runs.meter(again, SCOPES) > 0
    assert await sums(database, run.id) == (again.amount_nano(START_MICROS + 15 * MINUTE), 15 * MINUTE)
    assert await audited(database) == []


async def test_a_replica_that_ended_before_it_was_ready_by_a_clock_set_back_owes_nothing(database: Database) -> None:
    runs, run = SqlReplicaRuns(database), a_run()
    run = replace(run, ready_at_micros=START_MICROS)
    await runs.meter(replace(run, metered_to_micros=START_MICROS + MINUTE), SCOPES)
    await runs.meter(replace(run, gone_at_micros=START_MICROS - 5, metered_to_micros=START_MICROS - 5), SCOPES)
    assert await sums(database, run.id) == (0, 0)
    assert await audited(database) == []


async def test_spending_goes_past_a_limit_and_stands_beside_that_of_calls(database: Database) -> None:
    budget = Budget("bud_1", "platform", Window.TOTAL, "UTC", 10, BudgetMode.REJECT, START_MICROS, START_MICROS)
    await SqlBudgetStore(database).put(budget, "budget:bud_1:total")
    paid = Transfer(TransferKind.TOP_UP, "default", 100, "note", "pay_1", START_MICROS)
    await SqlAccounts(database).post(paid)
    ledger, runs = new_ledger(database, FakeClock(START_MICROS)), SqlReplicaRuns(database)
    run = replace(a_run(), ready_at_micros=START_MICROS, metered_to_micros=START_MICROS + MINUTE)
    await ledger.hold(opening(1))
    charged = await asyncio.gather(
        runs.meter(run, SCOPES),
        ledger.hold(opening(2)),
        ledger.settle(settlement("att_000001")),
        runs.meter(replace(run, metered_to_micros=START_MICROS + 2 * MINUTE), SCOPES),
    )
    balances = {each.scope: each for each in await SqlAccounts(database).balances(SCOPES)}
    owed = int(charged[0] or 0) + int(charged[3] or 0)
    assert owed == run.amount_nano(START_MICROS + 2 * MINUTE)
    assert balances["budget:bud_1:total"].spent_nano == owed > 10
    assert balances["platform"].spent_nano == owed + charge_of(settlement(""))
    assert balances["balance:default"].left_nano == 0
    assert [each.reference for each in await SqlAccounts(database).transfers("default", 9)] == ["pay_1"]
    assert await audited(database) == []


async def test_sums_by_the_hour_are_made_anew_from_the_lines(database: Database) -> None:
    runs, run = SqlReplicaRuns(database), replace(a_run(), ready_at_micros=START_MICROS)
    for minutes in range(15, 150, 15):
        await runs.meter(replace(run, metered_to_micros=START_MICROS + minutes * MINUTE), SCOPES)
    gone = START_MICROS + 61 * MINUTE
    await runs.meter(replace(run, gone_at_micros=gone, metered_to_micros=gone), SCOPES)
    before = await database.read(lambda cursor: cursor.execute(HOURS).fetchall())
    await database.write(rebuild)
    assert await database.read(lambda cursor: cursor.execute(HOURS).fetchall()) == before
    assert sum(row[-1] for row in before) == run.amount_nano(gone)
    assert await audited(database) == []


async def test_a_replica_that_is_paid_twice_for_the_same_time_is_found(database: Database) -> None:
    runs, until = SqlReplicaRuns(database), START_MICROS + 5 * MINUTE
    run = replace(a_run(), replica="prod-llm-0", ready_at_micros=START_MICROS)
    await runs.meter(replace(run, gone_at_micros=until, metered_to_micros=until), ())
    following = replace(run, id="run_2", ready_at_micros=until, nano_per_hour=7)
    await runs.meter(replace(following, metered_to_micros=until + MINUTE), ())
    assert await audited(database) == []
    again = replace(run, id="run_3", ready_at_micros=until - 7)
    await runs.meter(replace(again, metered_to_micros=until), ())
    assert await audited(database) == ["replica_run.paid_twice_micros run_3: 7 != 0"]


async def test_runs_are_found_by_deployment_and_time(database: Database) -> None:
    runs = SqlReplicaRuns(database)
    early = replace(a_run("run_1"), ready_at_micros=START_MICROS, gone_at_micros=START_MICROS + MINUTE)
    late = replace(a_run("run_2"), started_at_micros=START_MICROS + 5 * MINUTE)
    other = replace(a_run("run_3"), deployment_id="dep_2")
    for run in (early, late, other):
        await runs.meter(run, ())
    everything = (START_MICROS, START_MICROS + 9 * MINUTE)
    assert [each.id for each in await runs.of("dep_1", *everything)] == ["run_1", "run_2"]
    assert [each.id for each in await runs.of("dep_1", START_MICROS + MINUTE, START_MICROS + 9 * MINUTE)] == ["run_2"]
    assert [each.id for each in await runs.of("dep_1", START_MICROS, START_MICROS + 5 * MINUTE)] == ["run_1"]
    assert [each.id for each in await runs.unfinished()] == ["run_3", "run_2"]


@pytest.mark.parametrize("seed", range(3))
async def test_however_a_life_goes_the_sum_of_its_lines_is_the_exact_amount(
    open_store: OpenStore, tmp_path: Path, seed: int
) -> None:
    """Steps in any order, some of them twice, restarts between them; at the end what each run owes is booked."""
    chance = random.Random(seed)
    clock = FakeClock(START_MICROS)
    database = open_store(tmp_path, clock)
    lives = {f"run_{number}": a_run(f"run_{number}", chance.randrange(1, 10**10)) for number in range(4)}
    for _ in range(60):
        clock.advance(chance.random() * 700)
        name = chance.choice(list(lives))
        lives[name] = step = next_step(chance, lives[name], clock.unix_micros())
        for _ in range(chance.choice((1, 1, 2))):
            await SqlReplicaRuns(database).meter(step, SCOPES[: chance.randrange(4)])
        if chance.random() < 0.1:
            database.close()
            database = open_store(tmp_path, clock)
    for run in lives.values():
        booked, micros = await sums(database, run.id)
        until = run.metered_to_micros or START_MICROS
        assert booked == run.amount_nano(until)
        assert micros == run.micros_between(0, until)
    assert await audited(database) == []
    database.close()


def next_step(chance: random.Random, run: ReplicaRun, now: int) -> ReplicaRun:
    """What a run may become: ready, metered further, gone a while ago, there again."""
    if run.ready_at_micros is None:
        return replace(run, ready_at_micros=now)
    if run.gone_at_micros is not None:
        return replace(run, gone_at_micros=None, metered_to_micros=now)
    if chance.random() < 0.2:
        gone_at = max(run.ready_at_micros, now - chance.randrange(2 * QUARTER_MICROS))
        return replace(run, gone_at_micros=gone_at, metered_to_micros=gone_at)
    ends = [*cuts(run.metered_to_micros or run.ready_at_micros, now), now]
    return replace(run, metered_to_micros=chance.choice(ends), seen_at_micros=now, pid=chance.choice((None, 77)))


async def set_pages(database: Database, pages: int) -> None:
    """Let the file grow to so many pages only, as a full disk does."""
    await database.write(lambda cursor: cursor.execute(f"PRAGMA max_page_count = {pages}").fetchall())


@pytest.fixture
def file(tmp_path: Path) -> Iterator[FileDatabase]:
    """An open file, whose disk can be full."""
    opened = open_database(tmp_path, FakeClock(START_MICROS))
    yield opened
    opened.close()


async def test_what_a_full_disk_refused_is_booked_once_when_it_is_repeated(file: FileDatabase) -> None:
    runs, ledger = SqlReplicaRuns(file), new_ledger(file, FakeClock(START_MICROS))
    many = [replace(a_run(f"run_{number}"), ready_at_micros=START_MICROS) for number in range(200)]
    steps = [replace(run, metered_to_micros=START_MICROS + MINUTE) for run in many]
    await ledger.hold(opening(1))
    await set_pages(file, 1)
    outcomes = await asyncio.gather(
        *(runs.meter(each, SCOPES) for each in steps),
        ledger.settle(settlement("att_000001")),
        return_exceptions=True,
    )
    assert any(isinstance(each, MeteringUnavailable) for each in outcomes)
    await set_pages(file, 1_000_000)
    for step in steps:
        await runs.meter(step, SCOPES)
    if isinstance(outcomes[-1], MeteringUnavailable):
        await ledger.settle(settlement("att_000001"))
    owed = sum(each.amount_nano(START_MICROS + MINUTE) for each in steps)
    assert (await ledger.balance("platform"))[2] == owed + charge_of(settlement(""))
    assert await audited(file) == []


async def test_a_receipt_tells_the_share_of_an_attempt_and_none_where_there_is_none(database: Database) -> None:
    ledger = new_ledger(database, FakeClock(START_MICROS))
    await SqlReplicaRuns(database).begin(a_run(nano_per_hour=3_600_000))
    await asyncio.gather(*(ledger.hold(replace(opening(number), deployment="dep_1")) for number in range(4)))
    shared = [
        replace(settlement(f"att_{number:06d}"), share_micros=400 + 1_000 * number, share_nano=number)
        for number in range(3)
    ]
    await ledger.settle(shared[2])
    await asyncio.gather(*(ledger.settle(each) for each in (*shared[:2], settlement("att_000003"))))
    found: list[tuple[int | None, int | None]] = []
    for number in range(4):
        receipt = await SqlReceipts(database).get(f"req_{number:06d}", None)
        assert receipt is not None
        found.append((receipt.attempts[0].share_micros, receipt.attempts[0].share_nano))
    assert found == [(400, 0), (1_400, 1), (2_400, 2), (None, None)]
    assert await audited(database) == []


class FailingCursor:
    """A cursor whose statement of that number fails."""

    def __init__(self, cursor: Cursor, statement: int) -> None:
        self._cursor = cursor
        self._left = statement

    def execute(self, statement: str, values: Sequence[str | int | None] = ()) -> Cursor:
        self._left -= 1
        if self._left == 0:
            raise ValueError("on purpose")
        return self._cursor.execute(statement, values)


class FailingSteps(ReplicaSteps):
    """Books as the store does, up to the statement of that number."""

    def __init__(self, database: Database, statement: int) -> None:
        super().__init__(database.figures)
        self._statement = statement

    def run_one(self, cursor: Cursor, step: Meter) -> int:
        failing: Any = FailingCursor(cursor, self._statement)
        return super().run_one(failing, step)


async def test_a_booking_that_fails_at_any_of_its_statements_leaves_nothing_half_booked(database: Database) -> None:
    runs, run = SqlReplicaRuns(database), replace(a_run(), ready_at_micros=START_MICROS)
    for minutes in (5, 9):
        await runs.meter(replace(run, metered_to_micros=START_MICROS + minutes * MINUTE), SCOPES)
    before = await sums(database, run.id)
    gone = START_MICROS + 3 * MINUTE
    step = Meter(replace(run, gone_at_micros=gone, metered_to_micros=gone), SCOPES)
    failures = 0
    for statement in itertools.count(1):
        (outcome,) = await asyncio.gather(
            database.writer.submit_step(FailingSteps(database, statement), step), return_exceptions=True
        )
        if not isinstance(outcome, BaseException):
            break
        failures += 1
        assert await sums(database, run.id) == before
        assert await audited(database) == []
    assert failures > 8
    assert await sums(database, run.id) == (run.amount_nano(gone), 3 * MINUTE)
    assert await audited(database) == []
