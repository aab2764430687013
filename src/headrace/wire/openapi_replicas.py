"""Shapes of what runs of a deployment: how it stands, what its engines say, what became of it, its logs."""

from __future__ import annotations

from msgspec import Struct


class EngineFigures(Struct, kw_only=True):
    """What the engine of one replica says of its load and its cache, by our words for it."""

    replica: str
    figures: dict[str, float]


class DeploymentStanding(Struct, kw_only=True):
    """How a deployment stands now: replicas, and the requests that they have or that wait."""

    wanted: int
    ready: int
    starting: int
    in_flight: int
    waiting: int
    idle_seconds: float
    first_token_ms: float | None
    wake_seconds: float | None
    engines: list[EngineFigures]


class EventOfDeployment(Struct, kw_only=True):
    """One change of a deployment: how it stands since then, and why."""

    at: str
    status: str
    wanted: int
    ready: int
    reason: str | None


class EventsOfDeployment(Struct, kw_only=True):
    """The last changes of a deployment since this server began, oldest first."""

    events: list[EventOfDeployment]


class ReplicaLog(Struct, kw_only=True):
    """The last lines of one replica."""

    replica: str
    lines: list[str]


class DeploymentLogs(Struct, kw_only=True):
    """The last lines of each replica, of those that ended too."""

    logs: list[ReplicaLog]
