"""Decisions as the ledger writes them: with the first opening of their request, once, and as long as they are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.books import Opening
from headrace.domain.routing import Decision
from headrace.drivers.stores import decisions as driver
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.decisions import SqlDecisions
from headrace.drivers.stores.receipts import SqlReceipts
from headrace.testing.clock import FakeClock
from tests.contract.audited_store import NEXT_EPOCH
from tests.contract.ledger_books import START_MICROS, OpenStore, new_ledger, opening, settlement, void
from tests.fakes.decisions import DECISION, SWITCH, a_decision

pytestmark = pytest.mark.anyio
COUNT = "SELECT count(*) FROM decision"


@pytest.fixture
def database(tmp_path: Path, open_store: OpenStore) -> Iterator[Database]:
    opened = open_store(tmp_path, FakeClock(START_MICROS))
    yield opened
    opened.close()


def routed(number: int, decision: Decision = DECISION, attempt: int = 0) -> Opening:
    wanted = opening(number)
    return replace(
        wanted,
        attempt_id=f"{wanted.attempt_id}_{attempt}",
        attempt_index=attempt,
        request=replace(wanted.request, route=decision.route, decision=decision),
    )


async def count(database: Database) -> int:
    return int(await database.read(lambda cursor: cursor.execute(COUNT).fetchone()[0]))


async def test_a_receipt_gives_back_what_was_decided(database: Database) -> None:
    ledger, receipts = new_ledger(database, FakeClock(START_MICROS)), SqlReceipts(database)
    odd = a_decision(
        router="suppört",
        route=None,
        score=1e-9,
        reason="¿quién? 客户 \U0001f600",
        switch=SWITCH,
        features=bytes(range(256)) * 3,
        targets=(*DECISION.targets, *(replace(DECISION.targets[0], name=f"m{n}") for n in range(120))),
    )
    await ledger.hold(routed(1, odd))
    await ledger.hold(opening(2))
    found = [await receipts.get(f"req_00000{number}", None) for number in (1, 2)]
    assert [each and each.decision for each in found] == [odd, None]


async def test_it_is_written_once_however_many_attempts_follow(database: Database) -> None:
    ledger = new_ledger(database, FakeClock(START_MICROS))
    for attempt in range(3):
        await ledger.hold(routed(1, attempt=attempt))
        await ledger.void(void(f"att_000001_{attempt}"))
    assert await count(database) == 1


async def test_a_batch_writes_those_that_were_routed(database: Database) -> None:
    ledger = new_ledger(database, FakeClock(START_MICROS))
    wanted = [routed(number) if number % 3 else opening(number) for number in range(60)]
    await asyncio.gather(*(ledger.hold(each) for each in wanted))
    assert await count(database) == 40
    found = await SqlDecisions(database).get("req_000001")
    assert found is not None
    assert (found.decision, found.served_by, found.status, found.cost_nano) == (DECISION, None, None, 0)
    assert await SqlDecisions(database).get("req_000003") is None


async def test_a_hold_that_a_budget_refused_leaves_none(database: Database) -> None:
    ledger = new_ledger(database, FakeClock(START_MICROS))
    await ledger.set_limit("platform", 1)
    await ledger.hold(routed(1))
    assert await count(database) == 0


async def test_what_came_long_ago_is_forgotten_and_the_receipt_stays(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "SWEPT_AT_ONCE", 2)
    ledger, decisions = new_ledger(database, FakeClock(START_MICROS)), SqlDecisions(database)
    for number in range(7):
        await ledger.hold(routed(number))
        await ledger.sent(f"att_00000{number}_0", START_MICROS)
        await ledger.settle(settlement(f"att_00000{number}_0"))
    assert await decisions.sweep(START_MICROS + 5) == 5
    assert await decisions.sweep(START_MICROS + 5) == 0
    assert [each.request_id for each in await decisions.since("support", 0, 9)] == ["req_000005", "req_000006"]
    receipt = await SqlReceipts(database).get("req_000000", None)
    assert receipt is not None
    assert (receipt.route, receipt.decision, receipt.served_by) == ("refund", None, "small")


async def test_recovery_closes_a_routed_request_like_any_other(database: Database) -> None:
    await new_ledger(database, FakeClock(START_MICROS)).hold(routed(1))
    await database.write(lambda cursor: cursor.execute(NEXT_EPOCH).rowcount)
    database.epoch += 1
    report = await new_ledger(database, FakeClock(START_MICROS)).recover()
    assert report.voided == 1
    receipt = await SqlReceipts(database).get("req_000001", None)
    assert receipt is not None
    assert receipt.decision == DECISION
