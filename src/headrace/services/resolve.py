"""Resolving names to a plan: pure, over one snapshot; what cannot serve is left out with the reason kept.

What a router decides is given: choosing is choosing's, and reading the prompt is planning's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from headrace.domain.call import Call, Operation
from headrace.domain.dedicated import Deployment
from headrace.domain.errors import (
    CallerError,
    HeadraceError,
    InvalidRequest,
    NotFound,
    UpstreamAuthFailed,
    UpstreamQuota,
    UpstreamRateLimited,
    UpstreamResting,
)
from headrace.domain.health import Resting
from headrace.domain.names import closest, did_you_mean
from headrace.domain.plan import Excluded, Plan, Routing, Target
from headrace.domain.router import MANAGED_ROUTER, PREFIX, names_router
from headrace.domain.routing import Decision
from headrace.domain.snapshot import Snapshot
from headrace.services.fitness import forbidden, may_serve, models_of, problem_of, targets_of

NO_ROUTINGS: Mapping[str, Routing] = MappingProxyType({})
_ROUTED = frozenset({Operation.CHAT, Operation.COMPLETIONS})


@dataclass(frozen=True, slots=True)
class _Candidate:
    model_id: str
    reason: str
    param: str = "model"
    overflow_of: str | None = None


@dataclass(slots=True)
class _Gathered:
    targets: list[Target] = field(default_factory=list[Target])
    problems: list[CallerError] = field(default_factory=list[CallerError])
    excluded: list[Excluded] = field(default_factory=list[Excluded])
    seen: set[str] = field(default_factory=set[str])
    decision: Decision | None = None

    def leave_out(self, model_id: str, provider: str, problem: CallerError) -> None:
        self.problems.append(problem)
        self.excluded.append(Excluded(model_id, provider, problem.code, problem.message))

    def take(self, routing: Routing, targets: Sequence[Target]) -> None:
        new = [each for each in targets if each.model.id not in self.seen]
        self.targets += new
        self.seen.update(each.model.id for each in new)
        self.excluded += routing.excluded
        self.decision = self.decision or routing.decision
        if routing.problem is not None:
            self.problems.append(routing.problem)


def always(deployment: Deployment) -> bool:
    """Let the overflow of every deployment help."""
    del deployment
    return True


def plan_call(
    call: Call,
    snapshot: Snapshot,
    routings: Mapping[str, Routing] = NO_ROUTINGS,
    helps: Callable[[Deployment], bool] = always,
) -> Plan:
    """Return where the call may go; raises the error that explains why it can go nowhere.

    The order is: the model (or what the alias points at, then its fallbacks), then each of the call's own fallbacks;
    behind a deployment stands its overflow where that `helps` now.
    In the place of a router stand the targets that it ranked: `routings` has what each router of the call decided.
    A caller who wants no substitute gets the first model only, from whichever provider serves it, or the target that
    the router chose.
    """
    gathered = _Gathered()
    for name, param in _names(call):
        named = [each for one in _of_name(name, param, call, snapshot) for each in _helped(one, snapshot, helps)]
        for candidate in named if call.may_substitute else named[:1]:
            routing = routings.get(candidate.model_id) if routings else None
            if routing is not None:
                gathered.take(routing, routing.targets if call.may_substitute else routing.chosen)
            elif candidate.model_id not in gathered.seen:
                _gather(candidate, call, snapshot, gathered)
    if not gathered.targets:
        raise gathered.problems[0]
    return Plan(call.envelope.model, tuple(gathered.targets), tuple(gathered.excluded), gathered.decision)


def routers_named(call: Call, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the routers that a call names, as model, among its fallbacks or through aliases, in order, each once.

    Raises NotFound for a router that there is none of, naming the closest.
    """
    if not call.fallbacks and call.envelope.model in snapshot.models:
        return ()
    found: dict[str, None] = {}
    for name, param in _names(call):
        if name not in snapshot.models:
            meant = snapshot.aliases[name].points_to if name in snapshot.aliases else name
            if names_router(meant) and meant not in snapshot.models:
                _check_router(meant, param, call, snapshot)
                found[meant] = None
    return tuple(found)


