"""Replays run one at a time, can be ended, and tell of a store that fails in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from headrace.domain.errors import MeteringUnavailable
from headrace.domain.evaluation import Choosable
from headrace.domain.replay import Redecided, ReplaySums
from headrace.domain.routing import Match, TaskSet
from headrace.ports.fleet import Progress
from headrace.ports.routing import RoutedRequest
from headrace.services.replays import SLICE, ReplayParts, ReplayQuestion, ReplayReport, Replays
from headrace.services.route_figures import RouteFigures
from headrace.services.router_history import Past
from headrace.wire.replay_json import replay_fields
from tests.control_world import Plane, World, open_plane
from tests.fakes.breakeven import InPlace
from tests.fakes.routed import NOON, MemoryDecisions, a_request, a_routing
from tests.fakes.scorer import NamingScorer

pytestmark = pytest.mark.anyio

QUESTION = ReplayQuestion("general", Past(0, NOON * 2, 1_000))


class GatedDecisions(MemoryDecisions):
    """Decisions that wait at each page, or fail."""

    def __init__(self) -> None:
        super().__init__([a_request("req_1", a_routing("summarization", router="general"))])
        self.gate = asyncio.Event()
        self.readers = 0
        self.on_read: Callable[[], None] = lambda: None

    async def since(
        self, router: str, since_micros: int, limit: int, before: tuple[int, str] | None = None
    ) -> tuple[RoutedRequest, ...]:
        self.readers += 1
        await self.gate.wait()
        self.on_read()
        return await super().since(router, since_micros, limit, before)


async def replays_over(decisions: MemoryDecisions, plane: Plane) -> Replays:
    return Replays(ReplayParts(decisions, NamingScorer(), RouteFigures(), plane.parts.door.snapshots, InPlace()))


async def test_one_replay_runs_at_a_time_and_one_that_is_left_makes_room() -> None:
    async with open_plane(World()) as plane:
        decisions = GatedDecisions()
        replays = await replays_over(decisions, plane)
        first = await replays.begin(QUESTION)
        assert await anext(first) == Progress("requests", 0, 1, "requests")
        async with asyncio.TaskGroup() as group:
            second = group.create_task(replays.whole(QUESTION))
            for _ in range(5):
                await asyncio.sleep(0)
            assert decisions.readers == 0, "the second waits for the first"
            await first.aclose()
            decisions.gate.set()
        report = second.result()
        assert isinstance(report, ReplayReport)
        assert report.replay.redecided == 1


class CountingScorer(NamingScorer):
    """Notes how many prompts it matched at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.at_once: list[int] = []

    async def rematch(self, tasks: TaskSet, features: Sequence[bytes]) -> tuple[Match, ...]:
        self.at_once.append(len(features))
        return await super().rematch(tasks, features)


async def test_prompts_are_matched_several_at_a_time_but_not_all() -> None:
    async with open_plane(World()) as plane:
        routing = a_routing("summarization", router="general")
        requests = [a_request(f"req_{number:02}", routing) for number in range(2 * SLICE + 1)]
        scorer, snapshots = CountingScorer(), plane.parts.door.snapshots
        replays = Replays(ReplayParts(MemoryDecisions(requests), scorer, RouteFigures(), snapshots, InPlace()))
        report = await replays.whole(QUESTION)
    assert report.replay.redecided == 2 * SLICE + 1
    assert scorer.at_once == [SLICE, SLICE, 1]


async def test_a_store_that_fails_ends_the_replay() -> None:
    def fail() -> None:
        raise MeteringUnavailable("the store is away")

    async with open_plane(World()) as plane:
        decisions = GatedDecisions()
        decisions.gate.set()
        decisions.on_read = fail
        replays = await replays_over(decisions, plane)
        with pytest.raises(MeteringUnavailable):
            await replays.whole(QUESTION)
        decisions.on_read = lambda: None
        assert (await replays.whole(QUESTION)).replay.redecided == 1


def test_it_is_said_when_the_controls_do_not_cover_all() -> None:
    sums = ReplaySums(most_choosable=1)
    for number in range(2):
        sums.add(Redecided(f"req_{number}", "a", "a", 1, "small", {"small": Choosable(1)}))
    fields = replay_fields(sums.replay(), {}, has_tasks=True)
    assert "The controls cover the newest 1 of these requests." in str(fields["notes"])
