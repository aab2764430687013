"""`headrace deployments costs`: what replicas cost, busy and idle, beside the price of the same tokens elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import open_client, segment
from headrace.cli.deployment_costs_text import deployment_costs_text
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.replies import part
from headrace.cli.session import Session


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class CostFlags:
    """Which time is meant."""

    since: Annotated[str | None, Parameter(help="From when: 7d or 24h back, a date, or an ISO time (7d).")] = None
    until: Annotated[str | None, Parameter(help="Until when, written alike (now).")] = None


LAST_WEEK = CostFlags()


def costs(
    deployment: str,
    /,
    *,
    asked: CostFlags = LAST_WEEK,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Show what a deployment's replicas cost, how much of it requests had, and what its tokens cost by the token.

    Parameters
    ----------
    deployment:
        The deployment's name or id; of one that was removed, its id.
    """
    query = {"since": asked.since, "until": asked.until}
    given = {name: value for name, value in query.items() if value is not None}
    with open_client(session, flags) as client:
        reply = client.get(f"/v2/dedicated-inferences/{segment(deployment)}/costs", "admin", given)
    line = deployment_costs_text(part(reply, "costs"))
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))
