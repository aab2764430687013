"""Decisions as every store gives them back page by page, with what serving took; and corrections taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.router import Correction
from headrace.domain.usage import Usage
from headrace.drivers.stores import decisions as driver
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.decisions import SqlDecisions
from headrace.drivers.stores.routers import SqlRouterStore
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import START_MICROS, OpenStore, charge_of, new_ledger, opening, settlement, void
from tests.fakes.routed import a_routing, a_target

pytestmark = pytest.mark.anyio


@pytest.fixture
def database(tmp_path: Path, open_store: OpenStore) -> Iterator[Database]:
    opened = open_store(tmp_path, FakeClock(START_MICROS))
    yield opened
    opened.close()


async def decide(database: Database, number: int, *, router: str = "support", at: int | None = None) -> str:
    """Open a request that a router decided; every second one is settled."""
    ledger, wanted = new_ledger(database, FakeClock(START_MICROS)), opening(number)
    decision = a_routing("refund", a_target("small", 1, 5_000), router=router)
    request = replace(
        wanted.request,
        route="refund",
        decision=decision,
        received_at_micros=START_MICROS + number if at is None else at,
    )
    await ledger.hold(replace(wanted, request=request))
    await ledger.sent(wanted.attempt_id, START_MICROS + number)
    if number % 2:
        await ledger.void(void(wanted.attempt_id))
    else:
        used = Usage(input_fresh=600, input_cache_read=200, output_text=40, output_reasoning=10)
        await ledger.settle(settlement(wanted.attempt_id, used))
    return request.request_id


async def test_all_decisions_are_read_page_by_page(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "READ_AT_ONCE", 2)
    made = [await decide(database, number) for number in range(7)]
    await decide(database, 8, router="other")
    store = SqlDecisions(database)
    newest = await store.since("support", START_MICROS, 3)
    assert [each.request_id for each in newest] == made[4:]
    before = newest[0].received_at_micros, newest[0].request_id
    older = await store.since("support", START_MICROS, 3, before)
    assert [each.request_id for each in older] == made[1:4]
    rest = await store.since("support", START_MICROS, 3, (older[0].received_at_micros, older[0].request_id))
    assert [each.request_id for each in rest] == made[:1]
    assert await store.since("support", START_MICROS, 3, (START_MICROS, made[0])) == ()
    assert [each.request_id for each in await store.since("support", START_MICROS + 6, 3)] == made[6:]


async def test_requests_of_one_moment_are_each_read_once(database: Database) -> None:
    made = sorted([await decide(database, number, at=START_MICROS) for number in range(5)])
    store = SqlDecisions(database)
    newest = await store.since("support", START_MICROS, 2)
    older = await store.since("support", START_MICROS, 9, (START_MICROS, newest[0].request_id))
    assert [each.request_id for each in (*older, *newest)] == made


async def test_a_page_tells_what_serving_took(database: Database) -> None:
    await decide(database, 0)
    await decide(database, 1)
    served, failed = await SqlDecisions(database).since("support", 0, 10)
    used = Usage(input_fresh=600, input_cache_read=200, output_text=40, output_reasoning=10)
    assert (served.served_by, served.cost_nano) == ("small", charge_of(settlement("att_000000", used)))
    assert (served.input_tokens, served.cached_tokens, served.output_tokens, served.reasoning_tokens) == (
        800,
        200,
        50,
        10,
    )
    assert (failed.served_by, failed.cost_nano, failed.input_tokens) == (None, 0, 0)


async def test_one_is_found_and_all_are_counted_and_swept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "SWEPT_AT_ONCE", 2)
    made = [await decide(database, number) for number in range(5)]
    await decide(database, 8, router="other")
    store = SqlDecisions(database)
    found = await store.get(made[3])
    assert found is not None
    assert (found.request_id, found.decision.route) == (made[3], "refund")
    assert await store.get("req_none") is None
    assert await store.count("support", START_MICROS, START_MICROS + 9) == 5
    assert await store.count("support", START_MICROS + 1, START_MICROS + 3) == 2
    assert await store.sweep(START_MICROS + 4) == 4
    assert await store.sweep(START_MICROS + 4) == 0
    assert [each.request_id for each in await store.since("support", 0, 9)] == made[4:]


async def test_a_correction_is_taken_back_once(database: Database) -> None:
    store = SqlRouterStore(database)
    first, second = (Correction("uuid", "refund", name, b"\1\2", START_MICROS) for name in ("req_1", "req_2"))
    await store.correct(first)
    await store.correct(second)
    assert [await store.take_back("req_1"), await store.take_back("req_1")] == [True, False]
    assert await store.corrections() == (second,)
