"""The catalog: every model with its prices, and the reason when it cannot be called."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.access import Caller
from headrace.domain.catalog import Listed
from headrace.domain.errors import NotFound
from headrace.domain.json_value import JsonObject
from headrace.domain.names import did_you_mean
from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, resource_reply
from headrace.ports.fleet import Weights
from headrace.services.snapshots import Snapshots
from headrace.wire.control_json import catalog_entry, list_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_catalog import CatalogModel, CatalogPage, CatalogQuery

PATH = "/v2/gen-ai/models/catalog"
PAGE_LIMIT = 200
MAX_PAGE = 1_000_000
PAGE_ENTRY = Entry(
    "Lists every model, those that cannot be called with the reason",
    CatalogPage,
    asks=CatalogQuery,
    sends=TAGGED,
    reads=READ,
)
ONE_ENTRY = Entry("Shows one model of the catalog", CatalogModel, sends=TAGGED, reads=READ)


def routes(snapshots: Snapshots, weights: Weights) -> tuple[RouteSpec, ...]:
    """Return the list, a page at a time, and one entry."""

    def entry(entries: Sequence[Listed]) -> JsonObject:
        local = entries[0].model.local
        present = local is not None and all(weights.path(each) is not None for each in local.weights)
        return catalog_entry(entries, present)

    async def page(request: Request) -> Reply:
        number, limit = request.number("page", 1, MAX_PAGE), request.number("limit", PAGE_LIMIT, PAGE_LIMIT)
        names = _visible(snapshots, request.who)
        models = snapshots.current().models
        shown = names[(number - 1) * limit : number * limit]
        pages = max(1, -(-len(names) // limit))
        found = list_object(
            "models", [entry(models[name]) for name in shown], {"total": len(names), "page": number, "pages": pages}
        )
        found["links"] = {"pages": _links(number, pages, limit)}
        return resource_reply(found)

    async def one(request: Request) -> Reply:
        name = request.part("id")
        names = _visible(snapshots, request.who)
        if name not in names:
            hint = did_you_mean(name, names)
            raise NotFound(
                f'No model named "{name[:128]}". {hint or f"GET {PATH} lists them."}', code="model_not_found"
            )
        return resource_reply(entry(snapshots.current().models[name]))

    return (
        RouteSpec("GET", PATH, page, Audience.OWN, PAGE_ENTRY),
        RouteSpec("GET", PATH + "/{id:path}", one, Audience.OWN, ONE_ENTRY),
    )


def _visible(snapshots: Snapshots, caller: Caller) -> list[str]:
    return [name for name in sorted(snapshots.current().models) if caller.may_call(name)]


def _links(number: int, pages: int, limit: int) -> JsonObject:
    def link(page: int) -> str:
        return f"{PATH}?page={page}&limit={limit}"

    links: JsonObject = {}
    if number > 1:
        links |= {"first": link(1), "prev": link(min(number - 1, pages))}
    if number < pages:
        links |= {"next": link(number + 1), "last": link(pages)}
    return links
