"""Shapes of deployments in the published description: types that only describe; dedicated_json writes the replies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.domain.dedicated import DeploymentStatus, ScalingMetric, WhenAsleep
from headrace.wire.openapi_amounts import Nano, Usd
from headrace.wire.openapi_control import Label, ListLinks, ListMeta, Time

DeploymentName = Annotated[
    str, Meta(pattern="^[a-zA-Z0-9_-]{1,255}$", description="Callers write it as the model; it never changes.")
]
Replicas = Annotated[int, Meta(ge=0, le=1000, description="A number of replicas; min_scale 0 lets it sleep.")]
MostReplicas = Annotated[int, Meta(ge=1, le=1000, description="A number of replicas.")]
Slots = Annotated[int, Meta(ge=1, le=1024, description="Requests that one replica answers at once.")]
Context = Annotated[int, Meta(ge=128, description="Tokens of one request, prompt and answer.")]
IdleSeconds = Annotated[int, Meta(ge=0, description="Without a request for so long it sleeps; 0: never.")]
WaitSeconds = Annotated[int, Meta(ge=0, le=3600, description="How long a request waits for a replica.")]
Gpus = Annotated[int, Meta(ge=0, description="Accelerators of one replica; 0 on a processor.")]
Slug = Annotated[str, Meta(description="An accelerator's slug, or a cloud's name for a machine: gpu-h100x8-640gb.")]
Workload = Annotated[dict[str, Any], Meta(description="Kept and shown as it came.")]


class DeploymentTarget(Struct, kw_only=True, forbid_unknown_fields=True):
    """What scaling holds: requests in flight for each replica, or milliseconds to the first token."""

    metric: ScalingMetric
    value: Annotated[int, Meta(ge=1, le=3_600_000)]


class DeploymentOverflow(Struct, kw_only=True, forbid_unknown_fields=True):
    """The model that takes what the deployment cannot, from so many waiting requests for each replica on."""

    model: str
    limit: Annotated[int, Meta(ge=0, le=1_000_000)]


class DeploymentVpc(Struct, kw_only=True, forbid_unknown_fields=True):
    """The network that a cloud's driver uses."""

    uuid: str


class DeploymentAccelerators(Struct, kw_only=True):
    """On what replicas run and how many there are; `scale` shows the most."""

    accelerator_slug: Slug
    scale: MostReplicas
    type: Literal["prefill_decode"]
    status: Literal["new", "provisioning", "active"]
    min_scale: Replicas
    max_scale: MostReplicas
    gpus: Gpus


class DeployedModel(Struct, kw_only=True):
    """The one model of a deployment, everything filled in."""

    model_id: Annotated[str, Meta(description="The id of the model within its deployment.")]
    model_slug: Annotated[str, Meta(description="The public name where the provider is named, else the catalogue's.")]
    model: Annotated[str, Meta(description="The catalogue's id.")]
    model_provider: str
    provider_model_id: str
    workload_config: Workload
    accelerators: Annotated[list[DeploymentAccelerators], Meta(min_length=1, max_length=1)]
    driver: str
    engine: str
    slots: Slots
    context_length: Context
    target: DeploymentTarget | None
    idle_seconds: IdleSeconds
    overflow: DeploymentOverflow | None
    when_asleep: WhenAsleep
    wait_seconds: WaitSeconds


class DeploymentSpecShape(Struct, kw_only=True):
    """What is wanted of a deployment."""

    version: int
    name: DeploymentName
    region: str
    vpc: DeploymentVpc
    enable_public_endpoint: bool
    model_deployments: Annotated[list[DeployedModel], Meta(min_length=1, max_length=1)]


class PendingDeploymentSpec(DeploymentSpecShape, kw_only=True):
    """What is being rolled out."""

    id: str
    status: Literal["provisioning", "updating"]
    created_at: Time
    updated_at: Time


