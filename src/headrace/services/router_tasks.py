"""What prompts are matched against: the tasks of each router in the catalog's words, and the corrections."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

import msgspec

from headrace.domain.router import Correction, Presets, Router, Task
from headrace.domain.routing import TaskSet


def routers_by_name(stored: Iterable[Router], presets: Presets) -> Mapping[str, Router]:
    """Return the routers that can be called; a stored one goes before a preset that came later with its name."""
    shipped = {each.router.name: each.router for each in presets.routers.values()}
    return MappingProxyType(shipped | {each.name: each for each in stored})


def task_sets(
    routers: Mapping[str, Router], presets: Presets, corrections: Iterable[Correction]
) -> Mapping[str, TaskSet]:
    """Return what each router's prompts are matched against, by its name."""
    of_router: dict[str, list[Correction]] = {}
    for each in corrections:
        of_router.setdefault(each.router_uuid, []).append(each)
    return MappingProxyType(
        {name: task_set(router, presets, of_router.get(router.uuid, ())) for name, router in routers.items()}
    )


def task_set(router: Router, presets: Presets, corrections: Iterable[Correction] = ()) -> TaskSet:
    """Return a router's tasks in their own words; a correction to a task that it no longer has is left out."""
    tasks = tuple(in_words(each.task, presets) for each in router.policies)
    slugs = {each.slug for each in tasks}
    pairs = tuple((each.slug, each.features) for each in corrections if each.slug in slugs)
    content = msgspec.json.encode(([(each.slug, each.description, each.examples) for each in tasks], pairs))
    return TaskSet(hashlib.sha256(content).hexdigest(), tasks, pairs)


def in_words(task: Task, presets: Presets) -> Task:
    """Return the task with the catalog's words when it is one of the catalog's; the operator's examples come after.

    A task that the catalog has no more is described by its slug.
    """
    if not task.preset:
        return task
    shipped = presets.tasks.get(task.slug)
    if shipped is None:
        return replace(task, description=task.slug.replace("-", " "))
    return replace(shipped.task, examples=(*shipped.examples, *task.examples))
