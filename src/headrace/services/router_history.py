"""What routers decided in the past, read page by page; what is made of it is the replays' and the savings'."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from headrace.domain.errors import NotFound
from headrace.domain.names import did_you_mean
from headrace.domain.router import MANAGED_ROUTER, PREFIX, Router
from headrace.domain.snapshot import Snapshot
from headrace.ports.routing import Decisions, RoutedRequest

PAGE = 200
DEFAULT_REQUESTS, MOST_REQUESTS = 10_000, 50_000


@dataclass(frozen=True, slots=True)
class Past:
    """The newest so many requests from one moment up to another; microseconds since 1970 UTC."""

    since_micros: int
    until_micros: int
    most: int = DEFAULT_REQUESTS


async def pages(decisions: Decisions, router: str, past: Past) -> AsyncGenerator[tuple[RoutedRequest, ...], None]:
    """Yield what the router decided, the newest page first."""
    before, left = (past.until_micros, ""), past.most
    while left > 0:
        page = await decisions.since(router, past.since_micros, min(PAGE, left), before)
        if not page:
            return
        yield page
        left -= len(page)
        before = page[0].received_at_micros, page[0].request_id


def find_any(given: str, snapshot: Snapshot) -> Router | None:
    """Return a router by its uuid or name, a preset too, and None for the managed one; raises NotFound."""
    if given == MANAGED_ROUTER:
        return None
    name = given.removeprefix(PREFIX)
    found = snapshot.routers.get(name) or next((each for each in snapshot.routers.values() if each.uuid == given), None)
    if found is None:
        hint = did_you_mean(name, (*snapshot.routers, MANAGED_ROUTER)) or "`headrace routers list` lists them."
        raise NotFound(f'No router has the uuid or the name "{given[:128]}". {hint}', code="router_not_found")
    return found


def logged_name(router: Router | None) -> str:
    """Return the name under which a router's decisions are kept."""
    return MANAGED_ROUTER if router is None else router.name
