"""The model list of the data plane as routes; its shape is models'."""

from __future__ import annotations

from headrace.http.models import model_list, one_model
from headrace.http.routing import Audience, Reply, Request, RouteSpec, resource_reply
from headrace.services.snapshots import Snapshots


def model_routes(snapshots: Snapshots) -> tuple[RouteSpec, ...]:
    """Return `/v1/models` and `/v1/models/{id}`."""

    async def all_models(request: Request) -> Reply:
        return resource_reply(model_list(snapshots.current(), request.who))

    async def one(request: Request) -> Reply:
        return resource_reply(one_model(snapshots.current(), request.who, request.part("id")))

    return (
        RouteSpec("GET", "/v1/models", all_models, Audience.OWN),
        RouteSpec("GET", "/v1/models/{id:path}", one, Audience.OWN),
    )
