"""Fitness: whether a model as one provider serves it can serve a call at all, and the error that says why not; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from headrace.domain.access import Caller
from headrace.domain.call import Call, Operation
from headrace.domain.catalog import Capability, Listed, Model, ModelKind
from headrace.domain.errors import CallerError, Forbidden, InvalidRequest, NotFound, PaymentRequired
from headrace.domain.plan import Target
from headrace.domain.price import PriceVersion
from headrace.domain.snapshot import Snapshot

_KINDS: Mapping[Operation, ModelKind] = {
    Operation.CHAT: ModelKind.CHAT,
    Operation.COMPLETIONS: ModelKind.CHAT,
    Operation.EMBEDDINGS: ModelKind.EMBEDDING,
    Operation.RERANK: ModelKind.RERANK,
    Operation.IMAGES: ModelKind.IMAGE,
    Operation.SPEECH: ModelKind.SPEECH,
}
_MEDIA = frozenset({Capability.IMAGE_INPUT, Capability.AUDIO_INPUT, Capability.FILE_INPUT})
# Escaped text has up to about 12 bytes per token: a prompt beyond 16 surely does not fit, others the upstream judges.
MOST_BYTES_PER_TOKEN = 16


def targets_of(entry: Listed, snapshot: Snapshot, reason: str, overflow_of: str | None = None) -> list[Target]:
    """Return the targets of a model that can serve: one for each credential of its provider, or one that needs none."""
    model = entry.model
    price = cast("PriceVersion", entry.price)
    deployment = _deployment_id(model)
    provider = snapshot.providers[model.provider]
    credentials = provider.credentials or (None,)
    return [Target(model, provider, price, deployment, reason, each, overflow_of) for each in credentials]


def _deployment_id(model: Model) -> str | None:
    """Return the id of what runs it on our own hardware: an embedded model is a deployment under its own name."""
    if model.deployment is not None:
        return model.deployment.id
    return model.id if model.local is not None else None


def models_of(name: str, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the models that a name stands for: itself, or the chain of an alias."""
    if name in snapshot.models or name not in snapshot.aliases:
        return (name,)
    return snapshot.aliases[name].chain


def problem_of(entry: Listed, call: Call) -> CallerError | None:
    """Return why a model, as one provider serves it, cannot serve the call, or None when it can."""
    model = entry.model
    if _KINDS[call.operation] is not model.kind:
        return InvalidRequest(
            f'"{model.id}" is a model for {model.kind.value}, not for {call.operation.value}.',
            code="wrong_model_kind",
            param="model",
        )
    if entry.price is None:
        return PaymentRequired(
            f'"{model.id}" has no price in force, so it is not routable. '
            f"{entry.availability.reason} {entry.availability.fix}".rstrip(),
            code="model_unpriced",
            param="model",
        )
    if not entry.availability.available:
        return NotFound(
            f'"{model.id}" is in the catalog but not callable: {entry.availability.reason} {entry.availability.fix}',
            code="model_unavailable",
            param="model",
        )
    return _unfit(entry, call)


def _unfit(entry: Listed, call: Call) -> CallerError | None:
    model, envelope = entry.model, call.envelope
    missing = envelope.needs - model.capabilities - model.best_effort
    if missing:
        names = ", ".join(sorted(need.value for need in missing))
        return InvalidRequest(f'"{model.id}" cannot do what this request needs: {names}.', code="unsupported_by_model")
    cap = envelope.output_cap
    if cap is not None and cap > model.max_output_tokens:
        return InvalidRequest(
            f'"{model.id}" writes at most {model.max_output_tokens} tokens; the request asks for up to {cap}.',
            code="output_cap_too_large",
            param="max_completion_tokens" if "max_completion_tokens" in call.body else "max_tokens",
        )
    return _too_long(entry, call)


def _too_long(entry: Listed, call: Call) -> CallerError | None:
    model, envelope = entry.model, call.envelope
    least_tokens = envelope.body_bytes // MOST_BYTES_PER_TOKEN
    if call.operation is not Operation.CHAT or envelope.needs & _MEDIA or least_tokens <= model.context_length:
        return None
    return InvalidRequest(
        f'"{model.id}" reads at most {model.context_length} tokens; the request has {envelope.body_bytes} bytes, which'
        f" are at least {least_tokens} tokens.",
        code="context_length_exceeded",
        param="messages",
    )


def may_serve(caller: Caller, model_id: str, overflow_of: str | None) -> bool:
    """Whether a caller may be served by a model: also where it helps out the deployment whose token the caller has."""
    return caller.may_call(model_id) or (overflow_of is not None and overflow_of == caller.deployment)


def forbidden(call: Call, model_id: str) -> Forbidden:
    """Return the error for a model that the caller's key may not call."""
    return Forbidden(
        f'The key "{call.caller.key_name}" may not call "{model_id}".', code="model_forbidden", param="model"
    )
