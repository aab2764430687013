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


async def test_where_nothing_is_owed_nothing_is_waited_for() -> None:
    await Tasks(lambda name, error: None).finish_owed(60)


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def test_what_is_owed_is_finished_and_the_rest_is_not_waited_for() -> None:
    tasks = Tasks(lambda name, error: None)
    gate, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await gate.wait()
        done.set()

    other = tasks.start("other", wait_for_ever())
    tasks.start_owed("owed", work())
    assert tasks.owed == 1
    asyncio.get_running_loop().call_soon(gate.set)
    await tasks.finish_owed(60)
    assert (done.is_set(), tasks.owed, other.done()) == (True, 0, False)
    await tasks.close()


@pytest.mark.parametrize("how", ["no time is left", "somebody is in a hurry"])
async def test_what_is_owed_is_cancelled_when_there_is_no_time(how: str) -> None:
    tasks = Tasks(lambda name, error: None)
    cleaned = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    owed = tasks.start_owed("owed", work())
    await asyncio.sleep(0)
    if how == "somebody is in a hurry":
        tasks.cancel_owed()
    await tasks.finish_owed(0 if how == "no time is left" else 60)
    assert cleaned.is_set() and owed.cancelled() and tasks.owed == 0
