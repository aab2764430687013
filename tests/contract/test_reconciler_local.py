"""The reconciler over the local driver and real toy processes: from nothing to two, through a crash, and to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.dedicated import Deployment, DeploymentStatus, Wanted
from headrace.domain.deployment_event import DeploymentEvent
from headrace.drivers.ambient import SystemClock
from headrace.drivers.compute.local import LocalCompute
from headrace.ports.fleet import Lease
from headrace.services.autoscaling import Autoscaling, ScalingPatience
from headrace.services.deployment_specs import DeploymentSpecs
from headrace.services.deployment_steps import Pace
from headrace.services.reconciler import Reconciler, ReconcilerParts
from headrace.services.tasks import Tasks
from tests.contract.local_world import LocalWorld
from tests.fakes.reconciled import CATALOG, MemoryDeployments, MemoryWeights, a_deployment, a_wanted

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


def toy(low: int, high: int, *, slots: int = 1) -> Wanted:
    """A deployment of the toy engine, which fetches what it needs by itself."""
    return replace(a_wanted(low, high, slots=slots, idle_seconds=1), engine="toy")


class Plane:
    """One installation: what is stored, and a control plane over it that can be lost."""

    def __init__(self, home: Path, *deployments: Deployment) -> None:
        self.world = LocalWorld(home)
        self.deployments = MemoryDeployments({each.id: each for each in deployments})
        self.events: list[DeploymentEvent] = []
        self.defects: list[BaseException] = []
        self.tasks = Tasks(lambda _name, error: self.defects.append(error))
        self.compute: LocalCompute | None = None

    async def start(self) -> LocalCompute:
        compute = self.compute = await self.world.make()
        clock = SystemClock()
        patience = ScalingPatience(up_seconds=0.2, down_seconds=1.0)
        parts = ReconcilerParts(
            deployments=self.deployments,
            compute=compute,
            specs=DeploymentSpecs(lambda: CATALOG, MemoryWeights()),
            autoscaling=Autoscaling(compute, clock, lambda _driver: False, patience=patience),
            tasks=self.tasks,
            clock=clock,
            report=self.events.append,
            end_unknown=[compute.end_unknown],
            pace=Pace(tick_seconds=0.05),
        )
        self.tasks.start("reconciler", Reconciler(parts).run())
        return compute

    async def lose(self) -> None:
        """Let the control plane die without a word."""
        await self.tasks.close()
        assert self.compute is not None
        await self.compute.close()

    async def close(self) -> None:
        await self.tasks.close()
        await self.world.close()
        assert self.defects == []

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        await self.world.until(condition, what)

    def counts(self) -> Sequence[int]:
        """How many replicas were ready, without repetitions."""
        found = [each.ready for each in self.events]
        return [ready for place, ready in enumerate(found) if place == 0 or found[place - 1] != ready]


@pytest.fixture
async def planes(tmp_path: Path) -> AsyncIterator[Callable[..., Plane]]:
    made: list[Plane] = []

    def make(*deployments: Deployment) -> Plane:
        made.append(Plane(tmp_path, *deployments))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def test_from_nothing_to_two_through_a_crash_and_to_nothing(planes: Callable[..., Plane]) -> None:
    plane = planes(a_deployment(toy(0, 2)))
    compute = await plane.start()
    await plane.until(lambda: plane.deployments.stored["dep"].status is DeploymentStatus.ACTIVE, "it is active")
    assert plane.world.pids("dep") == set()
    leases: list[Lease] = list(await asyncio.gather(*(compute.acquire("dep", 20.0) for _ in range(2))))
    await plane.until(lambda: len(compute.ready("dep")) == 2, "the second one is ready")
    killed = leases[0].endpoint.replica
    assert killed is not None
    plane.world.kill(compute, killed)
    await plane.until(lambda: killed not in plane.world.ids(compute, "dep"), "the crash is noticed")
    await plane.until(lambda: len(compute.ready("dep")) == 2, "it is made good")
    for lease in leases:
        lease.release()
    await plane.until(lambda: plane.world.pids("dep") == set(), "it sleeps again")
    await plane.until(lambda: plane.counts()[-1] == 0, "and says so")
    assert max(plane.counts()) == 2


async def test_the_next_control_plane_adopts_changes_and_deletes(planes: Callable[..., Plane]) -> None:
    plane = planes(a_deployment(toy(2, 2)), a_deployment(toy(1, 1), "orphan"))
    compute = await plane.start()
    await plane.until(lambda: len(compute.ready("dep")) == 2 and len(compute.ready("orphan")) == 1, "all are ready")
    before = plane.world.pids("dep")
    await plane.lose()
    assert plane.world.pids("dep") == before
    del plane.deployments.stored["orphan"]
    compute = await plane.start()
    await plane.until(lambda: len(compute.ready("dep")) == 2, "they are taken over")
    await plane.until(lambda: plane.world.pids("orphan") == set(), "what nobody knows is ended")
    assert plane.world.pids("dep") == before

    plane.deployments.change("dep", toy(2, 2, slots=3))
    await plane.until(lambda: plane.deployments.stored["dep"].pending is None, "the change is in force")
    assert plane.deployments.stored["dep"].wanted.slots == 3
    assert not plane.world.pids("dep") & before
    assert len(compute.ready("dep")) == 2

    lease = await compute.acquire("dep", 20.0)
    held = await plane.world.hold(lease.endpoint)
    plane.deployments.delete("dep")
    await plane.until(lambda: len(compute.observe()) == 1, "the idle one is gone")
    assert plane.deployments.stored["dep"].status is DeploymentStatus.DELETING
    assert await held.finish() == 200
    lease.release()
    await plane.until(lambda: plane.deployments.all() == (), "it is forgotten")
    assert plane.world.pids("dep") == set()


async def test_the_next_control_plane_goes_on_with_a_change_that_has_not_come_to_its_end(
    planes: Callable[..., Plane], tmp_path: Path
) -> None:
    plane = planes(a_deployment(toy(1, 1)))
    starts = tmp_path / "starts"
    compute = await plane.start()
    await plane.until(lambda: len(compute.ready("dep")) == 1, "it is ready")
    before = plane.world.pids("dep")
    plane.world.engine.options = ("--starts", str(starts), "--fail-starts", "1000")
    plane.deployments.change("dep", toy(1, 1, slots=3))
    await plane.until(lambda: starts.exists() and len(starts.read_text().splitlines()) > 2, "new ones fail to start")
    await plane.lose()
    compute = await plane.start()
    await plane.until(lambda: len(starts.read_text().splitlines()) > 5, "they still do")
    assert plane.deployments.stored["dep"].pending is not None
    assert (plane.deployments.stored["dep"].status, plane.world.pids("dep") >= before) == (
        DeploymentStatus.UPDATING,
        True,
    )
    with starts.open("a") as counted:
        counted.write("0\n" * 1000)
    await plane.until(lambda: plane.deployments.stored["dep"].pending is None, "the change is in force")
    assert not plane.world.pids("dep") & before
    assert len(compute.ready("dep")) == 1
