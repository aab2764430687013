"""Routers as they are asked for, before anything is known to be right; what may be is the services' to say."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.router import Preference, Shadow, Task


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """A policy as it is asked for: by the slug of one of the catalog's tasks, or with a task of the operator's own.

    `examples` are those that the operator adds to the catalog's task.
    """

    models: tuple[str, ...]
    task_slug: str | None = None
    custom_task: Task | None = None
    examples: tuple[str, ...] = ()
    prefer: Preference | None = None


@dataclass(frozen=True, slots=True)
class RouterDraft:
    """A router as it is asked for; `name` is None where it was left out. Amounts are nano-dollars."""

    name: str | None
    policies: tuple[PolicyDraft, ...]
    fallbacks: tuple[str, ...]
    description: str = ""
    min_score: float | None = None
    max_cost_nano: int | None = None
    shadow: Shadow | None = None
