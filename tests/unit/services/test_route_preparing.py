"""The operator's routers are read ahead of their first prompt."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.domain.errors import EngineFailed
from headrace.domain.router import Presets, Router
from headrace.domain.routing import TaskSet
from headrace.domain.snapshot import Snapshot
from headrace.services.route_preparing import RoutePreparing
from headrace.services.router_tasks import task_sets
from headrace.services.tasks import Tasks
from tests.fakes.planning import SUPPORT, PlanningWorld
from tests.fakes.scorer import NamingScorer

pytestmark = pytest.mark.anyio


class NotingScorer(NamingScorer):
    """Notes which tasks it was given to read."""

    def __init__(self) -> None:
        super().__init__()
        self.prepared: list[str] = []
        self.noted = asyncio.Event()

    async def prepare(self, tasks: TaskSet) -> None:
        self.noted.set()
        if self.is_away:
            raise EngineFailed("the weights are not here")
        self.prepared.append(tasks.tasks[0].description)


def fail(name: str, error: BaseException) -> None:
    raise AssertionError(f"{name} failed: {error!r}")


def a_snapshot(*routers: Router) -> Snapshot:
    known = {each.name: each for each in routers}
    return replace(PlanningWorld().snapshot, routers=known, task_sets=task_sets(known, Presets(), ()))


async def test_stored_routers_are_read_once_and_again_when_they_change() -> None:
    scorer = NotingScorer()
    preparing = RoutePreparing(scorer)
    preparing.follow(a_snapshot(SUPPORT, replace(SUPPORT, name="shipped", source="preset")))
    tasks = Tasks(fail)
    tasks.start("ahead", preparing.run())
    await scorer.noted.wait()
    preparing.follow(a_snapshot(SUPPORT))
    await asyncio.sleep(0)
    first = SUPPORT.policies[0]
    other = replace(SUPPORT, policies=(replace(first, task=replace(first.task, description="Changed.")),))
    for snapshot in (a_snapshot(SUPPORT, replace(other, name="b")), a_snapshot(), a_snapshot(SUPPORT)):
        scorer.noted.clear()
        preparing.follow(snapshot)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    words = first.task.description
    assert scorer.prepared == [words, "Changed.", words], "what was taken out is read again when it is back"
    await tasks.close()


async def test_without_weights_it_waits_for_the_snapshot_that_comes_with_them() -> None:
    scorer = NotingScorer()
    scorer.is_away = True
    preparing = RoutePreparing(scorer)
    preparing.follow(a_snapshot(SUPPORT))
    tasks = Tasks(fail)
    tasks.start("ahead", preparing.run())
    await scorer.noted.wait()
    scorer.is_away = False
    scorer.noted.clear()
    preparing.follow(a_snapshot(SUPPORT))
    await scorer.noted.wait()
    await asyncio.sleep(0)
    assert len(scorer.prepared) == 1
    await tasks.close()
