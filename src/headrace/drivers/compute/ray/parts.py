"""What the `ray` driver works with: the calls to a cluster, its pace, and what it is built from; does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from headrace.domain.deployment import Replica
from headrace.domain.json_value import JsonObject
from headrace.domain.plan import Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.compute.ray.cluster import Cluster
from headrace.drivers.compute.ray.config import Naming, ServePolicy
from headrace.ports.ambient import Clock


class Serve(Protocol):
    """The calls to a cluster; `ServeApi` makes them."""

    async def cluster(self) -> Cluster:
        """Return what Serve runs; raises DriverUnusable, EngineFailed."""
        ...

    async def put(self, config: JsonObject) -> None:
        """Make this the configuration of all applications; raises DriverUnusable, EngineFailed."""
        ...

    async def log(self, node: str, file: str, lines: int) -> bytes | None:
        """Return the end of a file in the Ray logs of a node, None where it is not there."""
        ...

    async def wake(self, endpoint: Endpoint, seconds: float) -> bool:
        """Ask an application for a sign of life and wait for it so long."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True)
class RayPace:
    """How often this driver looks and how long it waits, in seconds; `busy` is while something changes."""

    busy_seconds: float = 0.25
    settled_seconds: float = 1.0
    troubled_seconds: float = 2.0
    wake_seconds: float = 60.0
    rest_seconds: float = 5.0
    removal_seconds: float = 30.0
    retry_seconds: float = 60.0
    facts_seconds: float = 3.0


@dataclass(frozen=True, slots=True)
class RayParts:
    """What the driver works with: `secret_of` gives each deployment's secret, the same one after every restart."""

    serve: Serve
    clock: Clock
    naming: Naming
    secret_of: Callable[[str], Secret]
    policy: ServePolicy = field(default_factory=ServePolicy)
    pace: RayPace = field(default_factory=RayPace)
    on_change: Callable[[Replica], None] | None = None
