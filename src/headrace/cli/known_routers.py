"""Finds routers of the server by the name that people know them by."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.cli.client import ApiClient
from headrace.cli.replies import number, part, parts, text
from headrace.domain.errors import NotFound
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.names import did_you_mean
from headrace.domain.router import PREFIX

PATH = "/v2/gen-ai/models/routers"
PAGE_LIMIT = 1_000


def all_pages(client: ApiClient, path: str, plural: str) -> JsonObject:
    """Return a list of the routers' family, every page of it in one reply."""
    reply = client.get(path, "admin", {"page": 1, "per_page": PAGE_LIMIT})
    found: list[JsonValue] = list(parts(reply, plural))
    for page in range(2, number(part(reply, "meta"), "pages") + 1):
        found += parts(client.get(path, "admin", {"page": page, "per_page": PAGE_LIMIT}), plural)
    return {plural: found, "meta": {"total": len(found)}, "links": {"pages": {}}}


def router_named(routers: Iterable[JsonObject], name: str) -> JsonObject | None:
    """Return the router of a name, with or without `router:`, or of a uuid, or None."""
    wanted = name.removeprefix(PREFIX)
    return next((each for each in routers if wanted in (each.get("name"), each.get("uuid"))), None)


def find_router(client: ApiClient, name: str) -> JsonObject:
    """Return the router of a name or uuid; raises NotFound naming the closest."""
    routers = parts(all_pages(client, PATH, "model_routers"), "model_routers")
    found = router_named(routers, name)
    if found is None:
        hint = did_you_mean(name.removeprefix(PREFIX), [text(each, "name") for each in routers])
        raise NotFound(
            f'No router named "{name}". {hint or "`headrace routers list` lists them."}', code="router_not_found"
        )
    return found
