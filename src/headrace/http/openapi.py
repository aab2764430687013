"""The published description of every route, assembled from the tables of routes and served at `/openapi.json`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from headrace import __version__
from headrace.domain.json_value import JsonObject
from headrace.http.hot_routes import HOT_ROUTES
from headrace.http.routing import Audience, Reply, Request, RouteSpec, resource_reply
from headrace.wire.openapi import Access, Described, Entry, document
from headrace.wire.openapi_control import AnyDocument

PATH = "/openapi.json"
METRICS_PATH = "/metrics"
_ACCESS: Mapping[Audience, Access] = {Audience.ADMIN: "admin", Audience.OWN: "own", Audience.PUBLIC: "everybody"}
_ENTRY = Entry("This description", AnyDocument, sends=("etag",), reads=("if-none-match",))


def openapi_routes(others: Iterable[RouteSpec]) -> tuple[RouteSpec, ...]:
    """Return `/openapi.json`, which tells of the hot routes, of these others and of itself; made when first asked."""
    made: list[Reply] = []

    async def described(_: Request) -> Reply:
        if not made:
            made.append(await asyncio.to_thread(lambda: resource_reply(description((*table, own)))))
        return made[0]

    table = tuple(others)
    own = RouteSpec("GET", PATH, described, Audience.PUBLIC, _ENTRY)
    return (own,)


def description(specs: Iterable[RouteSpec]) -> JsonObject:
    """Return the document of the hot routes and of these; a route without an entry is left out."""
    hot = [Described("POST", each.path, "own", each.entry) for each in HOT_ROUTES if each.entry is not None]
    return document([*hot, *_described(specs)], __version__)


def undescribed(specs: Iterable[RouteSpec]) -> tuple[str, ...]:
    """Return a sentence for each route without an entry that says where to add it."""
    hot = tuple(
        f"POST {each.path} has no entry: give its HotRoute in headrace.http.inference one"
        for each in HOT_ROUTES
        if each.entry is None
    )
    return hot + tuple(
        f"{spec.method} {spec.path} has no entry: give its RouteSpec in {spec.endpoint.__module__} an Entry "
        "(headrace.wire.openapi), with shapes from a module headrace.wire.openapi_*"
        for spec in specs
        if spec.entry is None
    )


def _described(specs: Iterable[RouteSpec]) -> Iterator[Described]:
    for spec in specs:
        if spec.entry is None or spec.audience is None:
            continue
        access: Access = "admin elsewhere" if spec.path == METRICS_PATH else _ACCESS[spec.audience]
        yield Described(spec.method, spec.path, access, spec.entry)
