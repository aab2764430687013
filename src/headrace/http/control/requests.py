"""Receipts of requests: the caller's own, or everybody's for the admin token."""

from __future__ import annotations

from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, resource_reply
from headrace.services.receipts import ReceiptReader
from headrace.wire.control_json import list_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_receipts import Receipt, ReceiptList, ReceiptQuery
from headrace.wire.receipt_json import receipt_object, receipt_summary

DEFAULT_LIMIT, MAX_LIMIT = 20, 100
LIST_ENTRY = Entry("Lists the newest requests first", ReceiptList, asks=ReceiptQuery, sends=TAGGED, reads=READ)
ONE_ENTRY = Entry("Shows the receipt of one request", Receipt, sends=TAGGED, reads=READ)


def routes(receipts: ReceiptReader) -> tuple[RouteSpec, ...]:
    """Return `/v2/requests` and `/v2/requests/{id}`."""

    async def recent(request: Request) -> Reply:
        found = await receipts.recent(request.who, request.number("limit", DEFAULT_LIMIT, MAX_LIMIT))
        return resource_reply(list_object("requests", map(receipt_summary, found)))

    async def one(request: Request) -> Reply:
        return resource_reply(receipt_object(await receipts.get(request.part("id"), request.who)))

    return (
        RouteSpec("GET", "/v2/requests", recent, Audience.OWN, LIST_ENTRY),
        RouteSpec("GET", "/v2/requests/{id}", one, Audience.OWN, ONE_ENTRY),
    )
