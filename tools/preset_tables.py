"""The tables of docs/presets.md: tasks and routers as they ship."""

from collections.abc import Iterator, Sequence

from headrace.domain.router import Preference, PresetRouter, PresetTask
from headrace.drivers.catalogs.presets import PresetFiles

WRITTEN = "as written"


def task_rows() -> Iterator[tuple[str, ...]]:
    """Return a row for each shipped task, by category: slug, category, description, order, pool."""
    tasks = PresetFiles(None).read().tasks.values()
    return (_task_row(each) for each in sorted(tasks, key=lambda each: (each.category, each.slug)))


def router_rows() -> Iterator[tuple[str, ...]]:
    """Return a row for each shipped router: the model to call, tasks, fallback models."""
    return (_router_row(each) for each in PresetFiles(None).read().routers.values())


def _task_row(task: PresetTask) -> tuple[str, ...]:
    prefer = task.prefer or Preference.NONE
    order = WRITTEN if prefer is Preference.NONE else prefer.value
    return (f"`{task.slug}`", task.category, task.description, order, _names(task.models))


def _router_row(preset: PresetRouter) -> tuple[str, ...]:
    tasks = _names([each.task.slug for each in preset.router.policies])
    return (f"`{preset.router.model_name}`", tasks, _names(preset.router.fallbacks))


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{each}`" for each in names)
