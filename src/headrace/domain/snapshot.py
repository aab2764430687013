"""The snapshot: everything a request needs to know of the configuration, immutable and versioned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.domain.access import AccessKey
from headrace.domain.alias import Alias
from headrace.domain.budget import Budget
from headrace.domain.catalog import Listed, Provider
from headrace.domain.dedicated import Deployment
from headrace.domain.rate_limit import ScopedLimits
from headrace.domain.router import Presets, Router
from headrace.domain.routing import TaskSet
from headrace.domain.team import Team


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent view; a request keeps the one that it began with.

    `models` maps a model id to its entries in order of preference (one per provider that serves it); `keys` maps
    the public id of a credential to its stored form. A name in `aliases` that is a model's id too means the model.
    `routers` are by name, the catalog's presets among them, and `task_sets` what their prompts are matched against.
    `presets` are the catalog's routers and tasks as it describes them. `deployments` are by id; each is among `models`
    too, under its name, where it stands for no other model.
    """

    version: int
    models: Mapping[str, tuple[Listed, ...]]
    providers: Mapping[str, Provider]
    keys: Mapping[str, AccessKey]
    aliases: Mapping[str, Alias] = field(default_factory=dict[str, Alias])
    budgets: tuple[Budget, ...] = ()
    teams: Mapping[str, Team] = field(default_factory=dict[str, Team])
    limits: Mapping[str, ScopedLimits] = field(default_factory=dict[str, ScopedLimits])
    routers: Mapping[str, Router] = field(default_factory=dict[str, Router])
    task_sets: Mapping[str, TaskSet] = field(default_factory=dict[str, TaskSet])
    presets: Presets = field(default_factory=Presets)
    deployments: Mapping[str, Deployment] = field(default_factory=dict[str, Deployment])
