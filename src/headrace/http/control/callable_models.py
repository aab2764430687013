"""The older list of models: those that the caller can call now, a page at a time; the catalog has the others too.

Source: https://github.com/digitalocean/openapi, `/v2/gen-ai/models`, by pydo 0.44.0 (read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.access import Caller
from headrace.domain.catalog import Listed
from headrace.domain.errors import InvalidRequest
from headrace.domain.names import did_you_mean
from headrace.http.pages import page_links
from headrace.http.routing import READ, TAGGED, Audience, Reply, Request, RouteSpec, resource_reply
from headrace.services.snapshots import Snapshots
from headrace.wire.control_json import list_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_catalog import CallableModels, CallableModelsQuery
from headrace.wire.usecases import USECASES, callable_model, usecases_of

PATH = "/v2/gen-ai/models"
PAGE_LIMIT = 200
MAX_PAGE = 1_000_000
LIST_ENTRY = Entry(
    "Lists the models that can be called now, by use case",
    CallableModels,
    asks=CallableModelsQuery,
    sends=TAGGED,
    reads=READ,
)


def routes(snapshots: Snapshots) -> tuple[RouteSpec, ...]:
    """Return the list."""

    async def page(request: Request) -> Reply:
        number, limit = request.number("page", 1, MAX_PAGE), request.number("per_page", PAGE_LIMIT, PAGE_LIMIT)
        _check_switch(request.text("public_only"))
        wanted = _wanted(request.texts("usecases"))
        found = _callable(snapshots, request.who, wanted)
        pages = max(1, -(-len(found) // limit))
        shown = [callable_model(each) for each in found[(number - 1) * limit : number * limit]]
        reply = list_object("models", shown, {"total": len(found), "page": number, "pages": pages})
        chosen = "".join(f"&usecases={name}" for name in wanted)
        reply["links"] = {"pages": page_links(PATH, number, pages, limit, chosen)}
        return resource_reply(reply)

    return (RouteSpec("GET", PATH, page, Audience.OWN, LIST_ENTRY),)


def _callable(snapshots: Snapshots, caller: Caller, wanted: Sequence[str]) -> list[Listed]:
    models = snapshots.current().models
    first = [models[name][0] for name in sorted(models) if caller.may_call(name)]
    return [each for each in first if each.availability.available and _serves(each, wanted)]


def _serves(entry: Listed, wanted: Sequence[str]) -> bool:
    return not wanted or not usecases_of(entry.model).isdisjoint(wanted)


def _wanted(values: Sequence[str]) -> list[str]:
    names = [part.strip() for value in values for part in value.split(",") if part.strip()]
    for name in names:
        if name not in USECASES:
            hint = did_you_mean(name, USECASES)
            raise InvalidRequest(f'No use case named "{name[:80]}".{f" {hint}" if hint else ""}', param="usecases")
    return names


def _check_switch(text: str | None) -> None:
    """Every model of the list is public: the switch only has to be one."""
    if text is not None and text.lower() not in ("true", "false"):
        raise InvalidRequest(f'"public_only" must be true or false, not "{text[:40]}".', param="public_only")
