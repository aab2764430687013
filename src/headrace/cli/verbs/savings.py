"""`headrace routers savings`: what a router's requests cost beside what they would have cost elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from headrace.cli.client import open_client, segment
from headrace.cli.known_routers import PATH
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.replies import part
from headrace.cli.savings_text import savings_text
from headrace.cli.session import Session
from headrace.domain.router import PREFIX


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class SavingsFlags:
    """Which requests are added up."""

    since: Annotated[str | None, Parameter(help="From when: 7d or 24h back, a date, or an ISO time (7d).")] = None
    until: Annotated[str | None, Parameter(help="Until when, written alike (now).")] = None
    limit: Annotated[PositiveInt | None, Parameter(help="The newest so many requests, up to 50000 (10000).")] = None


LAST_WEEK = SavingsFlags()


def savings(
    router: str,
    /,
    *,
    asked: SavingsFlags = LAST_WEEK,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Show what a router's requests cost and saved, by route and model, beside controls, and what is known of quality.

    Parameters
    ----------
    router:
        The router's name or uuid, a preset's name, or inference-router.
    """
    query = {"since": asked.since, "until": asked.until, "limit": asked.limit}
    given = {name: value for name, value in query.items() if value is not None}
    with open_client(session, flags) as client:
        reply = client.get(f"{PATH}/{segment(router.removeprefix(PREFIX))}/savings", "admin", given)
    line = savings_text(part(reply, "savings"))
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))
