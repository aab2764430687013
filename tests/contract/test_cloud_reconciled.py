"""The reconciler over the cloud driver: what an operator wants comes about at the cloud, or it is told why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from headrace.domain.dedicated import DeploymentStatus, Wanted
from headrace.domain.deployment_event import DeploymentEvent
from headrace.drivers.compute.cloud.client import CloudAccess, CloudClient
from headrace.drivers.compute.cloud.compute import CloudCompute
from headrace.drivers.compute.cloud.notes import CloudNotes
from headrace.drivers.compute.cloud.parts import CloudParts
from headrace.services.autoscaling import Autoscaling
from headrace.services.deployment_specs import DeploymentSpecs
from headrace.services.reconciler import Reconciler, ReconcilerParts
from headrace.services.tasks import Tasks
from headrace.testing.clock import FakeClock
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.dedicated_api import BASE, TOKEN, DedicatedApi
from tests.fakes.reconciled import CATALOG, MemoryDeployments, MemoryWeights, a_deployment, a_wanted

pytestmark = pytest.mark.anyio

ID = "dep"


def cloud_wanted(low: int = 1, high: int = 2, **changes: int) -> Wanted:
    wanted = replace(a_wanted(low, high, driver="cloud"), **changes)
    return replace(wanted, region="atl1", vpc_uuid="net-1", asked_accelerator="gpu-mi300x1-192gb")


class CloudPlane:
    """A control plane whose clock the test moves, over a cloud in memory."""

    def __init__(self, home: Path, wanted: Wanted | None = None) -> None:
        self.clock = FakeClock()
        self.api = DedicatedApi(self.clock)
        self.blobs = MemoryBlobs(self.clock)
        self.deployments = MemoryDeployments({ID: a_deployment(wanted or cloud_wanted(), ID)})
        self.token_file: Path | None = home / "token"
        self.token_file.write_text(TOKEN)
        self.events: list[DeploymentEvent] = []
        self.defects: list[BaseException] = []
        self.begin()

    def begin(self) -> None:
        """Begin as the next process does, over the same cloud and the same store."""
        client = CloudClient(CloudAccess(BASE, self.token_file), self.clock, httpx2.ASGITransport(self.api.app))
        self.compute = CloudCompute(CloudParts(client, CloudNotes(self.blobs), self.clock), "home1")
        self.reconciler = Reconciler(
            ReconcilerParts(
                deployments=self.deployments,
                compute=self.compute,
                specs=DeploymentSpecs(lambda: CATALOG, MemoryWeights()),
                autoscaling=Autoscaling(self.compute, self.clock, lambda _driver: False),
                tasks=Tasks(lambda _name, error: self.defects.append(error)),
                clock=self.clock,
                report=self.events.append,
                end_unknown=[self.compute.end_unknown],
            )
        )

    async def until(self, status: DeploymentStatus | None, looks: int = 60) -> str:
        """Let time pass until the deployment stands so, or is forgotten; returns the reason."""
        for _ in range(looks):
            self.clock.advance(2.0)
            await self.compute.tick()
            await self.reconciler.tick()
            stored = self.deployments.stored.get(ID)
            if (None if stored is None else stored.status) is status:
                return "" if stored is None else stored.reason
        raise AssertionError(f"not {status}: {self.deployments.stored}, {self.defects}")


async def test_up_grown_taken_over_and_deleted(tmp_path: Path) -> None:
    plane = CloudPlane(tmp_path)
    await plane.until(DeploymentStatus.ACTIVE)
    assert len(plane.compute.ready(ID)) == 1
    plane.deployments.stored[ID] = replace(plane.deployments.stored[ID], wanted=cloud_wanted(2, 3))
    for _ in range(5):
        await plane.until(DeploymentStatus.ACTIVE)
    assert len(plane.compute.ready(ID)) == 2
    plane.begin()
    await plane.until(DeploymentStatus.ACTIVE)
    assert len(plane.compute.ready(ID)) == 2
    assert plane.api.count("DELETE") == 0
    assert (plane.api.count("POST"), plane.api.count("PATCH")) == (1, 1)
    plane.deployments.delete(ID)
    await plane.until(None)
    assert plane.api.inferences == {}
    assert plane.blobs.kept == {}
    assert plane.defects == []


async def test_what_the_contract_cannot_say_is_rolled_out_all_the_same(tmp_path: Path) -> None:
    plane = CloudPlane(tmp_path)
    await plane.until(DeploymentStatus.ACTIVE)
    plane.deployments.change(ID, cloud_wanted(slots=7))
    await plane.until(DeploymentStatus.ACTIVE)
    assert plane.deployments.stored[ID].wanted.slots == 7
    assert plane.api.count("PATCH") == 0


async def test_no_capacity_is_told_and_made_good(tmp_path: Path) -> None:
    plane = CloudPlane(tmp_path)
    plane.api.has_capacity = False
    reason = await plane.until(DeploymentStatus.ERROR)
    assert "no gpu-mi300x1-192gb is free" in reason
    plane.api.has_capacity = True
    await plane.until(DeploymentStatus.ACTIVE)


async def test_a_missing_token_is_told_and_nothing_holds_up_the_deletion(tmp_path: Path) -> None:
    plane = CloudPlane(tmp_path)
    plane.token_file = None
    plane.begin()
    reason = await plane.until(DeploymentStatus.ERROR)
    assert "cloud_token_file" in reason
    plane.deployments.delete(ID)
    await plane.until(None)
    assert plane.api.asked == []
