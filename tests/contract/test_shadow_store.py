"""Answers of reference models as every store keeps them: never over the day's budget, listed, judged, forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.shadow import ShadowAnswer, Verdict
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.shadows import SqlShadows
from headrace.ports.routing import ShadowStore
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import OpenStore

pytestmark = pytest.mark.anyio

NOON = 1_795_521_600_000_000
DAY = NOON - NOON % 86_400_000_000
ANSWER = ShadowAnswer("req_1", "req_s1", "uuid-1", "refund", "small", "large", NOON, 400)


@pytest.fixture
def database(tmp_path: Path, open_store: OpenStore) -> Iterator[Database]:
    opened = open_store(tmp_path, FakeClock())
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> ShadowStore:
    return SqlShadows(database)


async def test_what_counts_never_passes_the_days_budget(store: ShadowStore) -> None:
    assert await store.begin(ANSWER, DAY, 1_000)
    assert await store.begin(replace(ANSWER, request_id="req_2"), DAY, 1_000)
    assert not await store.begin(replace(ANSWER, request_id="req_3"), DAY, 1_000), "1,200 of 1,000"
    await store.finish("req_1", 100, None)
    assert await store.begin(replace(ANSWER, request_id="req_3"), DAY, 1_000), "what it cost counts, not its bound"
    assert not await store.begin(replace(ANSWER, request_id="req_4"), DAY, 1_000)
    assert await store.begin(replace(ANSWER, request_id="req_4", router_uuid="uuid-2"), DAY, 1_000)
    tomorrow = DAY + 86_400_000_000
    assert await store.begin(replace(ANSWER, request_id="req_5", made_at_micros=tomorrow), tomorrow, 1_000)


async def test_many_at_once_stay_within_the_budget(store: ShadowStore) -> None:
    made = [replace(ANSWER, request_id=f"req_{number}") for number in range(20)]
    begun = await asyncio.gather(*(store.begin(each, DAY, 1_000) for each in made))
    assert begun.count(True) == 2


async def test_a_request_is_answered_once(store: ShadowStore) -> None:
    assert await store.begin(ANSWER, DAY, 9_000)
    assert not await store.begin(replace(ANSWER, reference="other"), DAY, 9_000)
    assert await store.get("req_1") == ANSWER
    assert await store.get("req_2") is None


async def test_answers_are_listed_the_newest_first_page_by_page(store: ShadowStore) -> None:
    made = [replace(ANSWER, request_id=f"req_{number}", made_at_micros=NOON + number // 2) for number in range(5)]
    for each in made:
        await store.begin(each, DAY, 9_000)
    await store.begin(replace(ANSWER, request_id="other", router_uuid="uuid-2"), DAY, 9_000)
    first = await store.list("uuid-1", 2)
    assert [each.request_id for each in first] == ["req_4", "req_3"]
    rest = await store.list("uuid-1", 9, (first[-1].made_at_micros, first[-1].request_id))
    assert [each.request_id for each in rest] == ["req_2", "req_1", "req_0"]


async def test_only_a_kept_answer_is_judged_and_the_last_verdict_counts(store: ShadowStore) -> None:
    for name in ("req_1", "req_2", "req_3"):
        await store.begin(replace(ANSWER, request_id=name), DAY, 9_000)
    await store.finish("req_1", 90, None)
    await store.finish("req_2", 0, "upstream_timeout")
    assert [each.request_id for each in await store.list("uuid-1", 9, unjudged=True)] == ["req_1"]
    assert await store.judge("req_1", Verdict.WORSE, "judge-a", NOON + 1)
    assert await store.judge("req_1", Verdict.EQUAL, "judge-b", NOON + 2)
    assert [await store.judge(name, Verdict.EQUAL, "j", NOON) for name in ("req_2", "req_3", "req_9")] == [False] * 3
    assert await store.list("uuid-1", 9, unjudged=True) == ()
    judged, failed, running = [await store.get(name) for name in ("req_1", "req_2", "req_3")]
    assert judged == replace(
        ANSWER, amount_nano=90, state="kept", verdict=Verdict.EQUAL, judge="judge-b", judged_at_micros=NOON + 2
    )
    assert failed == replace(ANSWER, request_id="req_2", amount_nano=0, state="failed", failure="upstream_timeout")
    assert running == replace(ANSWER, request_id="req_3")


async def test_verdicts_are_counted_over_a_time(store: ShadowStore) -> None:
    for number, verdict in enumerate((Verdict.BETTER, Verdict.EQUAL, Verdict.EQUAL, Verdict.WORSE, None)):
        name = f"req_{number}"
        await store.begin(replace(ANSWER, request_id=name, made_at_micros=NOON + number), DAY, 9_000)
        await store.finish(name, 1, None)
        if verdict is not None:
            await store.judge(name, verdict, "judge", NOON)
    assert await store.verdicts("uuid-1", NOON, NOON + 9) == {Verdict.BETTER: 1, Verdict.EQUAL: 2, Verdict.WORSE: 1}
    assert await store.verdicts("uuid-1", NOON + 1, NOON + 3) == {Verdict.EQUAL: 2}
    assert await store.verdicts("uuid-2", NOON, NOON + 9) == {}


async def test_older_answers_are_swept(store: ShadowStore) -> None:
    for number in range(3):
        await store.begin(replace(ANSWER, request_id=f"req_{number}", made_at_micros=NOON + number), DAY, 9_000)
    assert await store.sweep(NOON + 2) == 2
    assert [each.request_id for each in await store.list("uuid-1", 9)] == ["req_2"]
