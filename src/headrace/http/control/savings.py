"""What a router saved over some time, beside its controls."""

from __future__ import annotations

from headrace.domain.router import MANAGED_ROUTER
from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.ports.ambient import Clock
from headrace.services.router_history import DEFAULT_REQUESTS, MOST_REQUESTS, Past
from headrace.services.savings import SavingsReader
from headrace.wire.iso_time import iso_time
from headrace.wire.openapi import Entry
from headrace.wire.openapi_replay import SavingsQuery, SavingsReply
from headrace.wire.past_query import read_since, read_until
from headrace.wire.savings_json import savings_fields

PATH = "/v2/gen-ai/models/routers/{uuid}/savings"
FIELDS = frozenset({"since", "until", "limit"})
ENTRY = Entry(
    "Shows what a router's requests cost, beside what they would have cost elsewhere", SavingsReply, asks=SavingsQuery
)


def routes(savings: SavingsReader, clock: Clock) -> tuple[RouteSpec, ...]:
    """Return the route."""

    async def report(request: Request) -> Reply:
        request.query(FIELDS)
        now = clock.unix_micros()
        since = read_since(request.text("since"), now)
        until = read_until(request.text("until"), since, now)
        most = request.number("limit", DEFAULT_REQUESTS, MOST_REQUESTS)
        found = await savings.report(request.part("uuid"), Past(since, until, most))
        return json_reply(
            {
                "savings": {
                    "router": found.router,
                    "since": iso_time(since),
                    "until": iso_time(until),
                    "requests": found.known,
                    **savings_fields(found.savings, found.quality, has_tasks=found.router != MANAGED_ROUTER),
                }
            }
        )

    return (RouteSpec("GET", PATH, report, Audience.ADMIN, ENTRY),)
