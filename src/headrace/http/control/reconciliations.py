"""Reconciliations: a provider's bill compared with the books, made, listed and shown."""

from __future__ import annotations

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, json_reply, resource_reply
from headrace.ports.ambient import Offload
from headrace.ports.reconciliation import KeptReconciliation
from headrace.services.reconciliation import Reconciliations, Statement
from headrace.wire.control_json import list_object
from headrace.wire.invoice import asked_format
from headrace.wire.json_strict import decode_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_audit import (
    ReconciliationBody,
    ReconciliationList,
    ReconciliationQuery,
    ReconciliationReply,
)

PATH = "/v2/reconciliations"
ONE = PATH + "/{id}"
# A file of 8 MiB as a JSON text, with room for what is escaped.
MAX_BODY_BYTES = 12 * 1024 * 1024
FIELDS = frozenset({"provider", "content", "format", "file_name", "since", "until", "models"})
MAKE_ENTRY = Entry(
    "Compares a provider's usage or invoice with the books",
    ReconciliationReply,
    ReconciliationBody,
    statuses=(201,),
    fails=(404,),
)
LIST_ENTRY = Entry(
    "Lists comparisons, the newest first", ReconciliationList, asks=ReconciliationQuery, sends=TAGGED, reads=READ
)
ONE_ENTRY = Entry("Shows a comparison as it was made", ReconciliationReply, sends=TAGGED, reads=READ)


def routes(reconciliations: Reconciliations, offload: Offload | None) -> tuple[RouteSpec, ...]:
    """Return the making of a comparison, the list and one of them."""

    async def make(request: Request) -> Reply:
        given = _statement(await request.fields(FIELDS, MAX_BODY_BYTES, offload))
        return json_reply(_wrapped(await reconciliations.make(given)), 201)

    async def recent(request: Request) -> Reply:
        kept = await reconciliations.list(request.text("provider"), request.number("limit", 100, 1_000))
        return resource_reply(list_object("reconciliations", (decode_object(each.summary.encode()) for each in kept)))

    async def one(request: Request) -> Reply:
        return resource_reply(_wrapped(await reconciliations.find(request.part("id"))))

    return (
        RouteSpec("POST", PATH, make, Audience.ADMIN, MAKE_ENTRY),
        RouteSpec("GET", PATH, recent, Audience.ADMIN, LIST_ENTRY),
        RouteSpec("GET", ONE, one, Audience.ADMIN, ONE_ENTRY),
    )


def _wrapped(kept: KeptReconciliation) -> JsonObject:
    return {"reconciliation": decode_object(kept.report.encode())}


def _statement(fields: JsonObject) -> Statement:
    return Statement(
        provider=_required(fields, "provider", 'the name of a provider, as "headrace providers list" shows it'),
        content=_required(fields, "content", "the text of the file"),
        form=asked_format(fields.get("format", "auto")),
        file_name=_word(fields.get("file_name"), "file_name") or "",
        since=_word(fields.get("since"), "since"),
        until=_word(fields.get("until"), "until"),
        models=_models(fields.get("models")),
    )


def _required(fields: JsonObject, name: str, what: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest(f'"{name}" is missing: send {what}.', param=name)
    return value


def _word(value: JsonValue, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidRequest(f'"{name}" must be a text, not {str(value)[:40]!r}.', param=name)


def _models(value: JsonValue) -> dict[str, str]:
    if value is None:
        return {}
    if isinstance(value, dict):
        named = {theirs: ours for theirs, ours in value.items() if isinstance(ours, str)}
        if len(named) == len(value):
            return named
    raise InvalidRequest('"models" must be an object of our model ids by the bill\'s names.', param="models")
