"""Steps of one batch: each gets its own answer, and the tables say the same as after the steps ran one by one."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.books import Held, Progress, Refused
from headrace.domain.errors import Conflict
from headrace.domain.usage import Usage
from headrace.drivers.stores.database import Database, open_database
from headrace.drivers.stores.sqlite import Cursor
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import (
    PRICE,
    START_MICROS,
    LimitedSqlLedger,
    OpenStore,
    broken_invariants,
    new_ledger,
    opening,
    settlement,
    void,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

TABLES = ("request", "price_version", "attempt", "hold", "resolution", "settled_line", "scope")
COUNT = 45


@pytest.fixture
async def database(tmp_path: Path, open_store: OpenStore) -> AsyncGenerator[Database]:
    opened = open_store(tmp_path, FakeClock(START_MICROS))
    yield opened
    opened.close()


@pytest.fixture
def ledger(database: Database) -> LimitedSqlLedger:
    return new_ledger(database, FakeClock(START_MICROS))


def everything(cursor: Cursor) -> list[object]:
    """Return all rows of the ledger's tables."""
    return [cursor.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES]


async def told(work: Sequence[Awaitable[object]], *, together: bool) -> list[object]:
    """Await work in one batch or one after the other and return results and the types of errors."""
    if together:
        answers = await asyncio.gather(*work, return_exceptions=True)
    else:
        answers = [(await asyncio.gather(each, return_exceptions=True))[0] for each in work]
    return [type(each) if isinstance(each, BaseException) else each for each in answers]


async def play(home: Path, open_store: OpenStore, *, together: bool) -> tuple[list[object], list[object]]:
    """Play one history and return its answers and what it left in the tables."""
    await asyncio.to_thread(home.mkdir)
    database = open_store(home, FakeClock(START_MICROS))
    try:
        ledger = new_ledger(database, FakeClock(START_MICROS))
        made = [opening(number, scopes=("platform", f"key:k{number % 3}")) for number in range(COUNT)]
        made[1] = replace(made[1], price=replace(PRICE, id="acme/small@2026-02-01#1"), deployment="d", turn_index=3)
        made[2] = replace(made[2], request=replace(made[2].request, route="auto"))
        await ledger.set_limit("key:k0", 5 * made[0].bound.amount_nano)
        answers = await told([ledger.hold(each) for each in made], together=together)
        held = [f"att_{number:06d}" for number in range(COUNT) if isinstance(answers[number], Held)]
        steps = [ledger.sent(name, START_MICROS + 7) for name in [*held[4:], held[5], "att_unknown"]]
        answers += await told(steps, together=together)
        for number, name in enumerate(held[6:20]):
            ledger.checkpoint(name, Progress(number, number * 2, START_MICROS + number))
        dear = Usage(50_000, 4, 3, 2, 5_000, 1, "counted", "total_mismatch")
        ends: list[Awaitable[object]] = [ledger.settle(settlement(name)) for name in held[10:25]]
        ends += [ledger.void(void(name, possible_spend=name[-1] == "7")) for name in held[8:13]]
        ends += [ledger.settle(settlement(held[25], dear)), ledger.settle(settlement("att_unknown"))]
        answers += await told(ends, together=together)
        assert await database.read(broken_invariants) == []
        return answers, await database.read(everything)
    finally:
        database.close()


async def test_a_batch_leaves_the_same_books_as_its_steps_alone(tmp_path: Path, open_store: OpenStore) -> None:
    together = await play(tmp_path / "together", open_store, together=True)
    alone = await play(tmp_path / "alone", open_store, together=False)
    elsewhere = await play(tmp_path / "file", open_database, together=True)
    assert together == alone == elsewhere
    answers = together[0]
    assert [kind for kind in answers if kind is Conflict] == [Conflict] * 6
    assert sum(isinstance(each, Refused) for each in answers) == COUNT // 3 - 5


async def test_sent_and_settled_in_one_batch_keep_their_order(database: Database, ledger: LimitedSqlLedger) -> None:
    await asyncio.gather(*(ledger.hold(opening(number)) for number in range(3)))
    names = [f"att_{number:06d}" for number in range(3)]
    sent = [ledger.sent(name, START_MICROS + 9) for name in names]
    await asyncio.gather(*sent, *(ledger.settle(settlement(name)) for name in names))
    stored = await database.read(lambda cursor: cursor.execute("SELECT sent_at_micros FROM resolution").fetchall())
    assert stored == [(START_MICROS + 9,)] * 3


async def test_the_newest_of_several_counts_is_written_with_its_batch(
    database: Database, ledger: LimitedSqlLedger
) -> None:
    await asyncio.gather(ledger.hold(opening(1)), ledger.hold(opening(2)))
    for tokens in (3, 8, 5):
        ledger.checkpoint("att_000001", Progress(tokens, tokens * 10, START_MICROS + tokens))
    ledger.checkpoint("att_000002", Progress(1, 10, START_MICROS))
    await ledger.hold(opening(3))
    read = "SELECT checkpoint_output_tokens, checkpoint_bytes FROM hold ORDER BY attempt_id"
    assert await database.read(lambda cursor: cursor.execute(read).fetchall()) == [(5, 50), (1, 10), (None, None)]


async def test_a_count_survives_a_batch_that_is_run_again(database: Database, ledger: LimitedSqlLedger) -> None:
    await ledger.hold(opening(1))
    ledger.checkpoint("att_000001", Progress(4, 40, START_MICROS))
    with pytest.raises(Conflict):
        await ledger.hold(opening(1))
    read = "SELECT checkpoint_output_tokens FROM hold"
    assert await database.read(lambda cursor: cursor.execute(read).fetchall()) == [(4,)]


async def test_a_limit_set_or_lifted_counts_for_the_holds_of_its_batch(ledger: LimitedSqlLedger) -> None:
    first = [ledger.set_limit("key:k1", 0), ledger.hold(opening(1)), ledger.hold(opening(2))]
    assert await asyncio.gather(*first) == [None, Refused("key:k1", 0, 0), Refused("key:k1", 0, 0)]
    second = [ledger.set_limit("key:k1", None), ledger.hold(opening(1)), ledger.hold(opening(2))]
    assert await asyncio.gather(*second) == [None, Held("att_000001"), Held("att_000002")]


async def test_what_one_round_of_the_loop_queues_is_one_commit(database: Database, ledger: LimitedSqlLedger) -> None:
    commits = database.writer.commits
    await asyncio.gather(*(ledger.hold(opening(number)) for number in range(100)))
    assert database.writer.commits - commits == 1


async def test_who_was_answered_together_comes_back_together(database: Database, ledger: LimitedSqlLedger) -> None:
    async def later(number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)
        await ledger.settle(settlement(f"att_{number:06d}"))

    await asyncio.gather(*(ledger.hold(opening(number)) for number in range(10)))
    commits = database.writer.commits
    await asyncio.gather(*map(later, range(10)))
    assert database.writer.commits - commits == 1
