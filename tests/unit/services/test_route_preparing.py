"""Routers are read ahead of their first prompt: every one that can be called, and again when they change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from headrace.domain.errors import EngineFailed
from headrace.domain.router import Presets, Router
from headrace.domain.routing import TaskSet
from headrace.domain.snapshot import Snapshot
from headrace.services.ready_scorer import ANY_TASK
from headrace.services.route_preparing import RoutePreparing
from headrace.services.router_tasks import task_sets
from headrace.services.tasks import Tasks
from tests.fakes.planning import SUPPORT, PlanningWorld
from tests.fakes.scorer import NamingScorer

pytestmark = pytest.mark.anyio
ANYTHING = ANY_TASK.tasks[0].description


class NotingScorer(NamingScorer):
    """Notes which tasks it was given to read; while it is held it is still reading."""

    def __init__(self) -> None:
        super().__init__()
        self.prepared: list[str] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.noted = asyncio.Event()

    async def prepare(self, tasks: TaskSet) -> None:
        self.noted.set()
        await self.may_go_on.wait()
        if self.is_away:
            raise EngineFailed("the weights are not here")
        self.prepared.append(tasks.tasks[0].description)


def fail(name: str, error: BaseException) -> None:
    raise AssertionError(f"{name} failed: {error!r}")


def a_snapshot(*routers: Router) -> Snapshot:
    known = {each.name: each for each in routers}
    return replace(PlanningWorld().snapshot, routers=known, task_sets=task_sets(known, Presets(), ()))


def about(name: str, description: str, source: str = "api") -> Router:
    first = SUPPORT.policies[0]
    policies = (replace(first, task=replace(first.task, description=description)),)
    return replace(SUPPORT, name=name, policies=policies, source=source)


@asynccontextmanager
async def following(scorer: NotingScorer, *routers: Router) -> AsyncGenerator[RoutePreparing, None]:
    preparing, tasks = RoutePreparing(scorer), Tasks(fail)
    preparing.follow(a_snapshot(*routers))
    tasks.start("ahead", preparing.run())
    await scorer.noted.wait()
    yield preparing
    await tasks.close()


async def turn_over() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_managed_router_is_first_then_the_operators_then_the_catalogs() -> None:
    scorer = NotingScorer()
    async with following(scorer, about("shipped", "Shipped.", "preset"), about("mine", "Mine.")) as preparing:
        await turn_over()
        assert scorer.prepared == [ANYTHING, "Mine.", "Shipped."]
        preparing.follow(a_snapshot(about("shipped", "Changed.", "preset"), about("mine", "Mine.")))
        await turn_over()
        assert scorer.prepared[3:] == ["Changed."], "only what is new is read"


async def test_a_router_that_was_taken_out_is_read_again_when_it_is_back() -> None:
    scorer = NotingScorer()
    async with following(scorer, about("mine", "Mine.")) as preparing:
        await turn_over()
        for routers in ((), (about("mine", "Mine."),)):
            preparing.follow(a_snapshot(*routers))
            await turn_over()
        assert scorer.prepared == [ANYTHING, "Mine.", "Mine."]


async def test_what_is_not_wanted_any_more_is_not_read() -> None:
    scorer = NotingScorer()
    scorer.may_go_on.clear()
    async with following(scorer, about("mine", "Old.")) as preparing:
        preparing.follow(a_snapshot(about("mine", "New.")))
        scorer.may_go_on.set()
        await turn_over()
        assert scorer.prepared == [ANYTHING, "New."]


async def test_without_weights_it_waits_for_the_snapshot_that_comes_with_them() -> None:
    scorer = NotingScorer()
    scorer.is_away = True
    async with following(scorer, about("mine", "Mine.")) as preparing:
        scorer.is_away = False
        await turn_over()
        assert scorer.prepared == []
        preparing.follow(a_snapshot(about("mine", "Mine.")))
        await turn_over()
        assert scorer.prepared == [ANYTHING, "Mine."]
