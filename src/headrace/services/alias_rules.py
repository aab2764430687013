"""What an alias may be: a free name that points at models of the catalog or at a router, wherever it was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headrace.domain.alias import MAX_FALLBACKS, WrittenAlias, is_alias_name
from headrace.domain.dedicated import Deployment, DeploymentStatus
from headrace.domain.errors import Conflict, HeadraceError, InvalidRequest
from headrace.domain.finding import Finding, config_invalid
from headrace.domain.names import did_you_mean
from headrace.domain.router import MANAGED_ROUTER, PREFIX, Router, names_router
from headrace.domain.snapshot import Snapshot
from headrace.services.deployment_rules import leads_to


@dataclass(frozen=True, slots=True)
class WantedAlias:
    """An alias as it is asked for."""

    name: str
    points_to: str
    fallbacks: tuple[str, ...] = ()


def check_wanted(wanted: WantedAlias, snapshot: Snapshot) -> None:
    """Raise unless the name is free for an alias, and it points at a model or a router and falls back on models."""
    if not is_alias_name(wanted.name):
        raise InvalidRequest(
            '"name" must be 1 to 128 letters, digits and . _ : - in parts separated by /, each beginning with a letter'
            f" or digit, not {wanted.name[:80]!r}.",
            param="name",
        )
    check_no_deployment(wanted.name, snapshot, "name")
    if wanted.name in snapshot.models:
        raise Conflict(
            f'"{wanted.name}" is the id of a model; choose another name.', code="alias_is_model", param="name"
        )
    if names_router(wanted.name):
        raise InvalidRequest(
            f'"{wanted.name}" is a name of routers; choose one without "{PREFIX}" in front.', param="name"
        )
    if names_router(wanted.points_to) and wanted.points_to not in snapshot.models:
        _check_router(wanted, snapshot)
    else:
        _check_model(wanted.points_to, "points_to", snapshot)
    for name in wanted.fallbacks:
        _check_model(name, "fallbacks", snapshot)
    _check_overflows(wanted, snapshot)
    chain = (wanted.points_to, *wanted.fallbacks)
    if len(wanted.fallbacks) > MAX_FALLBACKS or len(set(chain)) != len(chain):
        raise InvalidRequest(
            f'"fallbacks" must be at most {MAX_FALLBACKS} models, each once, without the one pointed at.',
            param="fallbacks",
        )


def check_written(written: Iterable[WrittenAlias], stored: frozenset[str], snapshot: Snapshot) -> None:
    """Raise ConfigInvalid naming file, line and fix of each alias in the configuration file that cannot be."""
    found = [finding for each in written for finding in _findings(each, stored, snapshot)]
    if found:
        raise config_invalid(found)


def check_unused(name: str, snapshot: Snapshot) -> None:
    """Raise Conflict when a router or a deployment sends requests to an alias, naming them."""
    overflowing = _overflowing_to(name, snapshot)
    if overflowing:
        raise Conflict(
            f'The alias "{name}" is the overflow of {", ".join(each.name for each in overflowing)}: name another one'
            " there first.",
            code="alias_in_use",
        )
    routers = _routers_with(name, snapshot)
    if routers:
        raise Conflict(
            f'The alias "{name}" is in the pools of {", ".join(each.model_name for each in routers)}: take it out there'
            " first.",
            code="alias_in_use",
        )


def check_no_deployment(name: str, snapshot: Snapshot, param: str) -> None:
    """Raise Conflict when a deployment has the name."""
    if any(each.name == name for each in snapshot.deployments.values()):
        raise Conflict(f'"{name}" is the name of a deployment; choose another name.', code="name_taken", param=param)


def _findings(written: WrittenAlias, stored: frozenset[str], snapshot: Snapshot) -> Iterator[Finding]:
    path = f"aliases.{written.name}"
    if written.name in stored:
        fix = f"Delete the stored one (`headrace aliases delete {written.name}`, without this line), or this line."
        yield Finding(written.file, written.line, path, "an alias of this name is stored too", fix)
    try:
        check_wanted(WantedAlias(written.name, written.points_to, written.fallbacks), snapshot)
    except (InvalidRequest, Conflict) as error:
        yield Finding(written.file, written.line, _path(path, error), error.message, "Correct it, or delete the alias.")


def _path(path: str, error: HeadraceError) -> str:
    return path if error.param in (None, "name") else f"{path}.{error.param}"


def _check_router(wanted: WantedAlias, snapshot: Snapshot) -> None:
    name = wanted.points_to.removeprefix(PREFIX)
    if wanted.points_to != MANAGED_ROUTER and name not in snapshot.routers:
        hint = did_you_mean(name, snapshot.routers)
        raise InvalidRequest(
            f'No router named "{name[:128]}". {hint or "`headrace routers list` lists them."}',
            code="router_not_found",
            param="points_to",
        )
    routers = _routers_with(wanted.name, snapshot)
    if routers:
        raise InvalidRequest(
            f'"{wanted.name}" is in the pools of {", ".join(each.model_name for each in routers)}, and a router sends'
            f' requests to models, never to a router: it cannot point at "{wanted.points_to}".',
            code="router_in_router",
            param="points_to",
        )


def _check_overflows(wanted: WantedAlias, snapshot: Snapshot) -> None:
    """What a deployment cannot take goes to models, and must not come back to it."""
    named = [("points_to", wanted.points_to), *[("fallbacks", each) for each in wanted.fallbacks]]
    for each in _overflowing_to(wanted.name, snapshot):
        is_overflow = f'"{wanted.name}" is the overflow of the deployment "{each.name}"'
        if names_router(wanted.points_to) and wanted.points_to not in snapshot.models:
            raise InvalidRequest(
                f'{is_overflow}, and an overflow is a model: it cannot point at the router "{wanted.points_to}".',
                code="router_in_router",
                param="points_to",
            )
        for param, name in named:
            if leads_to(name, each.name, snapshot):
                raise InvalidRequest(
                    f'{is_overflow}, and "{name[:128]}" leads back to it: name another model.',
                    code="overflow_to_itself",
                    param=param,
                )


def _overflowing_to(alias: str, snapshot: Snapshot) -> list[Deployment]:
    staying = [each for each in snapshot.deployments.values() if each.status is not DeploymentStatus.DELETING]
    overflows = [(each, each.goal.overflow) for each in staying]
    return [each for each, overflow in overflows if overflow is not None and overflow.model == alias]


def _routers_with(alias: str, snapshot: Snapshot) -> list[Router]:
    return [each for each in snapshot.routers.values() if alias in each.used_names]


def _check_model(name: str, param: str, snapshot: Snapshot) -> None:
    if name in snapshot.models:
        return
    if name in snapshot.aliases:
        raise InvalidRequest(
            f'"{name}" is an alias; an alias points at models. Name "{snapshot.aliases[name].points_to}" instead.',
            param=param,
        )
    hint = did_you_mean(name, snapshot.models)
    raise InvalidRequest(
        f'No model named "{name[:128]}". {hint or "`headrace models --all` lists them."}',
        code="model_not_found",
        param=param,
    )
