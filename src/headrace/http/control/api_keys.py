"""Model access keys; a secret is shown in the one reply that makes it."""

from __future__ import annotations

from headrace.domain.access import AccessKey, Role
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply, require_match, resource_reply
from headrace.services.identity import Minted, NewKey
from headrace.services.keys import DEFAULT_ACCOUNT, Check, Keys
from headrace.wire.control_json import key_info, list_object

PATH = "/v2/gen-ai/models/api_keys"
FIELDS = frozenset({"name", "models", "account"})
MAX_MODELS = 1000


def routes(keys: Keys) -> tuple[RouteSpec, ...]:
    """Return list, creation, one key, revocation and regeneration."""

    async def all_keys(request: Request) -> Reply:
        return resource_reply(list_object("api_key_infos", map(key_info, await keys.list())))

    async def create(request: Request) -> Reply:
        fields = await request.fields(FIELDS)
        account = _text(fields, "account") if fields.get("account") is not None else DEFAULT_ACCOUNT
        wanted = NewKey(_text(fields, "name"), Role.KEY, account, _models(fields.get("models")))
        return _shown_once(await keys.create(wanted), 201)

    async def one(request: Request) -> Reply:
        return resource_reply(_info(await keys.find(request.part("uuid"))))

    async def revoke(request: Request) -> Reply:
        return resource_reply(_info(await keys.revoke(request.part("uuid"), _unchanged(request))))

    async def regenerate(request: Request) -> Reply:
        return _shown_once(await keys.regenerate(request.part("uuid"), _unchanged(request)), 200)

    return (
        RouteSpec("GET", PATH, all_keys, Audience.ADMIN),
        RouteSpec("POST", PATH, create, Audience.ADMIN),
        RouteSpec("GET", PATH + "/{uuid}", one, Audience.ADMIN),
        RouteSpec("DELETE", PATH + "/{uuid}", revoke, Audience.ADMIN),
        RouteSpec("PUT", PATH + "/{uuid}/regenerate", regenerate, Audience.ADMIN),
    )


def _info(key: AccessKey) -> JsonObject:
    return {"api_key_info": key_info(key)}


def _shown_once(minted: Minted, status: int) -> Reply:
    return json_reply({"api_key_info": key_info(minted.key, minted.text)}, status)


def _unchanged(request: Request) -> Check:
    def check(key: AccessKey) -> None:
        require_match(request, _info(key))

    return check


def _text(fields: JsonObject, name: str) -> str:
    value = fields.get(name)
    if isinstance(value, str):
        return value
    raise InvalidRequest(f'"{name}" is missing or not a string.', param=name)


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
