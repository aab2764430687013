"""What the tests on a real Ray cluster share: the driver over it, deployments of the smallest model, whole turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from headrace.app.dialects import speaking_chat
from headrace.domain.dedicated import Deployment
from headrace.domain.deployment import DeploymentSpec, Replica
from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Plan, Target
from headrace.domain.secret import Secret
from headrace.drivers.ambient import SystemClock, TimedIds
from headrace.drivers.compute.ray.client import ServeApi
from headrace.drivers.compute.ray.compute import RayCompute
from headrace.drivers.compute.ray.config import Naming, ServePolicy
from headrace.drivers.compute.ray.parts import RayParts
from headrace.drivers.engines.llamacpp_adapter import LlamaCppAdapter
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.ports.fleet import Fleet
from headrace.services.fleet import TargetFleet
from headrace.services.turn import run_turn
from tests.fakes.deployed import a_deployed_target, a_deployment, a_wanted, spec_of
from tests.fakes.nouns import a_call
from tests.fakes.turn_world import FakeSink, World
from tests.ray.cluster import RayCluster

MEMORY_BYTES = 560 * 1024 * 1024
POLICY = ServePolicy(
    drain_seconds=300.0, health_period_seconds=1.0, health_timeout_seconds=5.0, up_seconds=0.0, down_seconds=1.0
)


def driver(
    cluster: RayCluster, prefix: str = "headrace", on_change: Callable[[Replica], None] | None = None
) -> RayCompute:
    """The driver as the product builds it, over the cluster of the test."""
    policy = replace(POLICY, http_port=cluster.ports["http"])
    serve, clock = ServeApi(cluster.dashboard), SystemClock()
    parts = RayParts(serve, clock, Naming(prefix), lambda each: Secret(f"secret of {each}"), policy)
    return RayCompute(replace(parts, on_change=on_change))


def a_ray_deployment(deployment_id: str, least: int, most: int, slots: int = 4, idle_seconds: int = 600) -> Deployment:
    """A deployment of the smallest model on CPUs."""
    wanted = a_wanted(driver="ray", engine="llamacpp", accelerator="cpu", gpus=0, slots=slots, wait_seconds=120)
    wanted = replace(wanted, name=deployment_id, min_scale=least, max_scale=most, idle_seconds=idle_seconds)
    return a_deployment(wanted, deployment_id)


def ray_spec(deployment: Deployment, weights: Path) -> DeploymentSpec:
    """What the driver is told; the engine's process is known by the deployment's id."""
    spec = spec_of(deployment)
    return replace(spec, weights=(weights,), memory_bytes=MEMORY_BYTES, model_id=deployment.id)


def engines(deployment: str) -> set[int]:
    """The engine processes of a deployment on this machine, as the operating system says."""
    found: set[int] = set()
    for each in psutil.process_iter():
        with suppress(psutil.Error):
            words = each.cmdline()
            if "--alias" in words and deployment in words and not any(word.endswith("warden.py") for word in words):
                found.add(each.pid)
    return found


@dataclass
class Stream:
    """One caller's streamed request, and how it ended; times are of the monotonic clock."""

    sink: FakeSink
    began: float
    first_byte: float | None = None
    ended: float | None = None
    error: HeadraceError | None = None
    task: asyncio.Task[None] | None = None

    @property
    def outcome(self) -> str:
        """In one word."""
        if self.error is None:
            return "whole"
        return "broken, reported" if self.first_byte is not None else "lost"

    @property
    def attempts(self) -> int:
        """On how many replicas it was tried."""
        return int(self.sink.headers.get("x-headrace-attempts", "0"))


class TimedSink(FakeSink):
    """A caller's end that notes when content came first."""

    def __init__(self) -> None:
        super().__init__([])
        self.first = asyncio.Event()
        self.first_byte: float | None = None

    async def write(self, block: bytes) -> None:
        if not block.startswith(b":") and self.first_byte is None:
            self.first_byte = time.monotonic()
            self.first.set()
        await super().write(block)


@dataclass
class Callers:
    """Callers of one deployment, each by a whole turn over the real transport."""

    fleet: Fleet
    transport: Http1Transport
    target: Target
    streams: list[Stream] = field(default_factory=list[Stream])

    @classmethod
    def of(cls, compute: RayCompute, transport: Http1Transport, deployment: Deployment) -> Callers:
        """Return callers that go through the product's fleet."""
        return cls(TargetFleet(compute), transport, a_deployed_target(deployment))

    def stream(self, prompt: str, tokens: int) -> Stream:
        """Begin one streamed request."""
        sink = TimedSink()
        found = Stream(sink, time.monotonic())
        self.streams.append(found)
        found.task = asyncio.get_running_loop().create_task(self._turn(found, sink, prompt, tokens))
        return found

    async def _turn(self, stream: Stream, sink: TimedSink, prompt: str, tokens: int) -> None:
        world = World()
        adapter = speaking_chat(LlamaCppAdapter(TimedIds(SystemClock())), keeps_form=True)
        parts = replace(
            world.parts,
            fleet=self.fleet,
            transport=self.transport,
            adapters={self.target.adapter: adapter},
            clock=SystemClock(),
        )
        call = a_call(messages=[{"role": "user", "content": prompt}], max_tokens=tokens, stream=True)
        try:
            await run_turn(parts, call, Plan("one", (self.target,)), sink)
        except HeadraceError as error:
            stream.error = error
        finally:
            stream.first_byte, stream.ended = sink.first_byte, time.monotonic()
