"""The model list of the data plane as routes; its shapes are models' and messages_models'."""

from __future__ import annotations

from headrace.http.edge import speaks_messages
from headrace.http.messages_models import DEFAULT_LIMIT, MAX_LIMIT, messages_model, messages_model_list
from headrace.http.models import listed_model, model_list, one_model
from headrace.http.routing import Audience, Reply, Request, RouteSpec, resource_reply
from headrace.services.snapshots import Snapshots


def model_routes(snapshots: Snapshots) -> tuple[RouteSpec, ...]:
    """Return `/v1/models` and `/v1/models/{id}`; a caller that sends `anthropic-version` gets Anthropic's shape."""

    async def all_models(request: Request) -> Reply:
        snapshot = snapshots.current()
        if not speaks_messages(request.scope):
            return resource_reply(model_list(snapshot, request.who))
        limit = request.number("limit", DEFAULT_LIMIT, MAX_LIMIT)
        return resource_reply(
            messages_model_list(snapshot, request.who, limit, request.text("after_id"), request.text("before_id"))
        )

    async def one(request: Request) -> Reply:
        snapshot, name = snapshots.current(), request.part("id")
        if speaks_messages(request.scope):
            return resource_reply(messages_model(listed_model(snapshot, request.who, name), name))
        return resource_reply(one_model(snapshot, request.who, name))

    return (
        RouteSpec("GET", "/v1/models", all_models, Audience.OWN),
        RouteSpec("GET", "/v1/models/{id:path}", one, Audience.OWN),
    )
