"""Aliases: names that point at models and may be pointed elsewhere while requests run."""

from __future__ import annotations

from headrace.domain.alias import Alias
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
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
from headrace.services.alias_rules import WantedAlias
from headrace.services.aliases import Aliases, Check
from headrace.wire.control_json import list_object
from headrace.wire.iso_time import iso_time
from headrace.wire.openapi import Entry
from headrace.wire.openapi_control import AliasBody, AliasList, AliasReply, NewAliasBody

PATH = "/v2/aliases"
ONE = PATH + "/{name:path}"
FIELDS = frozenset({"points_to", "fallbacks"})
LIST_ENTRY = Entry("Lists aliases", AliasList, sends=TAGGED, reads=READ)
CREATE_ENTRY = Entry("Makes an alias", AliasReply, NewAliasBody, statuses=(201,), fails=(409,))
ONE_ENTRY = Entry("Shows one alias", AliasReply, sends=TAGGED, reads=READ)
PUT_ENTRY = Entry("Makes an alias or points it elsewhere", AliasReply, AliasBody, statuses=(200, 201), reads=CHANGE)
REMOVE_ENTRY = Entry("Deletes an alias; the model stays", AliasReply, reads=CHANGE)


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
        RouteSpec("GET", PATH, all_aliases, Audience.ADMIN, LIST_ENTRY),
        RouteSpec("POST", PATH, create, Audience.ADMIN, CREATE_ENTRY),
        RouteSpec("GET", ONE, one, Audience.ADMIN, ONE_ENTRY),
        RouteSpec("PUT", ONE, put, Audience.ADMIN, PUT_ENTRY),
        RouteSpec("DELETE", ONE, remove, Audience.ADMIN, REMOVE_ENTRY),
    )


def alias_object(alias: Alias) -> JsonObject:
    """Return an alias as it is shown."""
    return {
        "name": alias.name,
        "points_to": alias.points_to,
        "fallbacks": list[JsonValue](alias.fallbacks),
        "source": alias.source,
        "created_at": None if alias.source == "file" else iso_time(alias.created_at_micros),
        "changed_at": None if alias.source == "file" else iso_time(alias.changed_at_micros),
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
