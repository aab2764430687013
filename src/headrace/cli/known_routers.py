"""Finds routers of the server by the name that people know them by."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.cli.client import ApiClient
from headrace.cli.pages import every_page
from headrace.cli.replies import parts, text
from headrace.domain.errors import NotFound
from headrace.domain.json_value import JsonObject
from headrace.domain.names import did_you_mean
from headrace.domain.router import PREFIX

PATH = "/v2/gen-ai/models/routers"
PLURAL = "model_routers"


def all_routers(client: ApiClient) -> list[JsonObject]:
    """Return every router that was made."""
    return parts(every_page(client, PATH, PLURAL), PLURAL)


def router_named(routers: Iterable[JsonObject], name: str) -> JsonObject | None:
    """Return the router of a name, with or without `router:`, or of a uuid, or None."""
    wanted = name.removeprefix(PREFIX)
    return next((each for each in routers if wanted in (each.get("name"), each.get("uuid"))), None)


def find_router(client: ApiClient, name: str) -> JsonObject:
    """Return the router of a name or uuid; raises NotFound naming the closest."""
    routers = all_routers(client)
    found = router_named(routers, name)
    if found is None:
        hint = did_you_mean(name.removeprefix(PREFIX), [text(each, "name") for each in routers])
        raise NotFound(
            f'No router named "{name}". {hint or "`headrace routers list` lists them."}', code="router_not_found"
        )
    return found


def path_of(router: JsonObject) -> str:
    """Return the path of one router."""
    return f"{PATH}/{text(router, 'uuid')}"
