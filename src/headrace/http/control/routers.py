"""Routers: tasks with their pools under a name that callers write as the model; the catalog's presets of both.

Source: https://github.com/digitalocean/openapi, `/v2/gen-ai/models/routers`, by pydo 0.44.0 (read 2026-11-30): that
client takes 200 and 404 for answers, so a router that was made is answered with 200.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.domain.router import Router
from headrace.http.pages import page_links
from headrace.http.routing import (
    CHANGE,
    READ,
    TAGGED,
    Audience,
    Reply,
    Request,
    RouteSpec,
    json_reply,
    require_match,
    resource_reply,
)
from headrace.services.routers import Check, Routers
from headrace.wire.control_json import list_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_routers import (
    DeletedRouter,
    PageQuery,
    PresetRouterList,
    PresetTaskList,
    RouterBody,
    RouterList,
    RouterReplacement,
    RouterReply,
)
from headrace.wire.router_json import FIELDS, preset_object, preset_task_object, read_draft, router_object

PATH = "/v2/gen-ai/models/routers"
ONE = PATH + "/{uuid}"
PRESETS = PATH + "/presets"
TASKS = PATH + "/tasks/presets"
PAGE_LIMIT = 200
MAX_PAGE_LIMIT = 1_000
MAX_PAGE = 1_000_000
LIST_ENTRY = Entry("Lists routers", RouterList, asks=PageQuery, sends=TAGGED, reads=READ)
CREATE_ENTRY = Entry("Makes a router", RouterReply, RouterBody, fails=(409,))
ONE_ENTRY = Entry("Shows one router", RouterReply, sends=TAGGED, reads=READ)
REPLACE_ENTRY = Entry("Puts another router in its place", RouterReply, RouterReplacement, sends=TAGGED, reads=CHANGE)
REMOVE_ENTRY = Entry("Deletes a router that no alias points at", DeletedRouter, reads=CHANGE)
PRESETS_ENTRY = Entry("Lists the catalog's routers", PresetRouterList, asks=PageQuery, sends=TAGGED, reads=READ)
TASKS_ENTRY = Entry("Lists the catalog's tasks", PresetTaskList, asks=PageQuery, sends=TAGGED, reads=READ)


def routes(routers: Routers) -> tuple[RouteSpec, ...]:
    """Return lists, creation, one router, its replacement and its removal."""

    async def page(request: Request) -> Reply:
        return _page(request, PATH, "model_routers", [_shown(routers, each) for each in routers.list()])

    async def presets(request: Request) -> Reply:
        found = [preset_object(each, routers.corrections(each.router)) for each in routers.presets()]
        return _page(request, PRESETS, "presets", found)

    async def tasks(request: Request) -> Reply:
        return _page(request, TASKS, "tasks", [preset_task_object(each) for each in routers.preset_tasks()])

    async def create(request: Request) -> Reply:
        return json_reply(_wrapped(routers, await routers.create(read_draft(await request.fields(FIELDS)))))

    async def one(request: Request) -> Reply:
        return resource_reply(_wrapped(routers, routers.find(request.part("uuid"))))

    async def replace(request: Request) -> Reply:
        uuid, fields = request.part("uuid"), await request.fields(FIELDS | {"uuid"})
        if fields.pop("uuid", None) not in (None, uuid):
            raise InvalidRequest(f'"uuid" must be left out, or be "{uuid[:80]}" as in the path.', param="uuid")
        return resource_reply(
            _wrapped(routers, await routers.replace(uuid, read_draft(fields), _unchanged(routers, request)))
        )

    async def remove(request: Request) -> Reply:
        removed = await routers.remove(request.part("uuid"), _unchanged(routers, request))
        return json_reply({"uuid": removed.uuid})

    return (
        RouteSpec("GET", PATH, page, Audience.ADMIN, LIST_ENTRY),
        RouteSpec("POST", PATH, create, Audience.ADMIN, CREATE_ENTRY),
        RouteSpec("GET", PRESETS, presets, Audience.ADMIN, PRESETS_ENTRY),
        RouteSpec("GET", TASKS, tasks, Audience.ADMIN, TASKS_ENTRY),
        RouteSpec("GET", ONE, one, Audience.ADMIN, ONE_ENTRY),
        RouteSpec("PUT", ONE, replace, Audience.ADMIN, REPLACE_ENTRY),
        RouteSpec("DELETE", ONE, remove, Audience.ADMIN, REMOVE_ENTRY),
    )


def _shown(routers: Routers, router: Router) -> JsonObject:
    return router_object(router, routers.corrections(router))


def _wrapped(routers: Routers, router: Router) -> JsonObject:
    return {"model_router": _shown(routers, router)}


def _unchanged(routers: Routers, request: Request) -> Check:
    return lambda present: require_match(request, _wrapped(routers, present))


def _page(request: Request, path: str, plural: str, found: Sequence[JsonObject]) -> Reply:
    number, limit = request.number("page", 1, MAX_PAGE), request.number("per_page", PAGE_LIMIT, MAX_PAGE_LIMIT)
    pages = max(1, -(-len(found) // limit))
    meta: JsonObject = {"total": len(found), "page": number, "pages": pages}
    reply = list_object(plural, found[(number - 1) * limit : number * limit], meta)
    reply["links"] = {"pages": page_links(path, number, pages, limit)}
    return resource_reply(reply)
