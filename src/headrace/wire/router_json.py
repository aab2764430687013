"""Routers and presets as JSON in the public contract's words; what they may name is checked by the services.

Source: https://github.com/digitalocean/openapi, `/v2/gen-ai/models/routers`, by pydo 0.44.0 (read 2026-11-30). Ours
are `examples`, `min_score`, `max_cost_usd` and `shadow`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import NANO_PER_USD
from headrace.domain.names import did_you_mean
from headrace.domain.router import Policy, Preference, PresetRouter, PresetTask, Router, Shadow, Task
from headrace.domain.router_draft import PolicyDraft, RouterDraft
from headrace.wire.iso_time import iso_time
from headrace.wire.json_strict import encode, is_object
from headrace.wire.money_json import read_usd

FIELDS = frozenset(
    {"name", "description", "policies", "fallback_models", "regions", "min_score", "max_cost_usd", "shadow"}
)
SHADOW_FIELDS = frozenset({"model", "share", "max_usd_per_day"})
POLICY_FIELDS = frozenset({"task_slug", "custom_task", "examples", "models", "selection_policy"})
TASK_FIELDS = frozenset({"name", "description", "examples"})
REGIONS = ("all",)
SHOWN_CHARS = 80
UNCORRECTED: Mapping[str, int] = MappingProxyType({})


def read_draft(fields: JsonObject) -> RouterDraft:
    """Return the router that a body asks for; raises InvalidRequest for what is unknown or of the wrong kind."""
    _check_known(fields, FIELDS, "")
    if fields.get("regions") not in (None, [*REGIONS]):
        raise _wrong(fields["regions"], "regions", '["all"]: a router is everywhere, or left out')
    policies = enumerate(_list(fields, "policies", ""))
    return RouterDraft(
        name=_text(fields, "name", ""),
        policies=tuple(_policy(each, f"policies[{index}]") for index, each in policies),
        fallbacks=_texts(fields, "fallback_models", ""),
        description=_text(fields, "description", "") or "",
        min_score=_share(fields.get("min_score"), "min_score"),
        max_cost_nano=_amount(fields.get("max_cost_usd"), "max_cost_usd"),
        shadow=_shadow(fields.get("shadow")),
    )


def router_object(router: Router, corrections: Mapping[str, int] = UNCORRECTED) -> JsonObject:
    """Return a router as it is shown; what was left out when it was made is left out here.

    `corrections` are how many each task has; without any, nothing is said of them.
    """
    shown: JsonObject = {
        "uuid": router.uuid,
        "name": router.name,
        "description": router.description,
        "regions": list[JsonValue](REGIONS),
        "config": config_object(router),
        "created_at": iso_time(router.created_at_micros),
        "updated_at": iso_time(router.changed_at_micros),
    }
    return {**shown, **_limits(router), **_corrected(corrections)}


def draft_object(router: Router) -> JsonObject:
    """Return the body that makes a router again."""
    described: JsonObject = {"description": router.description} if router.description else {}
    return {"name": router.name, **described, **_limits(router), **config_object(router)}


def config_object(router: Router) -> JsonObject:
    """Return the policies and fallback models of a router."""
    return {
        "policies": [_policy_object(each) for each in router.policies],
        "fallback_models": list[JsonValue](router.fallbacks),
    }


def preset_object(preset: PresetRouter, corrections: Mapping[str, int] = UNCORRECTED) -> JsonObject:
    """Return a router of the catalog, with how many corrections its tasks have."""
    return {
        "slug": preset.slug,
        "display_name": preset.display_name,
        "short_description": preset.short_description,
        "long_description": preset.long_description,
        "config": config_object(preset.router),
        **_corrected(corrections),
    }


def preset_task_object(task: PresetTask) -> JsonObject:
    """Return a task of the catalog with what is proposed for it."""
    return {
        "task_slug": task.slug,
        "name": task.name,
        "category": task.category,
        "description": task.description,
        "examples": list[JsonValue](task.examples),
        "models": list[JsonValue](task.models),
        "tags": list[JsonValue](task.tags),
        "selection_policy": {"prefer": (task.prefer or Preference.NONE).value},
    }


def _corrected(corrections: Mapping[str, int]) -> JsonObject:
    return {"corrections": {slug: corrections[slug] for slug in sorted(corrections)}} if corrections else {}


def _limits(router: Router) -> JsonObject:
    limits: JsonObject = {}
    if router.min_score is not None:
        limits["min_score"] = router.min_score
    if router.max_cost_nano is not None:
        limits["max_cost_usd"] = _shortest_usd(router.max_cost_nano)
    if router.shadow is not None:
        limits["shadow"] = {
            "model": router.shadow.model,
            "share": router.shadow.share,
            "max_usd_per_day": _shortest_usd(router.shadow.max_nano_per_day),
        }
    return limits


def _shortest_usd(nano: int) -> str:
    whole, fraction = divmod(nano, NANO_PER_USD)
    digits = f"{fraction:09d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def _policy_object(policy: Policy) -> JsonObject:
    task, examples = policy.task, list[JsonValue](policy.task.examples)
    shown: JsonObject = {"task_slug": task.slug} if task.preset else {"custom_task": _task_object(task)}
    if task.preset and examples:
        shown["examples"] = examples
    shown["models"] = list[JsonValue](policy.models)
    if policy.prefer is not None:
        shown["selection_policy"] = {"prefer": policy.prefer.value}
    return shown


def _task_object(task: Task) -> JsonObject:
    examples: JsonObject = {"examples": list[JsonValue](task.examples)} if task.examples else {}
    return {"name": task.slug, "description": task.description, **examples}


def _policy(value: JsonValue, path: str) -> PolicyDraft:
    if not is_object(value):
        raise _wrong(value, path, "an object with a task and its models")
    _check_known(value, POLICY_FIELDS, path)
    # Clients that write every field send an empty slug beside a task of their own.
    return PolicyDraft(
        models=_texts(value, "models", path),
        task_slug=_text(value, "task_slug", path) or None,
        custom_task=_task(value.get("custom_task"), f"{path}.custom_task"),
        examples=_texts(value, "examples", path),
        prefer=_prefer(value.get("selection_policy"), f"{path}.selection_policy"),
    )


def _task(value: JsonValue, path: str) -> Task | None:
    if value is None:
        return None
    if not is_object(value):
        raise _wrong(value, path, "an object with a name and a description")
    _check_known(value, TASK_FIELDS, path)
    name, description = (_text(value, each, path) or "" for each in ("name", "description"))
    return Task(name, description, _texts(value, "examples", path))


def _prefer(value: JsonValue, path: str) -> Preference | None:
    if value is None:
        return None
    if not is_object(value):
        raise _wrong(value, path, 'an object like {"prefer": "cheapest"}')
    _check_known(value, frozenset({"prefer"}), path)
    prefer = value.get("prefer")
    if prefer is None:
        return None
    if isinstance(prefer, str) and prefer in set(Preference):
        return Preference(prefer)
    raise _wrong(prefer, f"{path}.prefer", 'one of "none", "cheapest", "fastest"')


def _shadow(value: JsonValue) -> Shadow | None:
    """Every field is required: what a comparison may cost is not guessed."""
    if value is None:
        return None
    if not is_object(value):
        raise _wrong(value, "shadow", 'an object like {"model": "gpt-5", "share": 0.05, "max_usd_per_day": "1.00"}')
    _check_known(value, SHADOW_FIELDS, "shadow")
    model, share = _text(value, "model", "shadow"), _share(value.get("share"), "shadow.share")
    most = _amount(value.get("max_usd_per_day"), "shadow.max_usd_per_day")
    missing = [name for name in sorted(SHADOW_FIELDS) if value.get(name) in (None, "")]
    if model is None or share is None or most is None or missing:
        path = f"shadow.{missing[0]}"
        raise InvalidRequest(f'"{path}" is missing: a shadow has model, share and max_usd_per_day.', param=path)
    return Shadow(model, share, most)


def _share(value: JsonValue, path: str) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)):
        return value
    raise _wrong(value, path, "a number from 0 to 1")


def _amount(value: JsonValue, path: str) -> int | None:
    """Dollars are a string; a number is taken as the decimal that it was written as."""
    if value is None:
        return None
    if isinstance(value, float):
        return read_usd(f"{value:.12f}".rstrip("0").rstrip("."), path)
    return read_usd(str(value) if isinstance(value, int) and not isinstance(value, bool) else value, path)


def _text(fields: JsonObject, name: str, path: str) -> str | None:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _wrong(value, _inside(path, name), "a string")


def _texts(fields: JsonObject, name: str, path: str) -> tuple[str, ...]:
    found: list[str] = []
    for index, each in enumerate(_list(fields, name, path)):
        if not isinstance(each, str):
            raise _wrong(each, f"{_inside(path, name)}[{index}]", "a string")
        found.append(each)
    return tuple(found)


def _list(fields: JsonObject, name: str, path: str) -> list[JsonValue]:
    value = fields.get(name)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise _wrong(value, _inside(path, name), "a list")


def _check_known(fields: JsonObject, known: Iterable[str], path: str) -> None:
    names = sorted(known)
    for name in fields:
        if name not in names:
            shown = _inside(path, name[:SHOWN_CHARS])
            hint = did_you_mean(name, names)
            raise InvalidRequest(
                f'The field "{shown}" is not known.{f" {hint}" if hint else ""} Known are: {", ".join(names)}.',
                code="unknown_field",
                param=shown,
            )


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _wrong(value: JsonValue, path: str, wanted: str) -> InvalidRequest:
    shown = encode(value).decode()[:SHOWN_CHARS]
    return InvalidRequest(f'"{path}" must be {wanted}, not {shown}.', param=path)
