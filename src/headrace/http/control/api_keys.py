"""Model access keys; a secret is shown in the one reply that makes it."""

from __future__ import annotations

from dataclasses import replace

from headrace.domain.access import AccessKey, Role
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.team import DEFAULT_TEAM
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
from headrace.services.identity import Minted, NewKey
from headrace.services.keys import Check, Edit, Keys
from headrace.wire.control_json import key_info, list_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_control import KeyChangeBody, KeyList, KeyReply, NewKeyBody

PATH = "/v2/gen-ai/models/api_keys"
FIELDS = frozenset({"name", "models", "team", "account", "response_cache"})
CHANGE_FIELDS = frozenset({"name", "response_cache", "api_key_uuid"})
MAX_MODELS = 1000
LIST_ENTRY = Entry("Lists the keys, never their secrets", KeyList, sends=TAGGED, reads=READ)
CREATE_ENTRY = Entry("Makes a key; its secret is shown in this reply only", KeyReply, NewKeyBody, statuses=(201,))
ONE_ENTRY = Entry("Shows one key", KeyReply, sends=TAGGED, reads=READ)
CHANGE_ENTRY = Entry(
    "Renames a key, or changes its cache of replies", KeyReply, KeyChangeBody, sends=TAGGED, reads=CHANGE
)
REVOKE_ENTRY = Entry("Revokes a key at once", KeyReply, sends=TAGGED, reads=CHANGE)
REGENERATE_ENTRY = Entry("Makes a key of the same name and rights, revokes the old one", KeyReply, reads=CHANGE)


def routes(keys: Keys) -> tuple[RouteSpec, ...]:
    """Return list, creation, one key, its change, revocation and regeneration."""

    async def all_keys(request: Request) -> Reply:
        return resource_reply(list_object("api_key_infos", map(key_info, await keys.list())))

    async def create(request: Request) -> Reply:
        fields = await request.fields(FIELDS)
        name, models = _text(fields, "name"), _models(fields.get("models"))
        wanted = NewKey(name, Role.KEY, _team(fields), models, _cache_seconds(fields.get("response_cache")))
        return _shown_once(await keys.create(wanted), 201)

    async def one(request: Request) -> Reply:
        return resource_reply(_info(await keys.find(request.part("uuid"))))

    async def change(request: Request) -> Reply:
        uuid = request.part("uuid")
        edit = _edit(await request.fields(CHANGE_FIELDS), uuid)
        return resource_reply(_info(await keys.change(uuid, edit, _unchanged(request))))

    async def revoke(request: Request) -> Reply:
        return resource_reply(_info(await keys.revoke(request.part("uuid"), _unchanged(request))))

    async def regenerate(request: Request) -> Reply:
        return _shown_once(await keys.regenerate(request.part("uuid"), _unchanged(request)), 200)

    return (
        RouteSpec("GET", PATH, all_keys, Audience.ADMIN, LIST_ENTRY),
        RouteSpec("POST", PATH, create, Audience.ADMIN, CREATE_ENTRY),
        RouteSpec("GET", PATH + "/{uuid}", one, Audience.ADMIN, ONE_ENTRY),
        RouteSpec("PUT", PATH + "/{uuid}", change, Audience.ADMIN, CHANGE_ENTRY),
        RouteSpec("DELETE", PATH + "/{uuid}", revoke, Audience.ADMIN, REVOKE_ENTRY),
        RouteSpec("PUT", PATH + "/{uuid}/regenerate", regenerate, Audience.ADMIN, REGENERATE_ENTRY),
    )


def _info(key: AccessKey) -> JsonObject:
    return {"api_key_info": key_info(key)}


def _shown_once(minted: Minted, status: int) -> Reply:
    return json_reply({"api_key_info": key_info(minted.key, minted.text)}, status)


def _unchanged(request: Request) -> Check:
    def check(key: AccessKey) -> None:
        require_match(request, _info(key))

    return check


def _edit(fields: JsonObject, uuid: str) -> Edit:
    if fields.get("api_key_uuid", uuid) != uuid:
        raise InvalidRequest('"api_key_uuid" names another key than the path does.', param="api_key_uuid")
    name = _text(fields, "name") if "name" in fields else None
    seconds = _cache_seconds(fields.get("response_cache"))

    def edit(key: AccessKey) -> AccessKey:
        kept = seconds if "response_cache" in fields else key.cache_seconds
        return replace(key, name=key.name if name is None else name, cache_seconds=kept)

    return edit


def _cache_seconds(value: JsonValue) -> int | None:
    if value is None:
        return None
    seconds = value.get("ttl_seconds") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise InvalidRequest(
            '"response_cache" must be null or {"ttl_seconds": N}, a whole number.', param="response_cache"
        )
    return seconds


def _text(fields: JsonObject, name: str) -> str:
    value = fields.get(name)
    if isinstance(value, str):
        return value
    raise InvalidRequest(f'"{name}" is missing or not a string.', param=name)


def _team(fields: JsonObject) -> str:
    """A team's account has its name, so both fields mean the same."""
    given = [name for name in ("team", "account") if fields.get(name) is not None]
    if len(given) > 1:
        raise InvalidRequest('"account" is another name of "team": send "team" only.', param="account")
    return _text(fields, given[0]) if given else DEFAULT_TEAM


def _models(value: JsonValue) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_MODELS:
        raise InvalidRequest(
            f'"models" must be a list of 1 to {MAX_MODELS} model ids; leave it out to allow every model.',
            param="models",
        )
    names = frozenset(each for each in value if isinstance(each, str))
    if not all(isinstance(each, str) for each in value):
        raise InvalidRequest('Every entry of "models" must be a string, a model\'s id.', param="models")
    return names
