"""What the cloud answers, read into our words; tolerant of fields that are new, missing or null.

Shapes: dedicated inferences, accelerators, tokens and their pages.
Source: https://github.com/digitalocean/openapi, specification/resources/dedicated_inferences, and what the public
clients' tests show beyond it (both read 2026-11-28): states come in either letter case, a specification that is being
rolled out stands in `pending_deployment_spec`, where an accelerator without an id is `invalid` until it is assigned.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from msgspec import Struct

from headrace.domain.errors import EngineFailed
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.secret import Secret
from headrace.wire.json_strict import decode_trusted, is_object

T = TypeVar("T")
MOST_SAID_CHARS = 600
BAD = frozenset({"invalid", "error", "failed"})
# What fails while it grows may serve with what it has; only in these states nothing can.
NOT_SERVING = frozenset({"new", "provisioning", "deleting"})
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class CloudPlan:
    """What runs, or should run, at the cloud: the fields of the public specification that mean something to us."""

    model_slug: str
    accelerator_slug: str
    scale: int
    model_provider: str = ""
    provider_model_id: str = ""
    workload_config: JsonObject = field(default_factory=dict[str, JsonValue])
    accelerator_type: str = "prefill_decode"
    region: str = ""


@dataclass(frozen=True, slots=True)
class CloudInference:
    """A dedicated inference as the cloud shows it.

    `plan` is what is being rolled out, or what is in force; None where the cloud does not say. `endpoint` is its public
    address as it came. `problem` is why it cannot run, empty where nothing is said against it.
    """

    id: str
    name: str
    status: str
    plan: CloudPlan | None
    model_id: str
    endpoint: str
    problem: str


@dataclass(frozen=True, slots=True)
class CloudAccelerator:
    """One accelerator in use: a replica; times are None where the cloud does not say.

    The public contract does not know `ready_at`; a Headrace in the cloud's place says it.
    """

    id: str
    status: str
    created_at_micros: int | None
    ready_at_micros: int | None = None


@dataclass(frozen=True, slots=True)
class CloudToken:
    """A token of a dedicated inference's endpoint; the cloud shows its id ever after, its value once."""

    id: str
    value: Secret


class AcceleratorShape(Struct):
    """An accelerator group of a specification."""

    accelerator_slug: str | None = None
    accelerator_id: str | None = None
    scale: int | None = None
    type: str | None = None
    state: str | None = None
    status: str | None = None


class ModelShape(Struct):
    """A model deployment of a specification."""

    model_id: str | None = None
    model_slug: str | None = None
    model_provider: str | None = None
    provider_model_id: str | None = None
    workload_config: msgspec.Raw = msgspec.Raw(b"null")
    accelerators: tuple[AcceleratorShape, ...] | None = None


class SpecShape(Struct):
    """A specification."""

    region: str | None = None
    model_deployments: tuple[ModelShape, ...] | None = None


class EndpointsShape(Struct):
    """Where a dedicated inference answers."""

    public_endpoint_fqdn: str | None = None


class InferenceShape(Struct):
    """A dedicated inference."""

    id: str
    name: str | None = None
    status: str | None = None
    region: str | None = None
    spec: SpecShape | None = None
    pending_deployment_spec: SpecShape | None = None
    endpoints: EndpointsShape | None = None
    reason: str | None = None


class InferenceReply(Struct):
    """The reply to one dedicated inference's requests; the first token's value comes with its creation only."""

    dedicated_inference: InferenceShape
    token: TokenShape | None = None


class TokenShape(Struct):
    """A token of a dedicated inference."""

    id: str | None = None
    value: str | None = None


class TokenReply(Struct):
    """The reply to a new token."""

    token: TokenShape


class TokensReply(Struct):
    """A page of tokens, without their values."""

    tokens: tuple[TokenShape, ...] | None = None
    links: Links | None = None


class PageLinks(Struct):
    """The neighbours of a page."""

    next: str | None = None


class Links(Struct):
    """The links of a list."""

    pages: PageLinks | None = None


class InferencesReply(Struct):
    """A page of dedicated inferences."""

    dedicated_inferences: tuple[InferenceShape, ...] | None = None
    links: Links | None = None


