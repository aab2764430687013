"""Reading usage on behalf of a caller: whose it is, which page, and how much is written at once."""

from __future__ import annotations

import asyncio

import pytest

from headrace.domain.access import Caller, Role
from headrace.domain.errors import InvalidRequest, Overloaded
from headrace.domain.usage_report import HOUR_MICROS, Dimension, Interval, UsageQuestion, UsageReport, UsageSums
from headrace.services.usage import MOST_WAITING, UsageReader
from tests.fakes.usage import EndedAttempt, MemoryUsageReports

pytestmark = pytest.mark.anyio

ADMIN = Caller("a1", "admin", "operator", Role.ADMIN, None)
KEY = Caller("k1", "web", "shop", Role.KEY, None)
QUESTION = UsageQuestion(
    interval=Interval.TOTAL, zone="UTC", spans=((0, HOUR_MICROS),), group_by=(Dimension.KEY, Dimension.MODEL)
)


def reports() -> MemoryUsageReports:
    def ended(key: str, model: str) -> EndedAttempt:
        return EndedAttempt(5, {Dimension.KEY: key, Dimension.MODEL: model}, UsageSums(1, 1))

    return MemoryUsageReports([ended("k1", "a"), ended("k1", "b"), ended("k2", "a"), ended("k2", "c")])


async def test_a_key_is_told_of_itself_whatever_the_question_says() -> None:
    reader = UsageReader(reports())
    found = await reader.page(QUESTION, KEY, 1, 10)
    assert ([row.group for row in found.rows], found.totals.attempts) == ([("k1", "a"), ("k1", "b")], 2)
    assert (await reader.page(QUESTION, ADMIN, 1, 10)).totals.attempts == 4
    assert (await reader.whole(QUESTION, KEY)).row_count == 2


async def test_pages_follow_each_other() -> None:
    reader = UsageReader(reports())
    pages = [await reader.page(QUESTION, ADMIN, number, 3) for number in (1, 2, 3)]
    assert [[row.group[1] for row in page.rows] for page in pages] == [["a", "b", "a"], ["c"], []]
    assert {page.row_count for page in pages} == {4}


async def test_reports_are_made_one_after_the_other_and_not_too_many_wait() -> None:
    gate, begun, running, most = asyncio.Event(), asyncio.Event(), list[int](), 0

    class Slow(MemoryUsageReports):
        async def report(self, question: UsageQuestion) -> UsageReport:
            nonlocal most
            begun.set()
            running.append(1)
            most = max(most, len(running))
            await gate.wait()
            running.pop()
            return await super().report(question)

    reader = UsageReader(Slow([]))
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(reader.page(QUESTION, KEY, 1, 10)) for _ in range(MOST_WAITING)]
        await begun.wait()
        with pytest.raises(Overloaded) as caught:
            await reader.page(QUESTION, ADMIN, 1, 10)
        gate.set()
    assert caught.value.retry_after_seconds == 1.0
    assert (most, all(each.done() for each in asking)) == (1, True)
    assert (await reader.whole(QUESTION, KEY)).rows == ()


async def test_more_rows_than_are_written_at_once_are_refused_with_the_fix() -> None:
    assert len((await UsageReader(reports(), 4).whole(QUESTION, ADMIN)).rows) == 4
    with pytest.raises(InvalidRequest, match=r"4 rows, more than the 3 .* ask for a shorter time") as caught:
        await UsageReader(reports(), 3).whole(QUESTION, ADMIN)
    assert caught.value.param == "format"