class DeploymentEndpoints(Struct, kw_only=True):
    """Where it is reached: clients put a scheme before a name and `/v1` behind; `base_url` is whole."""

    public_endpoint_fqdn: str
    private_endpoint_fqdn: str
    base_url: str


class DeploymentPrice(Struct, kw_only=True):
    """What one replica costs an hour, by which dated price."""

    per_replica_hour_usd: Usd
    per_replica_hour_nano_usd: Nano
    source: str


class DedicatedInference(Struct, kw_only=True):
    """A deployment; `reason` says why it is as it is, `retry_at` when it is tried again."""

    id: str
    name: DeploymentName
    region: str
    vpc_uuid: str
    status: DeploymentStatus
    reason: str | None
    retry_at: Time | None
    created_at: Time
    updated_at: Time
    team: str
    endpoints: DeploymentEndpoints
    spec: DeploymentSpecShape
    pending_deployment_spec: PendingDeploymentSpec | None
    price: DeploymentPrice


class DeploymentToken(Struct, kw_only=True):
    """A token that reaches one deployment; `value` is there in the reply that makes it."""

    id: str
    name: Label
    created_at: Time
    is_managed: Annotated[bool, Meta(description="Whether it came with the deployment.")]
    value: str | UnsetType = UNSET


class DeploymentReply(Struct, kw_only=True):
    """One deployment."""

    dedicated_inference: DedicatedInference


class MadeDeployment(Struct, kw_only=True):
    """A new deployment with its first token."""

    dedicated_inference: DedicatedInference
    token: DeploymentToken


class DeploymentList(Struct, kw_only=True):
    """A page of the deployments."""

    dedicated_inferences: list[DedicatedInference]
    meta: ListMeta
    links: ListLinks


class DeploymentTokenReply(Struct, kw_only=True):
    """One new token."""

    token: DeploymentToken


class DeploymentTokenList(Struct, kw_only=True):
    """A page of the tokens."""

    tokens: list[DeploymentToken]
    meta: ListMeta
    links: ListLinks


class UsedAccelerator(Struct, kw_only=True):
    """A replica, as the accelerators that it has."""

    id: str
    name: str
    slug: str
    role: str
    status: Literal["provisioning", "active", "deleting", "error"]
    created_at: Time
    ready_at: Time | None
    ended_at: Time | None
    gpus: Gpus
    pid: int | None
    node: str | None
    reason: str | None


class UsedAcceleratorList(Struct, kw_only=True):
    """A page of the replicas."""

    accelerators: list[UsedAccelerator]
    meta: ListMeta
    links: ListLinks


class DeploymentCa(Struct, kw_only=True):
    """The authority that clients must trust."""

    cert: Annotated[str, Meta(description="A PEM certificate in Base64.")]


class DeploymentSize(Struct, kw_only=True):
    """A machine and its price in force."""

    gpu_slug: str
    price_per_hour: Annotated[str, Meta(description="Dollars.")]
    region: str
    currency: str
    accelerator: str
    gpus: Gpus
    memory_gb: int
    billing: str
    effective: str
    source: str


class DeploymentSizes(Struct, kw_only=True):
    """What can be had and for how much."""

    enabled_regions: list[str]
    sizes: list[DeploymentSize]


class GpuModelConfig(Struct, kw_only=True):
    """A model and the machines that hold it alone."""

    model_slug: str
    model_name: str
    gpu_slugs: list[str]
    is_gated_model: bool
    model: Annotated[str, Meta(description="The catalogue's id.")]


class GpuModelConfigs(Struct, kw_only=True):
    """Which machines hold which model."""

    gpu_model_configs: list[GpuModelConfig]


class DeploymentFit(Struct, kw_only=True):
    """How a model fits: what needs memory, and the sentence that says so."""

    fits: bool
    gpus: Gpus
    accelerator: str
    weight_bytes: int
    cache_bytes: int
    overhead_bytes: int
    usable_bytes_per_gpu: int
    context_length: Context
    slots: Slots
    sentence: str


