"""Deployments: what should run, what a replica is, and what is seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from headrace.domain.dedicated import Wanted


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

    `weights` are the verified local files, `source` is what an engine fetches by itself where there are none: a model's
    public name, or a folder. An embedded model is a deployment of the `local` driver at scale 0:1. Each replica gets
    `gpus` whole accelerators of the kind `accelerator`, none on a CPU. `name` is what people call the deployment,
    the id where it is empty. `wanted` is what its operator asked for, None for an embedded model: drivers whose cluster
    scales by itself read its target, those of clouds its words of the public contract.
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
    source: str = ""
    accelerator: str = ""
    gpus: int = 0
    name: str = ""
    wanted: Wanted | None = None

    @property
    def called(self) -> str:
        """What people call it."""
        return self.name or self.id

    @property
    def is_scaled(self) -> bool:
        """Whether somebody says how many replicas run; else they start and end with demand, one at a time."""
        return self.wanted is not None


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """How one replica's process is started: a pure function of a deployment.

    `argv` and `environment` may contain `{port}`, `{secret_file}`, `{private_file}`, `{devices}` (the accelerators'
    numbers, with commas) and `{sharers}`, filled in by the supervisor; `environment` and `private_text`, of which that
    file is made, also `{secret}`. `replica` and `deployment` identify it; `memory_bytes` is what it is expected to take
    of the machine's memory, beside `gpus` whole accelerators. `base_path` is what the paths of the engine's API begin
    with, like /v1. `sharers` are the replicas that this machine's cores are divided among; another number makes no
    other plan, for none is worth a restart.
    """

    deployment: str
    replica: str
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    memory_bytes: int
    on_owner_loss: OwnerLoss
    gpus: int = 0
    devices: tuple[int, ...] = ()
    base_path: str = ""
    private_text: str = ""
    sharers: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Replica:
    """A running (or starting, or failed) copy of a deployment as it was last observed.

    `started_at_micros` is when its process began, as the operating system says where it can. `ready_at_micros` is when
    it gave its first real token and `ended_at_micros` when it was gone, None when it has not come to that. `node` is
    the machine it runs on, empty for this one. `is_current` says whether it runs as its deployment was last applied,
    None where its driver cannot tell.
    """

    id: str
    deployment: str
    state: ReplicaState
    base_url: str | None
    pid: int | None
    started_at_micros: int
    reason: str = ""
    ready_at_micros: int | None = None
    ended_at_micros: int | None = None
    node: str = ""
    is_current: bool | None = None
