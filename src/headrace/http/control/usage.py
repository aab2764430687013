"""Reports of usage: the caller's own, or everybody's for the admin token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from headrace.domain.json_value import JsonObject
from headrace.http.edge import headers_named
from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, etag_of, resource_reply
from headrace.ports.ambient import Clock, Offload
from headrace.services.usage import UsageReader
from headrace.wire.openapi import JSON, Entry
from headrace.wire.openapi_usage import UsageReportPage, UsageReportQuery
from headrace.wire.usage_query import FIELDS, page_of, read_usage_question, wants_csv
from headrace.wire.usage_report_json import usage_report_csv, usage_report_object

PATH = "/v2/usage"
CSV = "text/csv"
VARY = ("vary", "accept")
CSV_HEADERS = (
    ("content-type", f"{CSV}; charset=utf-8"),
    ("content-disposition", 'attachment; filename="usage.csv"'),
    ("cache-control", "private, no-cache"),
    VARY,
)
ENTRY = Entry(
    "Sums usage by its dimensions, by the hour, day or month",
    UsageReportPage,
    asks=UsageReportQuery,
    media=(JSON, CSV),
    sends=TAGGED,
    reads=READ,
)


def routes(usage: UsageReader, clock: Clock, offload: Offload | None) -> tuple[RouteSpec, ...]:
    """Return `/v2/usage`; without an offload a large CSV is written in place."""

    async def report(request: Request) -> Reply:
        given = request.query(FIELDS)
        question = read_usage_question(given, clock.unix_micros())
        accepts = b",".join(headers_named(request.scope, b"accept")).decode("latin-1")
        if wants_csv(given, accepts):
            whole = await usage.whole(question, request.who)
            body = usage_report_csv(whole) if offload is None else await offload.run(usage_report_csv, whole)
            return Reply(200, (*CSV_HEADERS, ("etag", etag_of(body))), body)
        page, limit = page_of(given)
        found = usage_report_object(await usage.page(question, request.who, page, limit), page, limit)
        found["links"] = {"pages": _links(given, page, limit, found)}
        reply = resource_reply(found)
        return Reply(reply.status, (*reply.headers, VARY), reply.body)

    return (RouteSpec("GET", PATH, report, Audience.OWN, ENTRY),)


def _links(given: Mapping[str, Sequence[str]], page: int, limit: int, found: JsonObject) -> JsonObject:
    meta = found["meta"]
    pages = int(meta["pages"]) if isinstance(meta, dict) and isinstance(meta["pages"], int) else 1
    asked = [(name, value) for name, values in given.items() if name not in ("page", "limit") for value in values]

    def link(number: int) -> str:
        return f"{PATH}?{urlencode([*asked, ('page', number), ('limit', limit)])}"

    links: JsonObject = {}
    if page > 1:
        links |= {"first": link(1), "prev": link(min(page - 1, pages))}
    if page < pages:
        links |= {"next": link(page + 1), "last": link(pages)}
    return links
