"""`headrace routers savings`: what a router's requests cost beside what they would have cost elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from headrace.cli.client import ApiClient, given, segment
from headrace.cli.known_routers import PATH
from headrace.cli.replies import part
from headrace.cli.savings_text import savings_text
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.router import PREFIX


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class SavingsFlags:
    """Which requests are added up."""

    since: Annotated[str | None, Parameter(help="From when: 7d or 24h back, a date, or an ISO time (7d).")] = None
    until: Annotated[str | None, Parameter(help="Until when, written alike (now).")] = None
    limit: Annotated[PositiveInt | None, Parameter(help="The newest so many requests, up to 50000 (10000).")] = None


LAST_WEEK = SavingsFlags()


@asks_server
def savings(client: ApiClient, router: str, /, *, asked: SavingsFlags = LAST_WEEK) -> Told:
    """Show what a router cost and saved, by route and model, beside controls and known quality.

    Parameters
    ----------
    router:
        The router's name or uuid, a preset's name, or inference-router.
    """
    query = given(since=asked.since, until=asked.until, limit=asked.limit)
    reply = client.get(f"{PATH}/{segment(router.removeprefix(PREFIX))}/savings", "admin", query)
    return Told(reply, savings_text(part(reply, "savings")))
