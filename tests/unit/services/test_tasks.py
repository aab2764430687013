"""Background tasks have an owner."""

import asyncio

import pytest

from headrace.services.tasks import Tasks

pytestmark = pytest.mark.anyio


async def test_a_failure_is_reported_with_the_name_of_its_task() -> None:
    heard: list[tuple[str, str]] = []
    tasks = Tasks(lambda name, error: heard.append((name, repr(error))))

    async def fail() -> None:
        raise ValueError("broken")

    await asyncio.wait([tasks.start("work", fail())])
    assert heard == [("work", "ValueError('broken')")]


async def test_a_task_that_ends_well_is_not_reported_and_not_kept() -> None:
    heard: list[str] = []
    tasks = Tasks(lambda name, _: heard.append(name))
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    await tasks.start("work", work())
    assert done.is_set()
    await tasks.close()
    assert heard == []


async def test_close_cancels_what_is_left_and_waits_for_it() -> None:
    heard: list[str] = []
    tasks = Tasks(lambda name, _: heard.append(name))
    cleaned: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(name)

    running = [tasks.start(name, work(name)) for name in ("a", "b")]
    await asyncio.sleep(0)
    await tasks.close()
    assert sorted(cleaned) == ["a", "b"]
    assert all(task.cancelled() for task in running)
    assert heard == []
