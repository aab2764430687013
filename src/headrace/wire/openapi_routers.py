"""Shapes of routers and the catalog's presets in the published description; writing them is router_json's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.domain.router import Preference
from headrace.wire.openapi_control import ListLinks, ListMeta, Time
from headrace.wire.openapi_money import Dollars

RouterName = Annotated[str, Meta(pattern="^[a-z0-9-]{1,255}$", description="Callers write router:NAME as the model.")]
Text = Annotated[str, Meta(max_length=4000)]
Examples = Annotated[list[Text], Meta(max_length=50, description="A few real prompts sharpen the match.")]
Pool = Annotated[
    list[str], Meta(min_length=1, max_length=50, description="Models, aliases or deployments, in the order to try.")
]
Regions = list[Literal["all"]]
MinScore = Annotated[float, Meta(ge=0, le=1, description="A task matches from this probability on.")]
Corrections = Annotated[
    dict[str, int], Meta(description="How many corrections each task has; left out while there are none.")
]
MaxCost = Annotated[
    Dollars, Meta(description="What one request may be expected to cost; a model above it is left out.")
]


class RouterShadow(Struct, kw_only=True, forbid_unknown_fields=True):
    """A reference model that answers a share of the requests too, after the caller was answered; both are kept."""

    model: str
    share: Annotated[float, Meta(gt=0, le=1)]
    max_usd_per_day: Annotated[Dollars, Meta(description="What it may cost in one day of UTC.")]


class RouterTask(Struct, kw_only=True, forbid_unknown_fields=True):
    """A task of the operator's own: its name is the route's, prompts are matched against the rest."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: Annotated[str, Meta(min_length=1, max_length=4000)]
    examples: Examples | UnsetType = UNSET


class RouterPreference(Struct, kw_only=True, forbid_unknown_fields=True):
    """How a pool is ranked; without it, in the order in which it is written."""

    prefer: Preference


class RouterPolicy(Struct, kw_only=True, forbid_unknown_fields=True):
    """A task, by a slug of the catalog's or in words, with its models; `examples` are added to a catalog's task."""

    task_slug: str | UnsetType = UNSET
    custom_task: RouterTask | UnsetType = UNSET
    examples: Examples | UnsetType = UNSET
    models: Pool
    selection_policy: RouterPreference | UnsetType = UNSET


class RouterPolicyBody(RouterPolicy, kw_only=True, forbid_unknown_fields=True):
    """A policy as it is asked for: exactly one of `task_slug` and `custom_task`."""


Policies = Annotated[list[RouterPolicy], Meta(min_length=1, max_length=200)]
PolicyBodies = Annotated[list[RouterPolicyBody], Meta(min_length=1, max_length=200)]


class RouterConfig(Struct, kw_only=True):
    """What a router does; `fallback_models` answer what matches no task, and what no model of a pool could."""

    policies: Policies
    fallback_models: Pool


class ModelRouter(Struct, kw_only=True):
    """A router."""

    uuid: str
    name: RouterName
    description: str
    regions: Regions
    config: RouterConfig
    created_at: Time
    updated_at: Time
    min_score: MinScore | UnsetType = UNSET
    max_cost_usd: MaxCost | UnsetType = UNSET
    shadow: RouterShadow | UnsetType = UNSET
    corrections: Corrections | UnsetType = UNSET


class RouterReply(Struct, kw_only=True):
    """One router."""

    model_router: ModelRouter


class RouterList(Struct, kw_only=True):
    """A page of the routers."""

    model_routers: list[ModelRouter]
    meta: ListMeta
    links: ListLinks


class RouterBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A router to be made."""

    name: RouterName
    policies: PolicyBodies
    fallback_models: Pool
    description: Text | UnsetType = UNSET
    regions: Regions | UnsetType = UNSET
    min_score: MinScore | UnsetType | None = UNSET
    max_cost_usd: MaxCost | float | UnsetType | None = UNSET
    shadow: RouterShadow | UnsetType | None = UNSET


class RouterReplacement(Struct, kw_only=True, forbid_unknown_fields=True):
    """What stands in a router's place; what is left out is not kept, but for the name."""

    policies: PolicyBodies
    fallback_models: Pool
    uuid: str | UnsetType = UNSET
    name: RouterName | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    regions: Regions | UnsetType = UNSET
    min_score: MinScore | UnsetType | None = UNSET
    max_cost_usd: MaxCost | float | UnsetType | None = UNSET
    shadow: RouterShadow | UnsetType | None = UNSET


class DeletedRouter(Struct, kw_only=True):
    """Which router is gone."""

    uuid: str


class RouterPreset(Struct, kw_only=True):
    """A router of the catalog; callers write router:SLUG as the model."""

    slug: str
    display_name: str
    short_description: str
    long_description: str
    config: RouterConfig
    corrections: Corrections | UnsetType = UNSET


class PresetRouterList(Struct, kw_only=True):
    """A page of the catalog's routers."""

    presets: list[RouterPreset]
    meta: ListMeta
    links: ListLinks


class TaskPreset(Struct, kw_only=True):
    """A task of the catalog, with the models and the policy that are proposed for it."""

    task_slug: str
    name: str
    category: str
    description: str
    examples: list[str]
    models: list[str]
    tags: list[str]
    selection_policy: RouterPreference


class PresetTaskList(Struct, kw_only=True):
    """A page of the catalog's tasks."""

    tasks: list[TaskPreset]
    meta: ListMeta
    links: ListLinks


class PageQuery(Struct, kw_only=True):
    """Which page is shown."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    per_page: Annotated[int, Meta(ge=1, le=1000)] = 200
