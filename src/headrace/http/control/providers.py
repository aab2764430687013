"""Providers and their credentials; a credential goes in and never comes out."""

from __future__ import annotations

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.domain.secret import Secret
from headrace.http.routing import Audience, Reply, Request, RouteSpec, require_match, resource_reply
from headrace.services.provider_credentials import Check, ProviderCredentials, ProviderState
from headrace.wire.control_json import list_object, provider_object

PATH = "/v2/providers"
FIELDS = frozenset({"credential"})


def routes(credentials: ProviderCredentials) -> tuple[RouteSpec, ...]:
    """Return list, one provider, and setting and removing its credential."""

    async def all_providers(request: Request) -> Reply:
        return resource_reply(list_object("providers", map(_object, await credentials.list())))

    async def one(request: Request) -> Reply:
        return resource_reply(_wrapped(await credentials.get(request.part("name"))))

    async def set_credential(request: Request) -> Reply:
        fields = await request.fields(FIELDS)
        text = fields.get("credential")
        if not isinstance(text, str):
            raise InvalidRequest('"credential" is missing or not a string.', param="credential")
        state = await credentials.set(request.part("name"), Secret(text), _unchanged(request))
        return resource_reply(_wrapped(state))

    async def remove_credential(request: Request) -> Reply:
        return resource_reply(_wrapped(await credentials.remove(request.part("name"), _unchanged(request))))

    return (
        RouteSpec("GET", PATH, all_providers, Audience.ADMIN),
        RouteSpec("GET", PATH + "/{name}", one, Audience.ADMIN),
        RouteSpec("PUT", PATH + "/{name}/credential", set_credential, Audience.ADMIN),
        RouteSpec("DELETE", PATH + "/{name}/credential", remove_credential, Audience.ADMIN),
    )


def _object(state: ProviderState) -> JsonObject:
    return provider_object(state.provider, state.source, state.models)


def _wrapped(state: ProviderState) -> JsonObject:
    return {"provider": _object(state)}


def _unchanged(request: Request) -> Check:
    def check(state: ProviderState) -> None:
        require_match(request, _wrapped(state))

    return check
