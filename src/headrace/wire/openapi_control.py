"""Shapes of the control plane's own resources in the published description; writing them is control_json's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.domain.access import Role
from headrace.domain.credential import CredentialSource
from headrace.domain.deployment import ReplicaState

Time = Annotated[str, Meta(description="ISO 8601, UTC.", extra_json_schema={"format": "date-time"})]
Label = Annotated[str, Meta(min_length=1, max_length=64, description="Printable, no space at either end.")]


class ListMeta(Struct, kw_only=True):
    """How many entries there are in all, and in a list of pages which one this is."""

    total: int
    page: int | UnsetType = UNSET
    pages: int | UnsetType = UNSET


class PageLinks(Struct, kw_only=True):
    """Where other pages of the list are; none is there when all of it was sent."""

    first: str | UnsetType = UNSET
    prev: str | UnsetType = UNSET
    previous: str | UnsetType = UNSET
    next: str | UnsetType = UNSET
    last: str | UnsetType = UNSET


class ListLinks(Struct, kw_only=True):
    """Where to read on."""

    pages: PageLinks


class Me(Struct, kw_only=True):
    """Who is asking and what it may call; `models` is null when every model is allowed."""

    team: str
    account: str
    role: Role
    key_id: str
    key_name: str
    models: list[str] | None


class StoreVersion(Struct, kw_only=True):
    """The store's schema, how it commits and its library."""

    schema: str
    synchronous: str
    library: str


class Version(Struct, kw_only=True):
    """What is running."""

    version: str
    commit: str | None
    python: str
    store: StoreVersion


class ResponseCache(Struct, kw_only=True, forbid_unknown_fields=True):
    """For how long complete replies are kept, so that the same request gets them again."""

    ttl_seconds: Annotated[int, Meta(ge=1, le=2_592_000)]


class KeyInfo(Struct, kw_only=True):
    """A model access key or admin token; `secret_key` is there only in the reply that makes it."""

    uuid: str
    name: str
    created_at: Time
    created_by: str
    deleted_at: Time | None
    models: list[str] | None
    team: str
    account: str
    role: Role
    response_cache: ResponseCache | None
    secret_key: str | UnsetType = UNSET


class KeyReply(Struct, kw_only=True):
    """One key."""

    api_key_info: KeyInfo


class KeyList(Struct, kw_only=True):
    """Every key, never a secret."""

    api_key_infos: list[KeyInfo]
    meta: ListMeta
    links: ListLinks


class NewKeyBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to be made; without `models` it may call every model. `account` is another name of `team`."""

    name: Label
    models: Annotated[list[str], Meta(min_length=1, max_length=1000)] | None = None
    team: Label | None = None
    account: Label | None = None
    response_cache: ResponseCache | None = None


class KeyChangeBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What changes of a key; what is left out stays. `api_key_uuid` may repeat the id in the path."""

    name: Label | UnsetType = UNSET
    response_cache: ResponseCache | UnsetType | None = UNSET
    api_key_uuid: str | UnsetType = UNSET


class CredentialName(Struct, kw_only=True):
    """One of a provider's credentials, by its label."""

    label: str
    source: CredentialSource


class CredentialHealth(Struct, kw_only=True):
    """What the provider makes of a credential; `models` are those that rest with it, none when all of them do."""

    state: Literal["ok", "refused", "rate_limited"]
    code: str | None
    since: Time | None
    until: Time | None
    models: list[str]


class CredentialReport(Struct, kw_only=True):
    """A credential and how it does."""

    label: str
    source: CredentialSource
    health: CredentialHealth


class CredentialList(Struct, kw_only=True):
    """A provider's credentials, never their texts."""

    credentials: list[CredentialReport]
    meta: ListMeta
    links: ListLinks


class Provider(Struct, kw_only=True):
    """A provider and where its credentials come from, never a credential."""

    name: str
    display_name: str
    base_url: str
    wire_format: str
    needs_credential: bool
    credential_set: bool
    credential_source: CredentialSource | None
    credentials: list[CredentialName]
    key_variable: str | None
    docs_url: str
    models: int


class ProviderReply(Struct, kw_only=True):
    """One provider."""

    provider: Provider


class ProviderList(Struct, kw_only=True):
    """Every provider."""

    providers: list[Provider]
    meta: ListMeta
    links: ListLinks


class CredentialBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A provider's key; printable ASCII without spaces. It is sealed and never shown again."""

    credential: Annotated[str, Meta(min_length=1, extra_json_schema={"format": "password"})]


class Alias(Struct, kw_only=True):
    """A name that points at a model, and what is tried after it."""

    name: str
    points_to: str
    fallbacks: list[str]
    source: Literal["api", "file"]
    created_at: Time | None
    changed_at: Time | None


class AliasReply(Struct, kw_only=True):
    """One alias."""

    alias: Alias


class AliasList(Struct, kw_only=True):
    """Every alias."""

    aliases: list[Alias]
    meta: ListMeta
    links: ListLinks


class AliasBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Where an alias points."""

    points_to: str
    fallbacks: Annotated[list[str], Meta(max_length=8)] | None = None


class NewAliasBody(AliasBody, kw_only=True, forbid_unknown_fields=True):
    """An alias to be made."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]


class PullError(Struct, kw_only=True):
    """Why a download failed."""

    id: str
    message: str


class Pull(Struct, kw_only=True):
    """The last state of one download."""

    model: str
    what: str | None
    done: int
    total: int | None
    unit: str | None
    state: Literal["running", "done", "failed"]
    error: PullError | None


class PullList(Struct, kw_only=True):
    """The last state of every download."""

    pulls: list[Pull]
    meta: ListMeta
    links: ListLinks


class WeightsFile(Struct, kw_only=True):
    """A file of weights."""

    name: str
    sha256: str
    size_bytes: int


class RemovedWeights(Struct, kw_only=True):
    """What became of a model's weights; `kept` are files that the models of `kept_for` need too."""

    model: str
    removed: list[WeightsFile]
    kept: list[WeightsFile]
    kept_for: list[str]
    freed_bytes: int


class Replica(Struct, kw_only=True):
    """A running engine as it was last observed."""

    id: str
    deployment: str
    state: ReplicaState
    pid: int | None
    started_at: Time
    reason: str | None


class ReplicaList(Struct, kw_only=True):
    """The engines that run on this machine."""

    replicas: list[Replica]
    meta: ListMeta
    links: ListLinks


class Reloaded(Struct, kw_only=True):
    """The configuration that is in force now."""

    version: int
    models: int


class Health(Struct, kw_only=True):
    """The process lives."""

    status: Literal["ok"]


class Readiness(Struct, kw_only=True):
    """Whether it can serve; each check says "ok" or what is wrong."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, str]


class AnyDocument(Struct, kw_only=True):
    """A description in the OpenAPI format, version 3.1."""

    openapi: str
