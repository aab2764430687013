"""Resolving a name to a plan: pure, over one snapshot; what cannot serve is left out with the reason kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from headrace.domain.call import Call, Operation
from headrace.domain.catalog import Listed, ModelKind
from headrace.domain.errors import CallerError, Forbidden, HeadraceError, InvalidRequest, NotFound, PaymentRequired
from headrace.domain.names import did_you_mean
from headrace.domain.plan import Excluded, Plan, Target
from headrace.domain.price import PriceVersion
from headrace.domain.snapshot import Snapshot

_KINDS: Mapping[Operation, ModelKind] = {Operation.CHAT: ModelKind.CHAT, Operation.EMBEDDINGS: ModelKind.EMBEDDING}


def plan_call(call: Call, snapshot: Snapshot) -> Plan:
    """Return where the call may go; raises the error that explains why it can go nowhere."""
    name = call.envelope.model
    entries = snapshot.models.get(name)
    if entries is None:
        raise _unknown(name, call, snapshot)
    if not call.caller.may_call(name):
        raise Forbidden(
            f'The key "{call.caller.key_name}" may not call "{name}".', code="model_forbidden", param="model"
        )
    targets: list[Target] = []
    problems: list[CallerError] = []
    excluded: list[Excluded] = []
    for entry in entries:
        problem = _problem(entry, call)
        if problem is None:
            targets.append(_target(entry, snapshot))
        else:
            problems.append(problem)
            excluded.append(Excluded(entry.model.id, entry.model.provider, problem.code, problem.message))
    if not targets:
        raise problems[0]
    return Plan(name, tuple(targets), tuple(excluded))


def authorise(call: Call, target: Target) -> None:
    """Raise Forbidden unless the caller may be served by this concrete target; asked again at every attempt."""
    if not call.caller.may_call(target.model.id):
        raise Forbidden(
            f'The key "{call.caller.key_name}" may not call "{target.model.id}".', code="model_forbidden", param="model"
        )


def _target(entry: Listed, snapshot: Snapshot) -> Target:
    model = entry.model
    price = cast("PriceVersion", entry.price)
    deployment = model.id if model.local is not None else None
    return Target(model, snapshot.providers[model.provider], price, deployment, "named by the caller")


def _problem(entry: Listed, call: Call) -> CallerError | None:
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
    return None


def _unknown(name: str, call: Call, snapshot: Snapshot) -> HeadraceError:
    callable_names = [each for each in snapshot.models if call.caller.may_call(each)]
    hint = did_you_mean(name, callable_names)
    return NotFound(
        f'No model named "{name}".{f" {hint}" if hint else ""} GET /v1/models lists what this key can call.',
        code="model_not_found",
        param="model",
    )
