"""Routers and presets of a reply in words: a line for each task with its pool, the rest of the requests last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headrace.cli.replies import moment, part, parts, text, words
from headrace.cli.session import columns
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router import PREFIX

SHOWN_TASKS, SHOWN_MODELS = 8, 3
REST = "(no task)"
Row = tuple[str, str, str, str]


def routers_text(routers: Sequence[JsonObject]) -> str:
    """Return several routers, of each the first SHOWN_TASKS tasks, and of each task the first SHOWN_MODELS models."""
    rows: list[Row] = [("ROUTER", "TASK", "POOL", "PREFER")]
    for each in routers:
        rows += _rows(PREFIX + (text(each, "name") or text(each, "slug")), part(each, "config"), SHOWN_TASKS)
    return columns(rows)


def router_text(router: JsonObject) -> str:
    """Return all of one router."""
    config = part(router, "config")
    lines = [f"{PREFIX}{text(router, 'name')}  {text(router, 'uuid')}"]
    lines += [text(router, "description")] if text(router, "description") else []
    rows = [("TASK", "POOL", "PREFER", "EXAMPLES"), *(_task_row(each) for each in parts(config, "policies"))]
    rows.append((REST, ", ".join(words(config.get("fallback_models"))), "", ""))
    lines += ["", columns(rows, frozenset({3})), ""]
    if "min_score" in router:
        lines.append(f"A task matches from a score of {text(router, 'min_score')} on.")
    if "max_cost_usd" in router:
        lines.append(f"A model that would cost over ${text(router, 'max_cost_usd')} for a request is left out.")
    shadow = part(router, "shadow")
    if shadow:
        lines.append(
            f"{text(shadow, 'model')} answers a share of {text(shadow, 'share')} of the requests too, for up to"
            f" ${text(shadow, 'max_usd_per_day')} a day; both answers are kept."
        )
    lines.append(f"Made {moment(text(router, 'created_at'))}, changed {moment(text(router, 'updated_at'))}.")
    return "\n".join(lines)


def tasks_text(tasks: Sequence[JsonObject]) -> str:
    """Return the tasks of the catalog."""
    rows = [("TASK", "CATEGORY", "MODELS")]
    rows += [(text(each, "task_slug"), text(each, "category"), _first(each.get("models"))) for each in tasks]
    return columns(rows)


def _rows(name: str, config: JsonObject, most: int) -> Iterator[Row]:
    policies = parts(config, "policies")
    for index, policy in enumerate(policies[:most]):
        yield (name if index == 0 else "", task_name(policy), _first(policy.get("models")), _prefer(policy))
    if len(policies) > most:
        yield "", f"… and {len(policies) - most} more", "", ""
    yield "", REST, _first(config.get("fallback_models")), ""


def _first(models: JsonValue) -> str:
    """A pool of the catalog has a dozen models, more than a line of a terminal holds; --json has them all."""
    names = words(models)
    more = len(names) - SHOWN_MODELS
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:SHOWN_MODELS])} and {more} more"


def _task_row(policy: JsonObject) -> Row:
    examples = policy.get("examples", part(policy, "custom_task").get("examples"))
    count = len(words(examples))
    return task_name(policy), ", ".join(words(policy.get("models"))), _prefer(policy), str(count) if count else ""


def task_name(policy: JsonObject) -> str:
    """Return the name of a policy's task."""
    return text(policy, "task_slug") or text(part(policy, "custom_task"), "name")


def _prefer(policy: JsonObject) -> str:
    return text(part(policy, "selection_policy"), "prefer").replace("none", "")
