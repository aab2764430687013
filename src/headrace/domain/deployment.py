"""Deployments: what should run, what a replica is, and what is seen of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class OwnerLoss(StrEnum):
    """What a replica does when the process that owns it dies."""

    STOP = "stop"
    KEEP = "keep"


class ReplicaState(StrEnum):
    """Where a replica is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeploymentSpec:
    """The desired running of one model by one engine.

    `weights` are the verified local files. An embedded model is a deployment of the `local` driver at scale 0:1.
    """

    id: str
    model_id: str
    engine: str
    driver: str
    weights: tuple[Path, ...]
    memory_bytes: int
    context_length: int
    slots: int
    min_replicas: int
    max_replicas: int
    idle_seconds: int
    on_owner_loss: OwnerLoss


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """How one replica's process is started: a pure function of a deployment.

    `argv` and `environment` may contain `{port}` and `{secret_file}`, filled in by the supervisor. `replica` and
    `deployment` identify it; `memory_bytes` is what it is expected to take.
    """

    deployment: str
    replica: str
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    memory_bytes: int
    on_owner_loss: OwnerLoss


@dataclass(frozen=True, slots=True)
class Replica:
    """A running (or starting, or failed) copy of a deployment as it was last observed."""

    id: str
    deployment: str
    state: ReplicaState
    base_url: str | None
    pid: int | None
    started_at_micros: int
    reason: str = ""
