"""A scorer that is made ready in the background, whoever waits for it or gives up."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from headrace.domain.conversation import Conversation, Turn
from headrace.domain.errors import EngineFailed
from headrace.domain.router import Task
from headrace.domain.routing import TaskSet
from headrace.services import ready_scorer
from headrace.services.ready_scorer import ReadyScorer
from headrace.services.tasks import Tasks
from tests.fakes.scorer import NamingScorer

pytestmark = pytest.mark.anyio
TASKS = TaskSet("d1", (Task("refund", "Money back."),))
ASKED = Conversation((Turn("user", "a refund"),), "", in_tool_loop=False, prompt_tokens=1)
SOON = 0.001


class SlowScorer(NamingScorer):
    """A scorer that is ready when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.prepared: list[str] = []

    async def prepare(self, tasks: TaskSet) -> None:
        self.prepared.append(tasks.digest)
        await self.go_on.wait()
        await super().prepare(tasks)

    async def rematch(self, tasks: TaskSet, features: object) -> tuple[()]:
        return ()


def fail(name: str, error: BaseException) -> None:
    raise AssertionError(f"{name} failed: {error!r}")


async def test_prompts_wait_for_the_tasks_to_be_read_and_then_never_again() -> None:
    scorer, tasks = SlowScorer(), Tasks(fail)
    ready = ReadyScorer(scorer, tasks)
    asyncio.get_running_loop().call_soon(scorer.go_on.set)
    found = await asyncio.gather(*(ready.match(TASKS, ASKED) for _ in range(3)))
    assert [each.best for each in found] == ["refund"] * 3
    assert (await ready.match(TASKS, ASKED)).best == "refund"
    await ready.prepare(TASKS)
    assert scorer.prepared == ["d1"]
    await tasks.close()


async def test_the_managed_router_waits_only_while_nothing_is_ready() -> None:
    scorer, tasks = SlowScorer(), Tasks(fail)
    scorer.go_on.set()
    ready = ReadyScorer(scorer, tasks)
    figures, _ = await ready.weigh(ASKED)
    assert figures.output_tokens == 100.0
    await ready.weigh(ASKED)
    assert scorer.prepared == ["any"]
    await tasks.close()


async def test_who_waits_too_long_is_told_and_the_work_goes_on() -> None:
    scorer, tasks = SlowScorer(), Tasks(fail)
    ready = ReadyScorer(scorer, tasks, wait_seconds=SOON)
    with pytest.raises(EngineFailed, match="still being made ready"):
        await ready.match(TASKS, ASKED)
    scorer.go_on.set()
    assert (await ready.match(TASKS, ASKED)).matched
    assert scorer.prepared == ["d1"]
    await tasks.close()


async def test_who_leaves_does_not_break_it_off() -> None:
    scorer, tasks = SlowScorer(), Tasks(fail)
    ready = ReadyScorer(scorer, tasks)
    leaver = tasks.start("leaver", ready.prepare(TASKS))
    await asyncio.sleep(0)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    scorer.go_on.set()
    await ready.prepare(TASKS)
    assert scorer.prepared == ["d1"]
    await tasks.close()


async def test_a_failure_is_told_and_tried_again() -> None:
    scorer, tasks = SlowScorer(), Tasks(fail)
    scorer.go_on.set()
    scorer.is_away = True
    ready = ReadyScorer(scorer, tasks)
    for _ in range(2):
        with pytest.raises(EngineFailed, match="the weights are not here"):
            await ready.match(TASKS, ASKED)
    scorer.is_away = False
    assert (await ready.match(TASKS, ASKED)).matched
    assert await ready.rematch(TASKS, ()) == ()
    assert scorer.prepared == ["d1"] * 3
    await tasks.close()


async def test_failures_are_not_kept_whatever_is_asked_for() -> None:
    scorer, tasks = SlowScorer(), Tasks(fail)
    scorer.go_on.set()
    scorer.is_away = True
    ready = ReadyScorer(scorer, tasks)

    async def failure(digest: str) -> weakref.ref[EngineFailed]:
        with pytest.raises(EngineFailed) as caught:
            await ready.match(TaskSet(digest, TASKS.tasks), ASKED)
        return weakref.ref(caught.value)

    failures = [await failure(f"draft-{number}") for number in range(3)]
    await tasks.close()
    gc.collect()
    assert [each() for each in failures] == [None] * 3


async def test_what_was_read_longest_ago_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready_scorer, "MOST_REMEMBERED", 1)
    scorer, tasks = SlowScorer(), Tasks(fail)
    scorer.go_on.set()
    ready = ReadyScorer(scorer, tasks)
    for digest in ("d1", "d2", "d1"):
        await ready.match(TaskSet(digest, TASKS.tasks), ASKED)
    assert scorer.prepared == ["d1", "d2", "d1"]
    await tasks.close()
