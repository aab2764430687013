"""Shapes of models, in the catalog and in the data plane's lists, in the published description.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.domain.catalog import Capability, ModelKind
from headrace.domain.dedicated import DeploymentStatus, WhenAsleep
from headrace.wire.openapi_control import ListLinks, ListMeta

Rates = Annotated[
    dict[str, str], Meta(description="Dollars per million tokens of each class, and per million characters.")
]
RatesEach = Annotated[dict[str, str], Meta(description="Dollars for one call, image, search or second of audio.")]


class CatalogAvailability(Struct, kw_only=True):
    """Whether the model can be called now; when not, the reason and the fix."""

    available: bool
    code: str
    reason: str | None
    fix: str | None


class CatalogOffer(Struct, kw_only=True):
    """One provider that could serve the model."""

    provider: str
    availability: CatalogAvailability
    prices: Rates | None
    prices_usd_each: RatesEach | None
    price_version: str | None


class CatalogWeights(Struct, kw_only=True):
    """The weights of an embedded model, and whether they are here."""

    sha256: str
    size_bytes: int
    licence: str
    present: bool


class CatalogModalities(Struct, kw_only=True):
    """What goes in and what comes out."""

    input: list[str]
    output: list[str]


class CatalogModel(Struct, kw_only=True):
    """One model of the catalog: the offer that serves first, and all of them under `offers`."""

    id: str
    model_id: str
    name: str
    creator: str
    provider: str
    type: ModelKind
    short_description: str
    context_window: int
    max_output_tokens: int
    parameter_count: str | None
    modalities: CatalogModalities
    capabilities: list[Capability]
    best_effort_capabilities: list[Capability]
    availability: CatalogAvailability
    badges: list[str]
    benchmark_score: dict[str, Any]
    hugging_face_id: str | None
    pricing: dict[str, str] | None
    scaled_pricing_enabled: bool
    created_at: str | None
    prices: Rates | None
    prices_usd_each: RatesEach | None
    price_version: str | None
    weights: CatalogWeights | None
    dimensions: int | None
    licence: str | None
    source: str
    checked_on: str
    retired_on: str | None
    offers: list[CatalogOffer]


class CatalogPage(Struct, kw_only=True):
    """One page of the catalog."""

    models: list[CatalogModel]
    meta: ListMeta
    links: ListLinks


class CatalogQuery(Struct, kw_only=True):
    """Which page of the catalog is shown."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=200)] = 200


class CallableModel(Struct, kw_only=True):
    """A model that can be called now, in the words of the older list."""

    id: str
    name: str
    type: ModelKind
    created_at: str | None
    capabilities: list[Capability]
    modalities: CatalogModalities
    benchmark_score: dict[str, Any]
    pricing: dict[str, str] | None
    description: str
    provider: str
    is_foundational: bool
    lifecycle_status: Literal["active"]
    model_availability: Literal["serverless"]
    context_window: str
    usecases: list[str]


class CallableModels(Struct, kw_only=True):
    """One page of the models that can be called now."""

    models: list[CallableModel]
    meta: ListMeta
    links: ListLinks


class CallableModelsQuery(Struct, kw_only=True):
    """Which models are listed, and which page of them; `usecases` may stand several times."""

    usecases: list[str] | UnsetType = UNSET
    public_only: bool = False
    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    per_page: Annotated[int, Meta(ge=1, le=200)] = 200


class ListedDeployment(Struct, kw_only=True):
    """How a deployment runs: between how many replicas, and what its requests get while there is none.

    `overflow` is the model that takes what it cannot.
    """

    id: str
    model: str
    status: DeploymentStatus
    min_scale: int
    max_scale: int
    when_asleep: WhenAsleep
    overflow: str | None


class ListedModel(Struct, kw_only=True):
    """A model in OpenAI's form with its limits, capabilities, prices and availability."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    type: Annotated[str, Meta(extra_json_schema={"enum": [*ModelKind, "alias", "router"]})]
    name: str
    provider: str
    runs_here: bool
    context_length: int
    max_output_tokens: int
    capabilities: list[Capability]
    best_effort_capabilities: list[Capability]
    prices_usd_per_mtok: Rates | None
    prices_usd_each: RatesEach | None
    price_version: str | None
    licence: str | None
    available: bool
    unavailable_reason: str | None
    unavailable_fix: str | None
    deployment: ListedDeployment | UnsetType = UNSET
    points_to: str | UnsetType = UNSET
    fallbacks: list[str] | UnsetType = UNSET


class ModelList(Struct, kw_only=True):
    """What this credential can call now."""

    object: Literal["list"]
    data: list[ListedModel]


class MessagesModel(Struct, kw_only=True):
    """A model in Anthropic's form, for a request with `anthropic-version`; our own fields behind theirs."""

    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    lifecycle: str
    max_input_tokens: int
    max_tokens: int
    capabilities: None
    owned_by: str
    name: str
    provider: str
    runs_here: bool
    context_length: int
    max_output_tokens: int
    best_effort_capabilities: list[Capability]
    capability_names: list[Capability]
    prices_usd_per_mtok: Rates | None
    prices_usd_each: RatesEach | None
    price_version: str | None
    licence: str | None
    available: bool
    unavailable_reason: str | None
    unavailable_fix: str | None
    deployment: ListedDeployment | UnsetType = UNSET
    points_to: str | UnsetType = UNSET
    fallbacks: list[str] | UnsetType = UNSET


class MessagesModelList(Struct, kw_only=True):
    """A page of the chat models, for a request with `anthropic-version`."""

    data: list[MessagesModel]
    has_more: bool
    first_id: str | None
    last_id: str | None


class MessagesModelQuery(Struct, kw_only=True):
    """Which models are shown; read only of a request with `anthropic-version`."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 20
    after_id: str | UnsetType = UNSET
    before_id: str | UnsetType = UNSET