def authorise(call: Call, target: Target) -> None:
    """Raise Forbidden unless the caller may be served by this concrete target; asked again at every attempt."""
    if not may_serve(call.caller, target.model.id, target.overflow_of):
        raise forbidden(call, target.model.id)


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


def _names(call: Call) -> tuple[tuple[str, str], ...]:
    """Return what the call names and where."""
    model = (call.envelope.model, "model")
    if not call.fallbacks or not call.may_substitute:
        return (model,)
    return (model, *[(name, f"models[{index}]") for index, name in enumerate(call.fallbacks)])


def _of_name(name: str, param: str, call: Call, snapshot: Snapshot) -> list[_Candidate]:
    alias = None if name in snapshot.models else snapshot.aliases.get(name)
    if alias is None:
        if name not in snapshot.models and not names_router(name):
            raise _unknown(name, param, call, snapshot)
        return [_Candidate(name, "named by the caller", param)]
    rest = [_Candidate(each, f'a fallback of the alias "{name}"', param) for each in alias.fallbacks]
    return [_Candidate(alias.points_to, f'the alias "{name}" points at it', param), *rest]


def _helped(one: _Candidate, snapshot: Snapshot, helps: Callable[[Deployment], bool]) -> list[_Candidate]:
    """Return a candidate and, behind it where it is a deployment, what helps it out."""
    entries = snapshot.models.get(one.model_id, ()) if snapshot.deployments else ()
    deployment = entries[0].model.deployment if entries else None
    if deployment is None or deployment.wanted.overflow is None or not helps(deployment):
        return [one]
    reason = f'the overflow of the deployment "{one.model_id}"'
    named = models_of(deployment.wanted.overflow.model, snapshot)
    return [one, *[_Candidate(each, reason, one.param, deployment.id) for each in named]]


def _gather(candidate: _Candidate, call: Call, snapshot: Snapshot, gathered: _Gathered) -> None:
    model_id = candidate.model_id
    entries = snapshot.models.get(model_id)
    if entries is not None and not may_serve(call.caller, model_id, candidate.overflow_of):
        # Not seen yet: as an overflow the caller may be served by it all the same.
        gathered.leave_out(model_id, "", forbidden(call, model_id))
        return
    gathered.seen.add(model_id)
    if entries is None:
        gathered.leave_out(model_id, "", _gone(candidate))
    else:
        for entry in entries:
            problem = problem_of(entry, call)
            if problem is None:
                gathered.targets.extend(targets_of(entry, snapshot, candidate.reason, candidate.overflow_of))
            else:
                gathered.leave_out(model_id, entry.model.provider, problem)


def _check_router(name: str, param: str, call: Call, snapshot: Snapshot) -> None:
    if name != MANAGED_ROUTER and name.removeprefix(PREFIX) not in snapshot.routers:
        meant = closest(name.removeprefix(PREFIX), snapshot.routers)
        hint = "`headrace routers list` lists them." if meant is None else f'Did you mean "{PREFIX}{meant}"?'
        raise NotFound(
            f'No router named "{name[:128]}". {hint}',
            code="router_not_found",
            param=param,
        )
    if call.operation not in _ROUTED:
        raise InvalidRequest(
            f'"{name}" is a router, which answers conversations; for {call.operation.value} name a model.',
            code="wrong_model_kind",
            param=param,
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
    names += [
        each.name
        for each in snapshot.aliases.values()
        if names_router(each.points_to) or call.caller.may_call(each.points_to)
    ]
    names += [each.model_name for each in snapshot.routers.values()]
    hint = did_you_mean(name, names)
    return NotFound(
        f'No model named "{name}".{f" {hint}" if hint else ""} GET /v1/models lists what this key can call.',
        code="model_not_found",
        param=param,
    )
