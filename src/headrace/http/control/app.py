"""The Starlette application of everything but the hot routes, built from the table of routes."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.routing import Route, Router

from headrace.http.control import (
    about,
    alerts,
    aliases,
    api_keys,
    breakeven,
    budgets,
    callable_models,
    catalog,
    corrections,
    dedicated_inferences,
    deployment_access,
    deployment_costs,
    fit,
    fleet,
    limits,
    prices,
    providers,
    pulls,
    reconciliations,
    replays,
    requests,
    routers,
    savings,
    shadows,
    teams,
    usage,
    webhooks,
    weights,
)
from headrace.http.control.parts import ControlParts
from headrace.http.count_tokens import TokenCounts, count_routes
from headrace.http.data_models import model_routes
from headrace.http.decisions import DecisionParts, RoutingDecisions, decision_routes
from headrace.http.dedicated import OWN_ROUTES, Pinned, dedicated_routes
from headrace.http.door import DoorParts, NoRoute, PathDoor
from headrace.http.gateway import AsgiApp
from headrace.http.hot_routes import HOT_ROUTES
from headrace.http.openapi import openapi_routes
from headrace.http.operations import operations_routes
from headrace.http.responses import response_routes
from headrace.http.routing import Audience, RouteSpec
from headrace.services.weights_removal import WeightsRemoval


def control_app(parts: ControlParts) -> AsgiApp:
    """Return the application."""
    return build_app(parts.door, control_routes(parts), frozenset(each.path for each in (*HOT_ROUTES, *OWN_ROUTES)))


def control_routes(parts: ControlParts) -> tuple[RouteSpec, ...]:
    """Return every route in the order in which paths are matched."""
    described = (
        *operations_routes(parts.checks, parts.render_metrics, metrics_public=parts.metrics_public),
        *model_routes(parts.door.snapshots),
        *count_routes(TokenCounts(parts.door.snapshots, parts.door.limits, parts.offload, parts.responses)),
        *response_routes(parts.responses),
        *decision_routes(_decisions(parts)),
        *about.routes(parts.about),
        *requests.routes(parts.receipts),
        *corrections.routes(parts.corrections),
        *reconciliations.routes(parts.reconciliations, parts.offload),
        *usage.routes(parts.usage, parts.door.clock, parts.offload),
        *breakeven.routes(parts.breakeven),
        *catalog.routes(parts.door.snapshots, parts.weights),
        *callable_models.routes(parts.door.snapshots),
        *api_keys.routes(parts.keys),
        *providers.routes(parts.credentials),
        *aliases.routes(parts.aliases),
        *routers.routes(parts.routers),
        *dedicated_inferences.routes(parts.deployments, parts.compute, parts.door.snapshots, parts.deployment_events),
        *deployment_access.routes(parts.deployments, parts.authority, parts.offload),
        *deployment_costs.routes(parts.deployment_costs, parts.door.clock),
        *fit.routes(parts.fit),
        *_dedicated(parts),
        *replays.routes(parts.replays, parts.door.clock),
        *savings.routes(parts.savings, parts.door.clock),
        *shadows.routes(parts.shadows),
        *alerts.routes(parts.alerts),
        *webhooks.routes(parts.webhooks, parts.alerts.require_unused),
        *teams.routes(parts.teams, parts.alerts.require_unwatched),
        *budgets.routes(parts.budgets),
        *limits.routes(parts.limits),
        *prices.routes(parts.door.snapshots),
        *pulls.routes(parts.pulls),
        *weights.routes(WeightsRemoval(parts.weights, parts.door.snapshots, parts.compute)),
        *fleet.routes(parts.compute, parts.reload),
    )
    return (*described, *openapi_routes(described))


def _dedicated(parts: ControlParts) -> tuple[RouteSpec, ...]:
    """What the own endpoints of deployments have of the data plane."""
    snapshots, slugs = parts.door.snapshots, parts.deployments.trial.known_slugs
    counts = TokenCounts(snapshots, parts.door.limits, parts.offload, parts.responses, Pinned(slugs))
    return dedicated_routes(snapshots, slugs, count_routes(counts), response_routes(parts.responses))


def _decisions(parts: ControlParts) -> RoutingDecisions:
    door, limits = parts.door, parts.door.limits
    return RoutingDecisions(
        DecisionParts(
            parts.questions,
            parts.rates,
            parts.responses,
            door.snapshots,
            door.clock,
            limits.max_body_bytes,
            parts.offload,
        )
    )


def build_app(door: DoorParts, specs: Iterable[RouteSpec], posted_elsewhere: frozenset[str]) -> AsgiApp:
    """Return an application of these routes; raises ValueError for one without an audience or one that stands twice.

    `posted_elsewhere` are paths whose POST is served elsewhere: every other method of them is refused here.
    """
    by_path: dict[str, dict[str, RouteSpec]] = {}
    for spec in specs:
        if spec.audience is None:
            raise ValueError(f"{spec.method} {spec.path} does not say who may call it: give its RouteSpec an Audience")
        methods = by_path.setdefault(spec.path, {})
        if spec.method in methods:
            raise ValueError(f"{spec.method} {spec.path} stands twice in the table of routes")
        methods[spec.method] = spec
    doors = [PathDoor(door, path, methods) for path, methods in by_path.items()]
    doors += [PathDoor(door, path, {}, frozenset({"POST"})) for path in sorted(posted_elsewhere)]
    paths = frozenset(each.path for each in doors)
    routes = [Route(each.path, each) for each in doors]
    return Router(routes, redirect_slashes=False, default=NoRoute(door, paths))


__all__ = ["Audience", "ControlParts", "build_app", "control_app", "control_routes"]
