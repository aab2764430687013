"""The data path of deployments over real sockets: replicas die under streams, an alias moves under load."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from headrace.domain.alias import Alias
from headrace.domain.call import Call
from headrace.domain.dedicated import Deployment, WhenAsleep
from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Deadlines, Plan
from headrace.domain.snapshot import Snapshot
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.ports.fleet import Lease
from headrace.services.deployed import with_deployments
from headrace.services.fleet import TargetFleet
from headrace.services.overflowing import Overflowing
from headrace.services.planning import Planner
from headrace.services.turn import run_turn
from headrace.testing.openai_replies import chat_stream
from headrace.testing.script import Answer, Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from headrace.testing.waiting import Gate
from tests.fakes.compute import FakeCompute
from tests.fakes.deployed import a_deployed_snapshot, a_deployed_target, a_deployment, a_wanted, spec_of
from tests.fakes.nouns import PROVIDER, a_call
from tests.fakes.planning import PlanningWorld
from tests.fakes.turn_world import FakeSink, World

pytestmark = pytest.mark.anyio
STREAMS = 50
PATIENT = Deadlines(4.0, 4.0, 4.0, 4.0)
ANSWER = chat_stream("one two three")


@dataclass(slots=True)
class SocketCompute(FakeCompute):
    """Replicas of the driver in memory that listen on real sockets, by their names."""

    urls: dict[str, str] = field(default_factory=dict[str, str])

    def lease(self, deployment: str, replica: str) -> Lease | None:
        found = FakeCompute.lease(self, deployment, replica)
        return None if found is None else self._placed(found)

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        return self._placed(await FakeCompute.acquire(self, deployment, wait_seconds))

    def _placed(self, lease: Lease) -> Lease:
        url = self.urls[lease.endpoint.replica or ""]
        return replace(lease, endpoint=replace(lease.endpoint, base_url=url))


class Path:
    """A turn's surroundings with real sockets: replicas of one deployment, and a provider beside it."""

    def __init__(self, deployment: Deployment, transport: Http1Transport, stack: AsyncExitStack) -> None:
        self.deployment = deployment
        self.compute = SocketCompute()
        self.served = Counter[str]()
        self.failures: list[HeadraceError] = []
        self.changed = asyncio.Event()
        self.woken: list[str] = []
        self._stack = stack
        self._world = World(deadlines=PATIENT)
        fleet = TargetFleet(self.compute, wake=lambda each: self.woken.append(each.name))
        self._parts = replace(self._world.parts, transport=transport, fleet=fleet)

    async def replica(self, number: int, script: Answer) -> AsyncExitStack:
        """Start one more replica; closing what is returned kills it."""
        running = await self._stack.enter_async_context(AsyncExitStack())
        upstream = await running.enter_async_context(FakeUpstream(script))
        self.compute.urls[f"{self.deployment.id}-{number}"] = upstream.base_url
        await self.compute.apply(spec_of(self.deployment))
        await self.compute.scale(self.deployment.id, number)
        return running

    async def stream(self, call: Call, plan: Plan) -> None:
        """Run one stream and note who served it, or what it failed with."""
        sink = FakeSink([])
        try:
            await run_turn(self._parts, call, plan, sink)
        except HeadraceError as error:
            self.failures.append(error)
        else:
            assert sink.body.endswith(b"data: [DONE]\n\n")
            self.served[sink.headers["x-headrace-model"]] += 1
        self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a stream's end has made it so."""
        while not holds():
            self.changed.clear()
            await self.changed.wait()


@asynccontextmanager
async def a_path(deployment: Deployment) -> AsyncGenerator[Path]:
    async with AsyncExitStack() as stack:
        transport = await stack.enter_async_context(Http1Transport("headrace/test"))
        yield Path(deployment, transport, stack)


def held_by(gate: Gate) -> Answer:
    def answer(request: UpstreamRequest) -> Reply:
        del request
        return ANSWER.hold_headers(gate)

    return answer


def well(request: UpstreamRequest) -> Reply:
    del request
    return ANSWER


