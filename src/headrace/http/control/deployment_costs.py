"""What a deployment cost over some time, beside what its tokens cost elsewhere."""

from __future__ import annotations

from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.ports.ambient import Clock
from headrace.services.deployment_costs import DeploymentCostReader
from headrace.wire.deployment_costs_json import deployment_costs_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_deployment_costs import DeploymentCostsQuery, DeploymentCostsReply
from headrace.wire.past_query import read_since, read_until

PATH = "/v2/dedicated-inferences/{id}/costs"
FIELDS = frozenset({"since", "until"})
ENTRY = Entry(
    "Shows what a deployment's replicas cost, busy and idle, beside its tokens' price elsewhere",
    DeploymentCostsReply,
    asks=DeploymentCostsQuery,
)


def routes(costs: DeploymentCostReader, clock: Clock) -> tuple[RouteSpec, ...]:
    """Return the route."""

    async def report(request: Request) -> Reply:
        request.query(FIELDS)
        now = clock.unix_micros()
        since = read_since(request.text("since"), now)
        until = read_until(request.text("until"), since, now)
        found = await costs.report(request.part("id"), since, until)
        return json_reply({"costs": deployment_costs_object(found)})

    return (RouteSpec("GET", PATH, report, Audience.ADMIN, ENTRY),)
