"""`headrace deployments costs`: what replicas cost, busy and idle, beside the price of the same tokens elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient, given, segment
from headrace.cli.deployment_costs_text import deployment_costs_text
from headrace.cli.known_deployments import PATH
from headrace.cli.replies import part
from headrace.cli.verb_shapes import Told, asks_server


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class CostFlags:
    """Which time is meant."""

    since: Annotated[str | None, Parameter(help="From when: 7d or 24h back, a date, or an ISO time (7d).")] = None
    until: Annotated[str | None, Parameter(help="Until when, written alike (now).")] = None


LAST_WEEK = CostFlags()


@asks_server
def costs(client: ApiClient, deployment: str, /, *, asked: CostFlags = LAST_WEEK) -> Told:
    """Show what a deployment costs, how much of it was busy, and what its tokens would have cost per token.

    Parameters
    ----------
    deployment:
        The deployment's name or id. For a deleted deployment, its id.
    """
    query = given(since=asked.since, until=asked.until)
    reply = client.get(f"{PATH}/{segment(deployment)}/costs", "admin", query)
    return Told(reply, deployment_costs_text(part(reply, "costs")))