class TriedDeployment(Struct, kw_only=True):
    """What a draft comes to; nothing was made."""

    spec: DeploymentSpecShape
    fit: DeploymentFit
    price: DeploymentPrice
    least_per_hour_usd: Usd
    least_per_hour_nano_usd: Nano
    most_per_hour_usd: Usd
    most_per_hour_nano_usd: Nano


class AcceleratorsBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """On what replicas run; `scale`, or both bounds, or one bound with `scale` as the other."""

    accelerator_slug: Slug | UnsetType = UNSET
    scale: MostReplicas | UnsetType | None = UNSET
    min_scale: Replicas | UnsetType | None = UNSET
    max_scale: MostReplicas | UnsetType | None = UNSET
    gpus: Gpus | UnsetType | None = UNSET
    type: Literal["prefill_decode"] | UnsetType = UNSET
    status: str | UnsetType | None = UNSET


class DeployedModelBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """The one model of a deployment: `model_slug` is its public name or the catalogue's id, as `model` is."""

    accelerators: Annotated[list[AcceleratorsBody], Meta(min_length=1, max_length=1)] | UnsetType = UNSET
    model_slug: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    model_id: str | UnsetType = UNSET
    model_provider: str | UnsetType = UNSET
    provider_model_id: str | UnsetType = UNSET
    workload_config: Workload | UnsetType | None = UNSET
    driver: str | UnsetType = UNSET
    engine: str | UnsetType = UNSET
    slots: Slots | UnsetType | None = UNSET
    context_length: Context | UnsetType | None = UNSET
    target: DeploymentTarget | UnsetType | None = UNSET
    idle_seconds: IdleSeconds | UnsetType | None = UNSET
    overflow: DeploymentOverflow | UnsetType | None = UNSET
    when_asleep: WhenAsleep | UnsetType | None = UNSET
    wait_seconds: WaitSeconds | UnsetType | None = UNSET


class DeploymentSpecBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is wanted; a change leaves as it is what is left out."""

    name: DeploymentName | UnsetType = UNSET
    model_deployments: Annotated[list[DeployedModelBody], Meta(min_length=1, max_length=1)] | UnsetType = UNSET
    version: int | UnsetType = UNSET
    region: str | UnsetType = UNSET
    vpc: DeploymentVpc | UnsetType | None = UNSET
    enable_public_endpoint: bool | UnsetType | None = UNSET


class AccessTokensBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Tokens for the sources of models: sealed, never shown."""

    hugging_face_token: str | UnsetType | None = UNSET


class DeploymentBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A deployment to be made, and the team that pays."""

    spec: DeploymentSpecBody
    access_tokens: AccessTokensBody | UnsetType | None = UNSET
    team: str | UnsetType | None = UNSET


class DeploymentChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a deployment is to be another."""

    spec: DeploymentSpecBody | UnsetType = UNSET
    access_tokens: AccessTokensBody | UnsetType | None = UNSET


class DeploymentTokenBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A token to be made."""

    name: Label


class DeploymentQuery(Struct, kw_only=True):
    """Which page is shown, of which deployments."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    per_page: Annotated[int, Meta(ge=1, le=200)] = 20
    region: str | UnsetType = UNSET
    name: str | UnsetType = UNSET


class TokenPageQuery(Struct, kw_only=True):
    """Which page is shown."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    per_page: Annotated[int, Meta(ge=1, le=200)] = 20


class AcceleratorQuery(TokenPageQuery, kw_only=True):
    """Which page is shown, of which accelerators."""

    slug: str | UnsetType = UNSET


class LogQuery(Struct, kw_only=True):
    """How many lines are shown, of which replica."""

    lines: Annotated[int, Meta(ge=1, le=5000)] = 100
    replica: str | UnsetType = UNSET
