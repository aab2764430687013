"""Resolving names to a plan: pure, over one snapshot; what cannot serve is left out with the reason kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from headrace.domain.call import Call, Operation
from headrace.domain.catalog import Capability, Listed, ModelKind
from headrace.domain.errors import (
    CallerError,
    Forbidden,
    HeadraceError,
    InvalidRequest,
    NotFound,
    PaymentRequired,
    UpstreamAuthFailed,
    UpstreamQuota,
    UpstreamRateLimited,
    UpstreamResting,
)
from headrace.domain.health import Resting
from headrace.domain.names import did_you_mean
from headrace.domain.plan import Excluded, Plan, Target
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


@dataclass(frozen=True, slots=True)
class _Candidate:
    model_id: str
    reason: str
    param: str = "model"


@dataclass(slots=True)
class _Gathered:
    targets: list[Target] = field(default_factory=list[Target])
    problems: list[CallerError] = field(default_factory=list[CallerError])
    excluded: list[Excluded] = field(default_factory=list[Excluded])

    def leave_out(self, model_id: str, provider: str, problem: CallerError) -> None:
        self.problems.append(problem)
        self.excluded.append(Excluded(model_id, provider, problem.code, problem.message))


def plan_call(call: Call, snapshot: Snapshot) -> Plan:
    """Return where the call may go; raises the error that explains why it can go nowhere.

    The order is: the model (or what the alias points at, then its fallbacks), then each of the call's own fallbacks.
    A caller who wants no substitute gets the first model only, from whichever provider serves it.
    """
    gathered = _Gathered()
    seen: set[str] = set()
    for candidate in _candidates(call, snapshot):
        if candidate.model_id not in seen:
            seen.add(candidate.model_id)
            _gather(candidate, call, snapshot, gathered)
    if not gathered.targets:
        raise gathered.problems[0]
    return Plan(call.envelope.model, tuple(gathered.targets), tuple(gathered.excluded))


def authorise(call: Call, target: Target) -> None:
    """Raise Forbidden unless the caller may be served by this concrete target; asked again at every attempt."""
    if not call.caller.may_call(target.model.id):
        raise _forbidden(call, target.model.id)


def without_resting(plan: Plan, resting: Callable[[Target], Resting | None]) -> Plan:
    """Return the plan without the targets that are left alone now; they are among the excluded, with the reason."""
    rests = [(target, resting(target)) for target in plan.targets]
    if not any(rest for _, rest in rests):
        return plan
    excluded = tuple(
        Excluded(
            target.model.id, target.provider.name, rest.code, f"It is left alone for {rest.wait_seconds:.1f} s more."
        )
        for target, rest in rests
        if rest is not None
    )
    well = tuple(target for target, rest in rests if rest is None)
    return replace(plan, targets=well, excluded=plan.excluded + excluded)


def nobody_well(resting: Sequence[Resting]) -> HeadraceError:
    """Return the error for a request whose targets all rest: whose fault it is, and when the first is back."""
    codes = {each.code for each in resting}
    wait = min((each.wait_seconds for each in resting), default=0.0)
    if codes == {UpstreamRateLimited.default_code}:
        return UpstreamRateLimited("The provider asked to slow down, and still does.", retry_after_seconds=wait)
    if codes == {UpstreamAuthFailed.default_code}:
        return UpstreamAuthFailed(
            "The provider refuses the operator's credential; your key is fine. The operator must renew it:"
            " `headrace providers set-key NAME`."
        )
    if codes == {UpstreamQuota.default_code}:
        return UpstreamQuota("The operator's account at the provider is out of quota.")
    return UpstreamResting(
        "Every upstream that could serve this failed just now and is left alone for a moment.",
        retry_after_seconds=wait,
    )


def _candidates(call: Call, snapshot: Snapshot) -> Iterator[_Candidate]:
    named = _of_name(call.envelope.model, "model", call, snapshot)
    if not call.may_substitute:
        yield named[0]
        return
    yield from named
    for index, name in enumerate(call.fallbacks):
        yield from _of_name(name, f"models[{index}]", call, snapshot)


def _of_name(name: str, param: str, call: Call, snapshot: Snapshot) -> list[_Candidate]:
    if name in snapshot.models:
        return [_Candidate(name, "named by the caller", param)]
    alias = snapshot.aliases.get(name)
    if alias is None:
        raise _unknown(name, param, call, snapshot)
    rest = [_Candidate(each, f'a fallback of the alias "{name}"', param) for each in alias.fallbacks]
    return [_Candidate(alias.points_to, f'the alias "{name}" points at it', param), *rest]


def _gather(candidate: _Candidate, call: Call, snapshot: Snapshot, gathered: _Gathered) -> None:
    model_id = candidate.model_id
    entries = snapshot.models.get(model_id)
    if entries is None:
        gathered.leave_out(model_id, "", _gone(candidate))
    elif not call.caller.may_call(model_id):
        gathered.leave_out(model_id, "", _forbidden(call, model_id))
    else:
        for entry in entries:
            problem = _problem(entry, call)
            if problem is None:
                gathered.targets.extend(_targets(entry, snapshot, candidate.reason))
            else:
                gathered.leave_out(model_id, entry.model.provider, problem)


def _targets(entry: Listed, snapshot: Snapshot, reason: str) -> list[Target]:
    model = entry.model
    price = cast("PriceVersion", entry.price)
    deployment = model.id if model.local is not None else None
    provider = snapshot.providers[model.provider]
    return [Target(model, provider, price, deployment, reason, each) for each in provider.credentials or (None,)]


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


def _forbidden(call: Call, model_id: str) -> Forbidden:
    return Forbidden(
        f'The key "{call.caller.key_name}" may not call "{model_id}".', code="model_forbidden", param="model"
    )


def _gone(candidate: _Candidate) -> NotFound:
    return NotFound(
        f'"{candidate.model_id}" is no longer in the catalog ({candidate.reason}). The operator must point the alias at'
        " another model.",
        code="model_not_found",
        param=candidate.param,
    )


def _unknown(name: str, param: str, call: Call, snapshot: Snapshot) -> HeadraceError:
    names = [each for each in snapshot.models if call.caller.may_call(each)]
    names += [each.name for each in snapshot.aliases.values() if call.caller.may_call(each.points_to)]
    hint = did_you_mean(name, names)
    return NotFound(
        f'No model named "{name}".{f" {hint}" if hint else ""} GET /v1/models lists what this key can call.',
        code="model_not_found",
        param=param,
    )