class RunningShape(Struct):
    """An accelerator in use."""

    id: str
    status: str | None = None
    created_at: str | None = None
    ready_at: str | None = None
    ended_at: str | None = None


class AcceleratorsReply(Struct):
    """A page of accelerators in use."""

    accelerators: tuple[RunningShape, ...] | None = None
    links: Links | None = None


class RefusalReply(Struct):
    """An error of the control plane."""

    message: str | None = None


INFERENCE = msgspec.json.Decoder(InferenceReply)
INFERENCES = msgspec.json.Decoder(InferencesReply)
ACCELERATORS = msgspec.json.Decoder(AcceleratorsReply)
TOKEN = msgspec.json.Decoder(TokenReply)
TOKENS = msgspec.json.Decoder(TokensReply)
_REFUSAL = msgspec.json.Decoder(RefusalReply)


def read_reply(body: bytes, reply: msgspec.json.Decoder[T], host: str) -> T:
    """Return a reply in its shape; raises EngineFailed saying that the host does not speak the contract."""
    try:
        return reply.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineFailed(
            f"{host} does not answer as the dedicated-inference contract says ({error}). Check the driver's address."
        ) from error


def read_refusal(body: bytes) -> str:
    """Return what an error body says, or nothing."""
    try:
        return (_REFUSAL.decode(body).message or "")[:MOST_SAID_CHARS]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def inference_of(shape: InferenceShape) -> CloudInference:
    """Return a dedicated inference in our words."""
    status = (shape.status or "").lower()
    rolled = shape.pending_deployment_spec or shape.spec
    models = [each for spec in (shape.spec, shape.pending_deployment_spec) if spec for each in _models(spec)]
    return CloudInference(
        id=shape.id,
        name=shape.name or "",
        status=status,
        plan=None if rolled is None else _plan(rolled, shape.region or ""),
        model_id=next((each.model_id for each in models if each.model_id), ""),
        endpoint=(shape.endpoints and shape.endpoints.public_endpoint_fqdn) or "",
        problem=_problem(shape, status, models),
    )


def token_of(shape: TokenShape | None) -> CloudToken | None:
    """Return a token that the cloud tells the value of, None for any other."""
    return None if shape is None or not shape.value else CloudToken(shape.id or "", Secret(shape.value))


def accelerator_of(shape: RunningShape) -> CloudAccelerator:
    """Return an accelerator in use in our words."""
    return CloudAccelerator(shape.id, (shape.status or "").lower(), _micros(shape.created_at), _micros(shape.ready_at))


def _models(spec: SpecShape) -> tuple[ModelShape, ...]:
    return spec.model_deployments or ()


def _plan(spec: SpecShape, region: str) -> CloudPlan | None:
    """The first model's first accelerators: we ask for one of each."""
    model = next(iter(_models(spec)), None)
    group = next(iter(model.accelerators or ()), None) if model is not None else None
    if model is None or group is None:
        return None
    workload = decode_trusted(bytes(model.workload_config))
    return CloudPlan(
        model_slug=model.model_slug or "",
        accelerator_slug=group.accelerator_slug or "",
        scale=group.scale or 0,
        model_provider=model.model_provider or "",
        provider_model_id=model.provider_model_id or "",
        workload_config=workload if is_object(workload) else {},
        accelerator_type=group.type or "prefill_decode",
        region=region or spec.region or "",
    )


def _problem(shape: InferenceShape, status: str, models: list[ModelShape]) -> str:
    if status in BAD:
        said = f": {shape.reason.rstrip('.')}" if shape.reason else ""
        return f'the cloud says "{status}"{said}; it may be out of capacity in the region "{shape.region or ""}"'
    for group in (group for model in models for group in model.accelerators or ()):
        state = (group.state or group.status or "").lower()
        if group.accelerator_id and state in BAD:
            return f'the cloud says that its accelerator {group.accelerator_slug} is "{state}"; it may be out of them'
    return ""


def _micros(moment: str | None) -> int | None:
    try:
        parsed = datetime.datetime.fromisoformat(moment or "")
    except ValueError:
        return None
    aware = parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=datetime.UTC)
    return (aware - _EPOCH) // _MICROSECOND
