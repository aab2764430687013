"""Webhooks: receivers of events, made with a secret that is shown once, listed, changed, tested and deleted."""

from __future__ import annotations

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.domain.webhook import Webhook
from headrace.http.routing import (
    CHANGE,
    READ,
    TAGGED,
    Audience,
    Reply,
    Request,
    RouteSpec,
    json_reply,
    require_match,
    resource_reply,
)
from headrace.services.webhooks import Check, RequireUnused, Webhooks
from headrace.wire.alert_json import webhook_object
from headrace.wire.control_json import list_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_alerts import WebhookBody, WebhookList, WebhookReply, WebhookTrialReply

PATH = "/v2/webhooks"
ONE = PATH + "/{id}"
TEST = ONE + "/test"
FIELDS = frozenset({"url"})
LIST_ENTRY = Entry("Lists webhooks, never their secrets", WebhookList, sends=TAGGED, reads=READ)
CREATE_ENTRY = Entry(
    "Makes a webhook; its secret is shown in this reply only", WebhookReply, WebhookBody, statuses=(201,)
)
ONE_ENTRY = Entry("Shows one webhook", WebhookReply, sends=TAGGED, reads=READ)
CHANGE_ENTRY = Entry("Sends to another address from now on", WebhookReply, WebhookBody, sends=TAGGED, reads=CHANGE)
REMOVE_ENTRY = Entry("Deletes a webhook that no alert names", WebhookReply, sends=TAGGED, reads=CHANGE)
TEST_ENTRY = Entry("Sends a signed message once and tells what came of it", WebhookTrialReply)


def routes(webhooks: Webhooks, require_unused: RequireUnused) -> tuple[RouteSpec, ...]:
    """Return list, creation, one webhook, its change, its removal and its test."""

    async def all_webhooks(_: Request) -> Reply:
        return resource_reply(list_object("webhooks", map(webhook_object, await webhooks.list())))

    async def create(request: Request) -> Reply:
        webhook, secret = await webhooks.create(_url(await request.fields(FIELDS)))
        return json_reply({"webhook": {**webhook_object(webhook), "secret": secret.reveal()}}, 201)

    async def one(request: Request) -> Reply:
        return resource_reply(_wrapped(await webhooks.find(request.part("id"))))

    async def change(request: Request) -> Reply:
        url = _url(await request.fields(FIELDS))
        return resource_reply(_wrapped(await webhooks.change(request.part("id"), url, _unchanged(request))))

    async def remove(request: Request) -> Reply:
        return resource_reply(_wrapped(await webhooks.remove(request.part("id"), _unchanged(request), require_unused)))

    async def test(request: Request) -> Reply:
        sent = await webhooks.test(request.part("id"))
        return json_reply({"test": {"delivered": sent.is_taken, "status": sent.status, "error": sent.error}})

    return (
        RouteSpec("GET", PATH, all_webhooks, Audience.ADMIN, LIST_ENTRY),
        RouteSpec("POST", PATH, create, Audience.ADMIN, CREATE_ENTRY),
        RouteSpec("GET", ONE, one, Audience.ADMIN, ONE_ENTRY),
        RouteSpec("PATCH", ONE, change, Audience.ADMIN, CHANGE_ENTRY),
        RouteSpec("DELETE", ONE, remove, Audience.ADMIN, REMOVE_ENTRY),
        RouteSpec("POST", TEST, test, Audience.ADMIN, TEST_ENTRY),
    )


def _wrapped(webhook: Webhook) -> JsonObject:
    return {"webhook": webhook_object(webhook)}


def _unchanged(request: Request) -> Check:
    return lambda webhook: require_match(request, _wrapped(webhook))


def _url(fields: JsonObject) -> str:
    url = fields.get("url")
    if isinstance(url, str):
        return url
    raise InvalidRequest('"url" is missing or not a string: write an https:// URL.', param="url")
