"""Providers and their credentials; a credential goes in and never comes out."""

from __future__ import annotations

from headrace.domain.credential import DEFAULT_LABEL
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.domain.secret import Secret
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
from headrace.services.provider_credentials import Check, CredentialReport, ProviderCredentials, ProviderState
from headrace.wire.control_json import credential_object, list_object, provider_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_control import CredentialBody, CredentialList, ProviderList, ProviderReply

PATH = "/v2/providers"
FIELDS = frozenset({"credential"})
LIST_ENTRY = Entry("Lists providers and where their keys come from", ProviderList, sends=TAGGED, reads=READ)
ONE_ENTRY = Entry("Shows one provider", ProviderReply, sends=TAGGED, reads=READ)
SET_ENTRY = Entry(
    "Sets a provider's default key; sealed, live at once, never shown again",
    ProviderReply,
    CredentialBody,
    sends=TAGGED,
    reads=CHANGE,
)
REMOVE_ENTRY = Entry("Forgets a provider's default key", ProviderReply, sends=TAGGED, reads=CHANGE)
KEYS_ENTRY = Entry("Lists a provider's keys by label, and how they do", CredentialList)
SET_LABEL_ENTRY = Entry(
    "Sets one of a provider's keys; sealed, live at once, never shown again",
    ProviderReply,
    CredentialBody,
    sends=TAGGED,
    reads=CHANGE,
)
REMOVE_LABEL_ENTRY = Entry("Forgets one of a provider's stored keys", ProviderReply, sends=TAGGED, reads=CHANGE)


def routes(credentials: ProviderCredentials) -> tuple[RouteSpec, ...]:
    """Return list, one provider, its credentials with their health, and setting and removing one of them."""

    async def all_providers(request: Request) -> Reply:
        return resource_reply(list_object("providers", map(_object, credentials.list())))

    async def one(request: Request) -> Reply:
        return resource_reply(_wrapped(credentials.get(request.part("name"))))

    async def all_credentials(request: Request) -> Reply:
        return json_reply(list_object("credentials", map(_reported, credentials.reports(request.part("name")))))

    async def set_credential(request: Request) -> Reply:
        fields = await request.fields(FIELDS)
        text = fields.get("credential")
        if not isinstance(text, str):
            raise InvalidRequest('"credential" is missing or not a string.', param="credential")
        state = await credentials.set(request.part("name"), Secret(text), _label(request), _unchanged(request))
        return resource_reply(_wrapped(state))

    async def remove_credential(request: Request) -> Reply:
        state = await credentials.remove(request.part("name"), _label(request), _unchanged(request))
        return resource_reply(_wrapped(state))

    return (
        RouteSpec("GET", PATH, all_providers, Audience.ADMIN, LIST_ENTRY),
        RouteSpec("GET", PATH + "/{name}", one, Audience.ADMIN, ONE_ENTRY),
        RouteSpec("PUT", PATH + "/{name}/credential", set_credential, Audience.ADMIN, SET_ENTRY),
        RouteSpec("DELETE", PATH + "/{name}/credential", remove_credential, Audience.ADMIN, REMOVE_ENTRY),
        RouteSpec("GET", PATH + "/{name}/credentials", all_credentials, Audience.ADMIN, KEYS_ENTRY),
        RouteSpec("PUT", PATH + "/{name}/credentials/{label}", set_credential, Audience.ADMIN, SET_LABEL_ENTRY),
        RouteSpec(
            "DELETE", PATH + "/{name}/credentials/{label}", remove_credential, Audience.ADMIN, REMOVE_LABEL_ENTRY
        ),
    )


def _label(request: Request) -> str:
    """Return the label in the path; the path without one means the default."""
    return str(request.scope["path_params"].get("label", DEFAULT_LABEL))


def _object(state: ProviderState) -> JsonObject:
    return provider_object(state.provider, state.source, state.models)


def _wrapped(state: ProviderState) -> JsonObject:
    return {"provider": _object(state)}


def _reported(report: CredentialReport) -> JsonObject:
    return credential_object(report.credential, report.health, report.since_micros, report.until_micros)


def _unchanged(request: Request) -> Check:
    def check(state: ProviderState) -> None:
        require_match(request, _wrapped(state))

    return check
