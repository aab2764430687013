"""Aliases: names that point at models and may be pointed elsewhere while requests run."""

from __future__ import annotations

from headrace.domain.alias import Alias
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply, require_match, resource_reply
from headrace.services.aliases import Aliases, Check, WantedAlias
from headrace.wire.control_json import list_object
from headrace.wire.iso_time import iso_time

PATH = "/v2/aliases"
ONE = PATH + "/{name:path}"
FIELDS = frozenset({"points_to", "fallbacks"})


def routes(aliases: Aliases) -> tuple[RouteSpec, ...]:
    """Return list, creation, one alias, its change and its removal."""

    async def all_aliases(_: Request) -> Reply:
        return resource_reply(list_object("aliases", map(alias_object, aliases.list())))

    async def create(request: Request) -> Reply:
        fields = await request.fields(FIELDS | {"name"})
        alias = await aliases.create(_wanted(_text(fields, "name"), fields))
        return json_reply(_wrapped(alias), 201)

    async def one(request: Request) -> Reply:
        return resource_reply(_wrapped(aliases.find(request.part("name"))))

    async def put(request: Request) -> Reply:
        fields = await request.fields(FIELDS)
        alias, is_new = await aliases.put(_wanted(request.part("name"), fields), _unchanged(request))
        return json_reply(_wrapped(alias), 201) if is_new else resource_reply(_wrapped(alias))

    async def remove(request: Request) -> Reply:
        return resource_reply(_wrapped(await aliases.remove(request.part("name"), _unchanged(request))))

    return (
        RouteSpec("GET", PATH, all_aliases, Audience.ADMIN),
        RouteSpec("POST", PATH, create, Audience.ADMIN),
        RouteSpec("GET", ONE, one, Audience.ADMIN),
        RouteSpec("PUT", ONE, put, Audience.ADMIN),
        RouteSpec("DELETE", ONE, remove, Audience.ADMIN),
    )


def alias_object(alias: Alias) -> JsonObject:
    """Return an alias as it is shown."""
    return {
        "name": alias.name,
        "points_to": alias.points_to,
        "fallbacks": list[JsonValue](alias.fallbacks),
        "created_at": iso_time(alias.created_at_micros),
        "changed_at": iso_time(alias.changed_at_micros),
    }


def _wrapped(alias: Alias) -> JsonObject:
    return {"alias": alias_object(alias)}


def _unchanged(request: Request) -> Check:
    def check(present: Alias | None) -> None:
        require_match(request, {} if present is None else _wrapped(present))

    return check


def _wanted(name: str, fields: JsonObject) -> WantedAlias:
    fallbacks = fields.get("fallbacks")
    if fallbacks is None:
        return WantedAlias(name, _text(fields, "points_to"))
    if not isinstance(fallbacks, list):
        raise InvalidRequest('"fallbacks" must be a list of model ids.', param="fallbacks")
    names = tuple(each for each in fallbacks if isinstance(each, str))
    if len(names) != len(fallbacks):
        raise InvalidRequest('Every entry of "fallbacks" must be a string, a model\'s id.', param="fallbacks")
    return WantedAlias(name, _text(fields, "points_to"), names)


def _text(fields: JsonObject, name: str) -> str:
    value = fields.get(name)
    if isinstance(value, str):
        return value
    raise InvalidRequest(f'"{name}" is missing or not a string.', param=name)
