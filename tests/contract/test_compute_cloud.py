"""The cloud driver under the contract suite of all compute drivers, over a cloud in memory that speaks the contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from headrace.domain.deployment import DeploymentSpec
from headrace.domain.plan import Endpoint
from headrace.drivers.ambient import SystemClock
from headrace.drivers.compute.cloud.client import CloudAccess, CloudClient
from headrace.drivers.compute.cloud.compute import CloudCompute
from headrace.drivers.compute.cloud.notes import CloudNotes
from headrace.drivers.compute.cloud.parts import CloudParts, CloudPolicy
from headrace.ports.fleet import Compute
from tests.contract.compute_contract import ComputeContract
from tests.contract.compute_world import ComputeWorld, scaled_spec
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.dedicated_api import BASE, TOKEN, DedicatedApi

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

POLICY = CloudPolicy(busy_seconds=0.02, poll_seconds=0.05, drain_seconds=5.0, remove_seconds=5.0)


class HeldRequest:
    """A request that the cloud's endpoint has begun to answer."""

    def __init__(self, api: DedicatedApi, task: asyncio.Task[int]) -> None:
        self._api, self._task = api, task

    async def finish(self) -> int:
        self._api.release.set()
        return await self._task


class CloudWorld(ComputeWorld):
    """The driver over the cloud; nobody sees the processes behind it, and it gives no logs."""

    sees_processes = False
    gives_logs = False

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.api = DedicatedApi()
        self.clock = SystemClock()
        self.blobs = MemoryBlobs(self.clock)
        self.token_file = home / "token"
        self.token_file.write_text(f"{TOKEN}\n")
        self.transport = httpx2.ASGITransport(self.api.app)
        self.callers = httpx2.AsyncClient(transport=self.transport)
        self.open: list[CloudCompute] = []

    async def make(self) -> Compute:
        client = CloudClient(CloudAccess(BASE, self.token_file), self.clock, self.transport)
        parts = CloudParts(client, CloudNotes(self.blobs), self.clock, POLICY, self.seen.append)
        compute = CloudCompute(parts, "home1")
        await compute.open()
        self.open.append(compute)
        return compute

    async def restart(self, compute: Compute) -> Compute:
        await compute.close()
        return await self.make()

    async def end_unknown(self, compute: Compute, known: Collection[str]) -> None:
        assert isinstance(compute, CloudCompute)
        await compute.end_unknown(known)

    async def ask(self, endpoint: Endpoint) -> int:
        return await self._get(endpoint, "models")

    async def hold(self, endpoint: Endpoint) -> HeldRequest:
        served = self.api.served
        held = HeldRequest(self.api, asyncio.get_running_loop().create_task(self._get(endpoint, "hold")))
        await self.until(lambda: self.api.served > served, "the held request has begun")
        return held

    async def close(self) -> None:
        self.api.release.set()
        for compute in self.open:
            await compute.close()
        await self.callers.aclose()

    def spec(self, deployment: str, **changes: int) -> DeploymentSpec:
        spec = scaled_spec(deployment, **changes)
        assert spec.wanted is not None
        wanted = replace(
            spec.wanted,
            region="atl1",
            vpc_uuid="997615ce-132d-4bae-9270-9ee21b395e5d",
            asked_accelerator="gpu-mi300x1-192gb",
            workload_config=f'{{"slots":{spec.slots}}}',
        )
        return replace(spec, wanted=wanted, driver="cloud")

    async def _get(self, endpoint: Endpoint, path: str) -> int:
        assert endpoint.auth_value is not None
        headers = {str(endpoint.auth_header): endpoint.auth_value.reveal()}
        # Nothing in the application waits, so callers in a loop would let nobody else run: no task, and on a machine
        # that is otherwise idle no thread either.
        await asyncio.sleep(0.001)
        return (await self.callers.get(f"{endpoint.base_url}/{path}", headers=headers)).status_code


class TestCloudCompute(ComputeContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[ComputeWorld]:
        world = CloudWorld(tmp_path)
        yield world
        await world.close()