def served_at(base_url: str, snapshot: Snapshot) -> Snapshot:
    """The snapshot with its provider at this address."""
    return replace(snapshot, providers={**snapshot.providers, "acme": replace(PROVIDER, base_url=base_url)})


def a_stream(model: str = "prod-llm") -> Call:
    return a_call(model=model, stream=True)


async def test_a_replica_that_dies_under_streams_loses_none_before_its_first_byte() -> None:
    async with a_path(a_deployment()) as path:
        dying, lasting = Gate(), Gate()
        doomed = await path.replica(1, held_by(dying))
        await path.replica(2, held_by(lasting))
        plan = Plan("prod-llm", (a_deployed_target(path.deployment),))
        async with asyncio.TaskGroup() as group:
            for _ in range(STREAMS):
                group.create_task(path.stream(a_stream(), plan))
            await dying.reached(STREAMS // 2)
            await lasting.reached(STREAMS // 2)
            await doomed.aclose()
            await lasting.reached(STREAMS)
            lasting.release()
        assert (path.failures, path.served) == ([], {"prod-llm": STREAMS})
        assert [each.in_flight for each in path.compute.ready("dep_1")] == [0, 0]
        assert {replica for _, replica, is_well in path.compute.reports if not is_well} == {"dep_1-1"}


class Callers:
    """Programs that stream from "app" for as long as they may; where the alias points is changed meanwhile."""

    def __init__(self, path: Path, snapshot: Snapshot) -> None:
        self._path = path
        self._planning = PlanningWorld()
        known = self._planning.planner.knowledge
        self._planner = Planner(replace(known, overflowing=Overflowing(path.compute.standing)))
        self._snapshot = snapshot
        self._is_over = False

    async def call(self) -> None:
        while not self._is_over:
            call = replace(self._planning.call("a refund", model="app", stream=True), affinity="none")
            await self._path.stream(call, await self._planner.plan(call, self._snapshot))

    def point(self, points_to: str) -> None:
        alias = Alias("app", points_to, (), 1, 1)
        self._snapshot = replace(self._snapshot, aliases={"app": alias})

    async def move(self, *stations: tuple[str, str]) -> None:
        """Point the alias at one after the other, each until it has served as many streams as there are callers."""
        for points_to, model in stations:
            self.point(points_to)
            await self._path.until(lambda model=model: self._path.served[model] >= STREAMS)
        self._is_over = True


async def test_an_alias_moves_from_tokens_to_a_deployment_to_a_router_under_streams() -> None:
    async with a_path(a_deployment(a_wanted(model="cheap"))) as path, FakeUpstream(well) as provider:
        await path.replica(1, well)
        await path.replica(2, well)
        snapshot = with_deployments(PlanningWorld().snapshot, (path.deployment,))
        callers = Callers(path, served_at(provider.base_url, snapshot))
        callers.point("cheap")
        async with asyncio.TaskGroup() as group:
            for _ in range(STREAMS):
                group.create_task(callers.call())
            await callers.move(("cheap", "cheap"), ("prod-llm", "prod-llm"), ("router:support", "dear"))
        assert path.failures == []
        assert set(path.served) == {"cheap", "prod-llm", "dear"}


async def test_the_overflow_answers_while_the_deployment_wakes() -> None:
    deployment = a_deployment(a_wanted("two", when_asleep=WhenAsleep.OVERFLOW))
    async with a_path(deployment) as path, FakeUpstream(well) as provider:
        await path.compute.apply(spec_of(deployment))
        snapshot = served_at(provider.base_url, a_deployed_snapshot(deployment))
        known = PlanningWorld().planner.knowledge
        overflowing = Overflowing(path.compute.standing, lambda each: path.woken.append(each.name))
        planner = Planner(replace(known, overflowing=overflowing))
        await path.stream(a_stream(), await planner.plan(a_stream(), snapshot))
        assert (path.served, path.woken) == ({"two": 1}, ["prod-llm"])
        await path.replica(1, well)
        await path.stream(a_stream(), await planner.plan(a_stream(), snapshot))
        assert path.served["prod-llm"] == 1
        assert path.failures == []
