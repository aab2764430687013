"""Ports of running engines: weights, engine, supervisor, compute driver and the fleet of endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headrace.domain.catalog import WeightsFile
from headrace.domain.deployment import DeploymentSpec, LaunchPlan, OwnerLoss, Replica
from headrace.domain.plan import Endpoint, Target


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send one request to one endpoint; `release` it when the exchange is over."""

    endpoint: Endpoint
    release: Callable[[], None]


class Fleet(Protocol):
    """Endpoints of every target, ready to be sent to."""

    async def acquire(self, target: Target, wait_seconds: float) -> Lease:
        """Return an endpoint, waking a sleeping deployment and waiting for it at most so long.

        Raises EngineFailed when none becomes ready in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long work has come; `total` is 0 when it is not known."""

    what: str
    done: int
    total: int
    unit: str


class Weights(Protocol):
    """The content-addressed store of weights."""

    def path(self, file: WeightsFile) -> Path | None:
        """Return where the verified file lies, or None when it is not here."""
        ...

    async def pull(self, file: WeightsFile, report: Callable[[Progress], None]) -> Path:
        """Fetch, verify and store a file; raises UpstreamUnavailable naming every source that failed."""
        ...


class Engine(Protocol):
    """A local model server as a pure launch plan plus its probes."""

    name: str

    def launch(self, spec: DeploymentSpec, replica: str) -> LaunchPlan:
        """Return how to start one replica; pure."""
        ...

    async def ready(self, endpoint: Endpoint) -> bool:
        """Whether the engine answers a real token now."""
        ...

    async def load(self, endpoint: Endpoint) -> Mapping[str, float]:
        """Return the engine's own load figures (running, waiting, cache use); empty when it has none."""
        ...


@dataclass(frozen=True, slots=True)
class Running:
    """A supervised process: where it listens and who it is."""

    replica: str
    deployment: str
    pid: int
    endpoint: Endpoint
    on_owner_loss: OwnerLoss


class Supervisor(Protocol):
    """Owns child processes: starts, watches, adopts and stops them."""

    async def start(self, plan: LaunchPlan) -> Running:
        """Start the process with a fresh port and secret; raises EngineFailed when it exits at once."""
        ...

    def adopt(self) -> Sequence[Running]:
        """Take over what an earlier process left running under OwnerLoss.KEEP; ends what it must not."""
        ...

    async def exited(self, running: Running) -> str:
        """Return, when the process has ended, how it ended."""
        ...

    async def stop(self, running: Running, grace_seconds: float) -> None:
        """Stop the process: politely, then by force; returns when it is gone."""
        ...

    def tail(self, running: Running) -> str:
        """Return the last line that the process wrote, or an empty text."""
        ...


class Compute(Protocol):
    """A compute driver: turns deployments into running replicas; every step may be repeated."""

    async def apply(self, spec: DeploymentSpec) -> None:
        """Make the deployment known, or change it to this."""
        ...

    def observe(self) -> Sequence[Replica]:
        """Return all replicas as last seen."""
        ...

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        """Return a ready replica's endpoint, starting one when there is none; raises EngineFailed."""
        ...

    async def remove(self, deployment: str) -> None:
        """Stop all replicas and forget the deployment."""
        ...

    async def close(self) -> None:
        """Stop what must not outlive this process."""
        ...


class Encoder(Protocol):
    """Texts to vectors on the CPU."""

    dimensions: int

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """Return one unit vector per text and the number of tokens read."""
        ...

    async def count(self, texts: Sequence[str]) -> int:
        """Return the number of tokens that would be read."""
        ...
