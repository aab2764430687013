"""The cloud driver over a cloud in memory, step by step with a clock that the test moves; no socket."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2

from headrace.domain.dedicated import Wanted
from headrace.domain.deployment import DeploymentSpec, Replica
from headrace.drivers.compute.cloud.client import CloudAccess, CloudClient
from headrace.drivers.compute.cloud.compute import CloudCompute
from headrace.drivers.compute.cloud.notes import CloudNotes
from headrace.drivers.compute.cloud.parts import CloudParts, CloudPolicy
from headrace.testing.clock import FakeClock
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.dedicated_api import BASE, TOKEN, DedicatedApi
from tests.fakes.deployed import a_deployment, spec_of

DEPLOYMENT = "dep-one"
NAME = "headrace-home1-dep-one"
VPC = "997615ce-132d-4bae-9270-9ee21b395e5d"
POLICY = CloudPolicy(busy_seconds=2.0, poll_seconds=15.0, backoff_seconds=300.0, remove_seconds=0.2)


def spec(**wanted: Any) -> DeploymentSpec:
    """A deployment of a published model; `wanted` changes what its operator asks for."""
    base = Wanted(
        name="prod-llm",
        model="qwen2.5-14b-instruct",
        driver="cloud",
        engine="vllm",
        accelerator="mi300x",
        gpus=1,
        min_scale=0,
        max_scale=4,
        slots=8,
        context_length=8192,
        region="atl1",
        vpc_uuid=VPC,
        asked_accelerator="gpu-mi300x1-192gb",
    )
    deployment = a_deployment(replace(base, **wanted), DEPLOYMENT)
    return spec_of(deployment, memory_bytes=0, source="Qwen/Qwen2.5-14B-Instruct", accelerator="mi300x", gpus=1)


class CloudBench:
    """One driver; `again` makes the next process's, over the same cloud and the same store."""

    def __init__(self, home: Path) -> None:
        self.clock = FakeClock()
        self.api = DedicatedApi(self.clock)
        self.blobs = MemoryBlobs(self.clock)
        self.token_file = home / "token"
        self.token_file.write_text(f"{TOKEN}\n")
        self.seen: list[Replica] = []
        self.compute = self.again()

    def again(self, access: CloudAccess | None = None, policy: CloudPolicy = POLICY) -> CloudCompute:
        transport = httpx2.ASGITransport(self.api.app)
        client = CloudClient(access or CloudAccess(BASE, self.token_file), self.clock, transport)
        self.compute = CloudCompute(
            CloudParts(client, CloudNotes(self.blobs), self.clock, policy, self.seen.append), "home1"
        )
        return self.compute

    async def tick(self, seconds: float = 2.0) -> None:
        """Let time pass and the driver take the steps that are due."""
        self.clock.advance(seconds)
        await self.compute.tick()

    async def up(self, replicas: int = 1, **wanted: Any) -> None:
        """Bring the deployment to so many ready replicas."""
        await self.compute.apply(spec(**wanted))
        await self.compute.scale(DEPLOYMENT, replicas)
        for _ in range(4):
            await self.tick()
        assert len(self.compute.ready(DEPLOYMENT)) == replicas
