"""Puts the files of tasks and routers together as presets, naming what is wrong; where they lie is a driver's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, Literal, TypeAlias, TypeVar, cast

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, fields, replace

from headrace.domain.finding import Finding, config_invalid
from headrace.domain.names import did_you_mean
from headrace.domain.router import Policy, Preference, PresetRouter, Presets, PresetTask, Router, Task, names_router
from headrace.wire.converter import Converter
from headrace.wire.preset_schema import PolicyTable, RouterTable, TaskTable
from headrace.wire.toml_form import TomlFile, expected, read_toml
from headrace.wire.toml_lines import KeyPath

T = TypeVar("T", TaskTable, RouterTable)
V = TypeVar("V")
PresetKind: TypeAlias = Literal["task", "router"]

_TASK, _ROUTER = Converter(TaskTable), Converter(RouterTable)
_OPTIONAL = frozenset({"examples", "tags", "prefer"})


@dataclass(frozen=True, slots=True)
class PresetText:
    """A task's or a router's file as it was read: its path as shown to the operator and its name without suffix."""

    file: str
    name: str
    kind: PresetKind
    data: bytes


@dataclass(frozen=True, slots=True)
class _Merged(Generic[T]):
    """A task or a router with the files that it came from, the last one being the one that counts most."""

    table: T
    files: tuple[TomlFile[T], ...]

    def finding(self, path: KeyPath, problem: str, fix: str) -> Finding:
        for file in reversed(self.files):
            if path[:1] in file.lines:
                return file.finding(path, problem, fix)
        return self.files[-1].finding((), problem, fix)


def read_presets(texts: Iterable[PresetText]) -> Presets:
    """Return all files as presets, a later file changing an earlier one; raises ConfigInvalid with every finding."""
    tasks, routers, findings = _read(texts)
    if findings:
        raise config_invalid(findings)
    compiled = {slug: _task(each.table) for slug, each in tasks.items()}
    return Presets(
        MappingProxyType(compiled),
        MappingProxyType({slug: _router(each.table, compiled) for slug, each in routers.items()}),
    )


def check_presets(texts: Iterable[PresetText]) -> tuple[Finding, ...]:
    """Return everything wrong with the files, ordered by file and line."""
    return tuple(sorted(set(_read(texts)[2])))


_Tasks: TypeAlias = Mapping[str, _Merged[TaskTable]]
_Routers: TypeAlias = Mapping[str, _Merged[RouterTable]]


def _read(texts: Iterable[PresetText]) -> tuple[_Tasks, _Routers, list[Finding]]:
    texts = tuple(texts)
    tasks, wrong_tasks = _merge([each for each in texts if each.kind == "task"], _TASK)
    routers, wrong_routers = _merge([each for each in texts if each.kind == "router"], _ROUTER)
    findings = wrong_tasks + wrong_routers
    for task in tasks.values():
        findings += [*_check_complete(task), *_check_pool(task, ("models",), task.table.models)]
    for router in routers.values():
        findings += [*_check_complete(router), *_check_pool(router, ("fallback_models",), router.table.fallback_models)]
        findings += _check_policies(router, tasks, is_whole=not wrong_tasks)
    return tasks, routers, findings


def _merge(texts: Sequence[PresetText], table: Converter[T]) -> tuple[dict[str, _Merged[T]], list[Finding]]:
    merged: dict[str, _Merged[T]] = {}
    findings: list[Finding] = []
    for text in texts:
        file = read_toml(text.file, text.data, table)
        if isinstance(file, tuple):
            findings += file
            continue
        slug = file.tables.slug
        if slug != text.name:
            fix = f'Rename the file to {slug}.toml, or write slug = "{text.name}".'
            findings.append(file.finding(("slug",), f'"{slug}" is not the name of its file', fix))
            continue
        earlier = merged.get(slug)
        merged[slug] = _Merged(
            file.tables if earlier is None else _overlay(earlier.table, file.tables),
            (*(() if earlier is None else earlier.files), file),
        )
    return merged, findings


def _overlay(below: T, above: T) -> T:
    return replace(below, **{name: value for name, value in asdict(above).items() if value is not UNSET})


def _check_complete(merged: _Merged[T]) -> Iterator[Finding]:
    table: Struct = merged.table
    for field in fields(table):
        if field.name not in _OPTIONAL and getattr(table, field.name) is UNSET:
            yield merged.finding((), f'"{field.name}" is missing', expected(field))


def _check_pool(merged: _Merged[T], path: KeyPath, models: Sequence[str] | UnsetType) -> Iterator[Finding]:
    names = () if isinstance(models, UnsetType) else models
    for index, name in enumerate(names):
        if names_router(name):
            yield merged.finding((*path, index), f'"{name}" is a router', "Name models: a router never calls a router.")
        if name in names[:index]:
            yield merged.finding((*path, index), f'"{name}" stands here a second time', "Name each model once.")


def _check_policies(router: _Merged[RouterTable], tasks: _Tasks, is_whole: bool) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for index, policy in enumerate(_given(router.table.policies, ())):
        path: KeyPath = ("policies", index)
        yield from _check_pool(router, (*path, "models"), policy.models)
        slug = policy.task_slug
        if is_whole and slug not in tasks:
            fix = did_you_mean(slug, tasks) or f"Known are: {', '.join(sorted(tasks))}."
            yield router.finding((*path, "task_slug"), f'"{slug}" is no task', fix)
        first = seen.setdefault(slug, index)
        if first != index:
            fix = "Put the models of both into one pool."
            yield router.finding((*path, "task_slug"), f'"{slug}" stands in this router a second time', fix)


def _task(table: TaskTable) -> PresetTask:
    return PresetTask(
        slug=table.slug,
        name=_whole(table.name),
        category=_whole(table.category),
        description=_whole(table.description),
        examples=_given(table.examples, ()),
        models=_whole(table.models),
        tags=_given(table.tags, ()),
        prefer=_preference(table.prefer),
    )


def _router(table: RouterTable, tasks: Mapping[str, PresetTask]) -> PresetRouter:
    return PresetRouter(
        slug=table.slug,
        display_name=_whole(table.display_name),
        short_description=_whole(table.short_description),
        long_description=_whole(table.long_description),
        router=Router(
            uuid=preset_uuid(table.slug),
            name=table.slug,
            description=_whole(table.short_description),
            policies=tuple(_policy(each, tasks[each.task_slug]) for each in _whole(table.policies)),
            fallbacks=_whole(table.fallback_models),
            source="preset",
        ),
    )


def _policy(table: PolicyTable, task: PresetTask) -> Policy:
    prefer = task.prefer if table.prefer is UNSET else _preference(table.prefer)
    return Policy(Task(task.slug, "", preset=True), _given(table.models, task.models), prefer)


def preset_uuid(slug: str) -> str:
    """Return the uuid of a preset router, made of its slug (version 8, RFC 9562): the same on every installation."""
    digits = list(hashlib.sha256(f"headrace preset router {slug}".encode()).hexdigest()[:32])
    digits[12] = "8"
    digits[16] = "89ab"[int(digits[16], 16) % 4]
    text = "".join(digits)
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _preference(prefer: Preference | UnsetType) -> Preference | None:
    return None if isinstance(prefer, UnsetType) else prefer


def _given(value: V | UnsetType, otherwise: V) -> V:
    return otherwise if isinstance(value, UnsetType) else value


def _whole(value: V | UnsetType) -> V:
    """Return a value that was checked to be there."""
    return cast("V", value)
