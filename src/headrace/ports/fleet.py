"""Ports of running engines: weights, engine, supervisor, compute driver and the fleet of endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from headrace.domain.catalog import WeightsFile
from headrace.domain.dedicated import Standing
from headrace.domain.deployment import DeploymentSpec, LaunchPlan, OwnerLoss, Replica
from headrace.domain.picking import ReadyReplica as ReadyReplica
from headrace.domain.plan import Endpoint, Target


def no_share() -> int:
    """Return the share of a request that no replica was kept for."""
    return 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send one request to one endpoint; `release` it when the exchange is over.

    `share_micros` is the request's share of its replica's time until now: each moment is divided evenly among the
    requests that the replica then had. `deployment` is the id of the one that the replica belongs to, set by the fleet
    where replicas are reported on, and `nano_per_hour` what that replica's time is paid with, None where no run of it
    is known.
    """

    endpoint: Endpoint
    release: Callable[[], None]
    share_micros: Callable[[], int] = no_share
    deployment: str | None = None
    nano_per_hour: int | None = None


class Fleet(Protocol):
    """Endpoints of every target, ready to be sent to."""

    async def acquire(self, target: Target, wait_seconds: float, prefix: bytes = b"") -> Lease:
        """Return an endpoint, waking a sleeping deployment and waiting for it at most so long.

        Requests of the same `prefix` go to the same replica while its load and health allow it. Raises EngineFailed
        when none becomes ready in time, DeploymentAsleep when this deployment's requests do not wait for one.
        """
        ...

    def report(self, lease: Lease, *, is_well: bool) -> None:
        """Say whether the endpoint answered; one that does not is left out for a while."""
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

    async def remove(self, file: WeightsFile) -> int:
        """Delete what is here of a file, whole or begun, and return the bytes that become free; raises Conflict."""
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


@runtime_checkable
class CheckedEngine(Protocol):
    """An engine that is not part of the package: whether it can run here at all is asked first."""

    async def check(self) -> None:
        """Raise DriverUnusable that says what to install, or which version."""
        ...


@dataclass(frozen=True, slots=True)
class Running:
    """A supervised process: where it listens and who it is.

    `started_at_micros` is when the engine began, as the operating system says; `ready_at_micros` when it gave its first
    real token, None before. `plan` tells its launch plan from another, `devices` are the accelerators that it has.
    """

    replica: str
    deployment: str
    pid: int
    endpoint: Endpoint
    on_owner_loss: OwnerLoss
    started_at_micros: int = 0
    ready_at_micros: int | None = None
    plan: str = ""
    devices: tuple[int, ...] = ()


class Supervisor(Protocol):
    """Owns child processes: starts, watches, adopts and stops them."""

    async def start(self, plan: LaunchPlan) -> Running:
        """Start the process with a fresh port and secret; raises EngineFailed when it exits at once."""
        ...

    def adopt(self) -> Sequence[Running]:
        """Take over what an earlier process left running under OwnerLoss.KEEP; ends what it must not."""
        ...

    def lost(self) -> Sequence[Replica]:
        """Return the replicas that `adopt` found ended, or ended itself, with when and how; once."""
        ...

    def note_ready(self, running: Running, at_micros: int) -> None:
        """Remember, for a later process too, when it gave its first real token."""
        ...

    async def exited(self, running: Running) -> str:
        """Return, when the process has ended, how it ended."""
        ...

    async def stop(self, running: Running, grace_seconds: float) -> None:
        """Stop the process: politely, then by force; returns when it is gone."""
        ...

    def ended_at(self, running: Running) -> int:
        """Return when a process that has ended was gone, in microseconds since 1970; once."""
        ...

    def lost_its_port(self, running: Running) -> bool:
        """Whether another process listens where this one, which has ended, was to listen."""
        ...

    def tail(self, running: Running) -> str:
        """Return the last line that the process wrote, or an empty text."""
        ...


class Compute(Protocol):
    """A compute driver: turns deployments into running replicas; every step may be repeated.

    `scales_itself` says that the cluster decides how many replicas run, between the bounds of the specification.
    """

    scales_itself: bool

    async def apply(self, spec: DeploymentSpec) -> None:
        """Make the deployment known, or change it to this, replica by replica and without dropping a request.

        Raises DriverUnusable naming what to install or set, EngineFailed for what cannot run.
        """
        ...

    async def scale(self, deployment: str, replicas: int) -> None:
        """Ask for so many replicas; more are started as room allows, fewer end when they have no request."""
        ...

    def observe(self) -> Sequence[Replica]:
        """Return all replicas as last seen."""
        ...

    def standing(self, deployment: str) -> Standing | None:
        """Return how a deployment stands now, from memory; None when it is not known."""
        ...

    def ready(self, deployment: str) -> Sequence[ReadyReplica]:
        """Return the replicas that can be sent to now, from memory."""
        ...

    def lease(self, deployment: str, replica: str) -> Lease | None:
        """Return the right to send one request to that replica, None when it cannot take one any more."""
        ...

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        """Return a ready replica's endpoint, starting one when there is none; raises EngineFailed."""
        ...

    def report(self, deployment: str, replica: str, *, is_well: bool) -> None:
        """Say whether a replica answered; a dead or silent one is ended and replaced within its deadline."""
        ...

    async def figures(self, deployment: str) -> Mapping[str, Mapping[str, float]]:
        """Return what each replica's engine says of its load and its cache; nothing where the driver cannot ask it."""
        ...

    async def logs(self, deployment: str, replica: str | None, lines: int) -> Mapping[str, Sequence[str]]:
        """Return the last lines of each replica's log, of those that ended too, the oldest first."""
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
