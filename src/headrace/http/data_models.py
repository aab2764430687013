"""The model list of the data plane as routes; its shapes are models' and messages_models'."""

from __future__ import annotations

from headrace.http.edge import speaks_messages
from headrace.http.messages_models import DEFAULT_LIMIT, MAX_LIMIT, messages_model_list, one_messages_model
from headrace.http.models import model_list, one_model
from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, resource_reply
from headrace.services.snapshots import Snapshots
from headrace.wire.openapi import Entry
from headrace.wire.openapi_catalog import (
    ListedModel,
    MessagesModel,
    MessagesModelList,
    MessagesModelQuery,
    ModelList,
)

LIST_ENTRY = Entry(
    "Lists what this credential can call now",
    (ModelList, MessagesModelList),
    asks=MessagesModelQuery,
    sends=TAGGED,
    reads=("anthropic-version", *READ),
)
ONE_ENTRY = Entry("Shows one model", (ListedModel, MessagesModel), sends=TAGGED, reads=("anthropic-version", *READ))


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
            return resource_reply(one_messages_model(snapshot, request.who, name))
        return resource_reply(one_model(snapshot, request.who, name))

    return (
        RouteSpec("GET", "/v1/models", all_models, Audience.OWN, LIST_ENTRY),
        RouteSpec("GET", "/v1/models/{id:path}", one, Audience.OWN, ONE_ENTRY),
    )
