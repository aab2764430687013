"""What a deployment may be and become: its name, numbers and overflow, what stays for life, what may be deleted; pure.

What the names in it mean, and whether this installation runs that, is deployment_choice's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import fields, replace

from headrace.domain.catalog import ModelKind
from headrace.domain.dedicated import Deployment, DeploymentStatus, Wanted, WhenAsleep
from headrace.domain.dedicated_draft import MOST_REPLICAS, DeploymentDraft
from headrace.domain.errors import Conflict, InvalidRequest, Unprocessable
from headrace.domain.names import did_you_mean
from headrace.domain.router import names_router
from headrace.domain.snapshot import Snapshot
from headrace.services.fitness import models_of

NAME_PATTERN = re.compile(r"[a-zA-Z0-9_-]{1,255}")
MODEL = "spec.model_deployments[0]"
ACCELERATOR = f"{MODEL}.accelerators[0]"
SHOWN_CHARS = 128
MAX_WORD_CHARS = 255
MAX_WORKLOAD_CHARS = 4_000
MAX_TARGET = 3_600_000
MAX_OVERFLOW_LIMIT = 1_000_000
# Name of the field, where it stands, least and most.
_RANGES = (
    ("min_scale", ACCELERATOR, 0, MOST_REPLICAS),
    ("max_scale", ACCELERATOR, 1, MOST_REPLICAS),
    ("gpus", ACCELERATOR, 0, 1_024),
    ("slots", MODEL, 1, 1_024),
    ("context_length", MODEL, 128, 100_000_000),
    ("idle_seconds", MODEL, 0, 30 * 86_400),
    ("wait_seconds", MODEL, 0, 3_600),
)
_WORDS: Mapping[str, str] = {
    "region": "spec.region",
    "vpc_uuid": "spec.vpc.uuid",
    "model_provider": f"{MODEL}.model_provider",
    "provider_model_id": f"{MODEL}.provider_model_id",
}
# What a deployment keeps for life, and where the public contract has it.
_FIXED: Mapping[str, str] = {
    "name": "spec.name",
    "enable_public_endpoint": "spec.enable_public_endpoint",
    "region": "spec.region",
    "vpc_uuid": "spec.vpc.uuid",
    "model": f"{MODEL}.model_slug",
    "driver": f"{MODEL}.driver",
}
# What may change without another start: all else of `Wanted` is part of how a replica is launched.
_SOFT = frozenset(
    {"min_scale", "max_scale", "idle_seconds", "target", "overflow", "when_asleep", "wait_seconds", *_FIXED}
)


def check_name(name: str, snapshot: Snapshot) -> None:
    """Raise unless the name can be a deployment's and nothing else has it."""
    if NAME_PATTERN.fullmatch(name) is None:
        raise InvalidRequest(
            f'"spec.name" must be 1 to 255 of a-z, A-Z, 0-9, hyphen and underscore, not "{name[:SHOWN_CHARS]}": callers'
            " write it as the model.",
            param="spec.name",
        )
    owner = _owner(name, snapshot)
    if owner is not None:
        raise Conflict(
            f'"{name}" is the name of {owner} already; choose another name.', code="name_taken", param="spec.name"
        )


def check_numbers(draft: DeploymentDraft) -> None:
    """Raise InvalidRequest for a number out of its range, for reversed bounds and for words that are too long."""
    for name, place, least, most in _RANGES:
        more = ": min_scale 0 lets it sleep" if name == "max_scale" and draft.max_scale == 0 else ""
        _check_range(getattr(draft, name), least, most, f"{place}.{name}", more)
    if draft.min_scale > draft.max_scale:
        path = f"{ACCELERATOR}.min_scale"
        raise InvalidRequest(
            f'"{path}" is {draft.min_scale} and max_scale is {draft.max_scale}: the bounds are reversed. Write'
            f" {draft.max_scale}:{draft.min_scale}, the fewest replicas first.",
            param=path,
        )
    if draft.target is not None:
        _check_range(draft.target.value, 1, MAX_TARGET, f"{MODEL}.target.value")
    if draft.overflow is not None:
        _check_range(draft.overflow.limit, 0, MAX_OVERFLOW_LIMIT, f"{MODEL}.overflow.limit")
    for name, path in _WORDS.items():
        length = len(getattr(draft, name))
        if length > MAX_WORD_CHARS:
            raise InvalidRequest(f'"{path}" may have {MAX_WORD_CHARS} characters, not {length}.', param=path)
    if len(draft.workload_config) > MAX_WORKLOAD_CHARS:
        path = f"{MODEL}.workload_config"
        length = len(draft.workload_config)
        raise InvalidRequest(f'"{path}" may have {MAX_WORKLOAD_CHARS} characters of JSON, not {length}.', param=path)


