"""Prices: every dated version of what a model costs, with its source."""

from __future__ import annotations

from headrace.domain.errors import NotFound
from headrace.domain.names import did_you_mean
from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, resource_reply
from headrace.services.snapshots import Snapshots
from headrace.wire.openapi import Entry
from headrace.wire.openapi_prices import ModelPricesReply
from headrace.wire.price_json import model_prices_object

PATH = "/v2/prices/{model:path}"
ENTRY = Entry("Shows every dated price of a model, with its source", ModelPricesReply, sends=TAGGED, reads=READ)


def routes(snapshots: Snapshots) -> tuple[RouteSpec, ...]:
    """Return the prices of one model."""

    async def one(request: Request) -> Reply:
        name, models = request.part("model"), snapshots.current().models
        if name not in models or not request.who.may_call(name):
            hint = did_you_mean(name, [each for each in models if request.who.may_call(each)])
            raise NotFound(
                f'No model named "{name[:128]}". {hint or "`headrace models --all` lists them."}',
                code="model_not_found",
            )
        return resource_reply({"prices": model_prices_object(models[name])})

    return (RouteSpec("GET", PATH, one, Audience.OWN, ENTRY),)
