"""Routers: tasks, their pools and policies, and the fallback models, under a name; deciding is the services'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, TypeAlias

NAME_PATTERN = re.compile(r"[a-z0-9-]{1,255}")
PREFIX = "router:"
MANAGED_ROUTER = "inference-router"
RouterSource: TypeAlias = Literal["api", "preset"]


def names_router(name: str) -> bool:
    """Whether a name that stands where a model may stand means a router, stored, preset or managed."""
    return name == MANAGED_ROUTER or name.startswith(PREFIX)


class Preference(StrEnum):
    """How a pool is ranked; `none` is the order in which it is written."""

    NONE = "none"
    CHEAPEST = "cheapest"
    FASTEST = "fastest"


class RoutingPreference(StrEnum):
    """What a caller of the managed router asks for: little cost, much quality, or what is worth its cost."""

    BUDGET = "budget"
    BALANCED = "balanced"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of request, described in words; `slug` is the route's name. Examples are a few real prompts.

    `preset` says that it is one of the catalog's; its words are then the catalog's too, its examples both.
    """

    slug: str
    description: str
    examples: tuple[str, ...] = ()
    preset: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """A task with its pool, in the operator's order; a name in it is a model's, an alias's or a deployment's.

    `prefer` is None where the operator left the selection policy out, which means what `none` means.
    """

    task: Task
    models: tuple[str, ...]
    prefer: Preference | None = None


@dataclass(frozen=True, slots=True)
class Shadow:
    """The wish that a reference model answers a share of the requests too, 0 to 1, for so much a day at the most.

    `max_nano_per_day` is in nano-dollars for each day of UTC.
    """

    model: str
    share: float
    max_nano_per_day: int


@dataclass(frozen=True, slots=True)
class Router:
    """A router as it is stored; times are microseconds since 1970 UTC.

    `min_score` replaces the calibrated threshold under which no task matches. `max_cost_nano` leaves out targets that
    are expected to cost more for one request, in nano-dollars. `shadow` is None unless answers are to be compared.
    """

    uuid: str
    name: str
    description: str
    policies: tuple[Policy, ...]
    fallbacks: tuple[str, ...]
    min_score: float | None = None
    max_cost_nano: int | None = None
    created_at_micros: int = 0
    changed_at_micros: int = 0
    source: RouterSource = "api"
    shadow: Shadow | None = None

    @property
    def model_name(self) -> str:
        """What a caller writes as the model."""
        return PREFIX + self.name

    @property
    def named_models(self) -> frozenset[str]:
        """Every name in its pools and among its fallbacks."""
        return frozenset(self.fallbacks).union(*(each.models for each in self.policies))

    @property
    def used_names(self) -> frozenset[str]:
        """Every name that it depends on: those, and its shadow's."""
        return self.named_models if self.shadow is None else self.named_models | {self.shadow.model}

    def policy_of(self, slug: str) -> Policy | None:
        """Return the policy of a task by its slug, or None."""
        return next((each for each in self.policies if each.task.slug == slug), None)


@dataclass(frozen=True, slots=True)
class PresetRouter:
    """A router of the catalog: the words that describe it, and the router itself, of source `preset`."""

    slug: str
    display_name: str
    short_description: str
    long_description: str
    router: Router


@dataclass(frozen=True, slots=True)
class PresetTask:
    """A task of the catalog with the pool and the policy that are proposed for it."""

    slug: str
    name: str
    category: str
    description: str
    examples: tuple[str, ...]
    models: tuple[str, ...]
    tags: tuple[str, ...] = ()
    prefer: Preference | None = None

    @property
    def task(self) -> Task:
        """The task as a router's policy has it: its words are its name and its description."""
        return Task(self.slug, f"{self.name}. {self.description}", self.examples, preset=True)


@dataclass(frozen=True, slots=True)
class Presets:
    """What the catalog ships for routers, by slug."""

    tasks: Mapping[str, PresetTask] = field(default_factory=lambda: MappingProxyType({}))
    routers: Mapping[str, PresetRouter] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Correction:
    """A request whose route the operator corrected: its prompt's features are an example of the right task.

    `features` are as `Match.features`; the prompt itself is not kept.
    """

    router_uuid: str
    slug: str
    request_id: str
    features: bytes
    made_at_micros: int