def check_overflow(draft: DeploymentDraft, kind: ModelKind, snapshot: Snapshot) -> None:
    """Raise InvalidRequest unless the overflow is a model of that kind, by any name, that does not lead back here."""
    overflow, path = draft.overflow, f"{MODEL}.overflow.model"
    if overflow is None:
        if draft.when_asleep is WhenAsleep.OVERFLOW:
            raise InvalidRequest(
                '"when_asleep" is "overflow", but there is no "overflow": name the model that takes the requests.',
                param=f"{MODEL}.overflow",
            )
        return
    if leads_to(overflow.model, draft.name, snapshot):
        raise InvalidRequest(
            f'The overflow "{overflow.model[:SHOWN_CHARS]}" leads back to "{draft.name}" itself: name another model.',
            code="overflow_to_itself",
            param=path,
        )
    meant = models_of(overflow.model, snapshot)[0]
    if names_router(meant):
        raise InvalidRequest(
            f'"{overflow.model[:SHOWN_CHARS]}" is a router; the overflow of a deployment is a model.',
            code="router_in_router",
            param=path,
        )
    kinds = [each.model.kind for each in snapshot.models.get(meant, ())]
    if not kinds:
        raise unknown_model(overflow.model, path, snapshot.models, snapshot.aliases)
    if kind not in kinds:
        raise InvalidRequest(
            f'The overflow "{overflow.model[:SHOWN_CHARS]}" is a model for {kinds[0].value}; name one for {kind.value},'
            " as the deployment's is.",
            code="wrong_model_kind",
            param=path,
        )


def leads_to(name: str, deployment: str, snapshot: Snapshot) -> bool:
    """Whether requests for a name may come to that deployment: by an alias, or by the overflow of another one."""
    overflows = {each.name: each.goal.overflow for each in snapshot.deployments.values()}
    left, seen = [name], {name}
    while left:
        name = left.pop()
        if name == deployment:
            return True
        overflow = overflows.get(name)
        found = {*models_of(name, snapshot), *(() if overflow is None else (overflow.model,))} - seen
        seen |= found
        left += found
    return False


def check_fixed(draft: DeploymentDraft, model: str, driver: str, before: Wanted) -> None:
    """Raise Unprocessable naming the first field that is another one, though a deployment keeps it for life.

    `model` and `driver` are what the draft means by its words for them.
    """
    after = replace(draft, model=model, driver=driver)
    for name, path in _FIXED.items():
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            raise Unprocessable(
                f'"{path}" cannot change: it is {_shown(old)}, not {_shown(new)}. Make another deployment, point your'
                " alias at it, and delete this one.",
                code="immutable_field",
                param=path,
            )


def check_unused(deployment: Deployment, snapshot: Snapshot) -> None:
    """Raise Conflict while an alias, a router or another deployment sends requests to this one, naming them."""
    name = deployment.name
    users = [f'alias "{each.name}"' for each in snapshot.aliases.values() if name in (each.points_to, *each.fallbacks)]
    users += [f'"{each.model_name}"' for each in snapshot.routers.values() if name in each.used_names]
    users += [
        f'deployment "{each.name}"'
        for each in snapshot.deployments.values()
        if each.status is not DeploymentStatus.DELETING
        and each.goal.overflow is not None
        and each.goal.overflow.model == name
    ]
    if users:
        raise Conflict(
            f'"{name}" cannot be deleted: requests come to it by {", ".join(sorted(users))}. Point them elsewhere'
            " first.",
            code="deployment_in_use",
        )


def changes_launch(before: Wanted, after: Wanted) -> bool:
    """Whether replicas that run are not what is wanted afterwards."""
    return any(
        getattr(before, each.name) != getattr(after, each.name) for each in fields(Wanted) if each.name not in _SOFT
    )


def softened(before: Wanted, after: Wanted) -> Wanted:
    """Return what was in force with all of another specification that needs no other start."""
    return replace(before, **{name: getattr(after, name) for name in _SOFT})


def _owner(name: str, snapshot: Snapshot) -> str | None:
    for each in snapshot.deployments.values():
        if each.name == name:
            leaving = ", which is being deleted," if each.status is DeploymentStatus.DELETING else ""
            return f"a deployment ({each.id}){leaving}"
    if name in snapshot.models:
        return "a model"
    if name in snapshot.aliases:
        return "an alias"
    return "a router" if name in snapshot.routers or names_router(name) else None


def unknown_model(name: str, path: str, *known: Collection[str]) -> InvalidRequest:
    """Return the error for a name that no model has, with the closest that one has."""
    hint = did_you_mean(name, {each for names in known for each in names})
    return InvalidRequest(
        f'No model named "{name[:SHOWN_CHARS]}". {hint or "`headrace models --all` lists them."}',
        code="model_not_found",
        param=path,
    )


def _check_range(value: int | None, least: int, most: int, path: str, more: str = "") -> None:
    if value is not None and not least <= value <= most:
        raise InvalidRequest(f'"{path}" must be from {least} to {most}, not {value}{more}.', param=path)


def _shown(value: object) -> str:
    return f'"{value[:SHOWN_CHARS]}"' if isinstance(value, str) else str(value).lower()
