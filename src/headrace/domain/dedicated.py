"""Deployments as their operator asks for them: what is wanted, where it stands, and why; running is deployment's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# The name of the provider that stands for deployments in snapshots, receipts and usage.
DEDICATED = "dedicated"


class DeploymentStatus(StrEnum):
    """Where a deployment is in its life, in the words of the public contract."""

    NEW = "new"
    PROVISIONING = "provisioning"
    UPDATING = "updating"
    ACTIVE = "active"
    DELETING = "deleting"
    ERROR = "error"


class WhenAsleep(StrEnum):
    """What the first request to a deployment without a ready replica gets."""

    WAIT = "wait"
    OVERFLOW = "overflow"
    REFUSE = "refuse"


class ScalingMetric(StrEnum):
    """What the number of replicas follows."""

    QUEUE_DEPTH = "queue_depth"
    FIRST_TOKEN = "first_token_ms"  # noqa: S105 - the name of a metric


@dataclass(frozen=True, slots=True)
class ScaleTarget:
    """What scaling holds: requests in flight for each replica, or milliseconds to the first token."""

    metric: ScalingMetric
    value: int


@dataclass(frozen=True, slots=True)
class Overflow:
    """The model that takes what a deployment cannot, and from how many waiting requests per replica on."""

    model: str
    limit: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator asks for: one model on one kind of accelerator between two numbers of replicas.

    `model` is the catalogue's id of the model that is run. `accelerator` is an accelerator's slug of the catalogue and
    `asked_accelerator` the caller's word for it; `gpus` are those of one replica, 0 on a CPU. `slots` are requests that
    one replica answers at once, `context_length` the tokens of each. `wait_seconds` bounds the waiting for a replica.
    `served_model` is the name that its endpoint has for the model, the catalogue's id where it is empty. `region`,
    `vpc_uuid`, `model_provider`, `provider_model_id` and `workload_config` (JSON) are kept and shown as they came; only
    drivers of clouds read them.
    """

    name: str
    model: str
    driver: str
    engine: str
    accelerator: str
    gpus: int
    min_scale: int
    max_scale: int
    slots: int
    context_length: int
    idle_seconds: int = 600
    target: ScaleTarget | None = None
    overflow: Overflow | None = None
    when_asleep: WhenAsleep = WhenAsleep.WAIT
    wait_seconds: int = 120
    region: str = ""
    vpc_uuid: str = ""
    enable_public_endpoint: bool = True
    asked_accelerator: str = ""
    accelerator_type: str = "prefill_decode"
    model_provider: str = ""
    provider_model_id: str = ""
    workload_config: str = "{}"
    served_model: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as it is stored; times are microseconds since 1970 UTC.

    `wanted` is in force; `pending` is being rolled out in its place, None when nothing is. `model_deployment_id` is the
    public contract's id of the model within it. `reason` says why it is as it is, with what is tried next, and
    `retry_at_micros` when; both are the reconciler's. `nano_per_hour` is what one replica costs, by the price that was
    in force when it was last applied.
    """

    id: str
    account: str
    wanted: Wanted
    status: DeploymentStatus
    created_at_micros: int
    updated_at_micros: int
    model_deployment_id: str
    nano_per_hour: int
    price_source: str
    pending: Wanted | None = None
    reason: str = ""
    retry_at_micros: int | None = None
    sealed_model_token: bytes | None = None

    @property
    def name(self) -> str:
        """What callers put into `model`."""
        return self.wanted.name

    @property
    def goal(self) -> Wanted:
        """What should run: the pending specification, or the one in force."""
        return self.pending or self.wanted


@dataclass(frozen=True, slots=True)
class Standing:
    """How a deployment stands now, as planning reads it: replicas and the requests that they have or that wait.

    `wanted` is how many replicas are asked for now. `wake_seconds` is how long the last start from nothing took to a
    real token, None when there was none yet. `first_token_ms` is the median of the last answers, None without any.
    """

    wanted: int = 0
    ready: int = 0
    starting: int = 0
    in_flight: int = 0
    waiting: int = 0
    idle_seconds: float = 0.0
    first_token_ms: float | None = None
    wake_seconds: float | None = None
