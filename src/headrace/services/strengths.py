"""Strengths of every scale on one, in logits: at 0 a model answers half of the average benchmark's prompts well; pure.

Where they are read is a driver's. How the constants were found is in docs/managed-router.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from headrace.domain.intervals import Interval
from headrace.domain.strength import ARENA, CHECKABLE, INDEX, LOGIT, Strength
from headrace.services.catalog import Catalog

# Arena ratings are logistic by definition: 400 points are odds of ten to one. At the zero a model would be a coin.
ARENA_ZERO = 1030.0
LOGITS_PER_POINT = math.log(10) / 400
# A curve through the models that have both an arena rating and an index; they lie 33 points around it.
ARENA_OF_INDEX, POINTS_PER_LOG, INDEX_SHIFT = 1003.0, 119.5, 3.0
LEAST_INDEX = 0.1


def with_strengths(catalog: Catalog, strengths: Iterable[Strength]) -> Catalog:
    """Return the catalog with the strength of each model that has one."""
    found = on_one_scale(strengths)
    models = {
        name: tuple(replace(each, strength=found.get(name)) for each in entries)
        for name, entries in catalog.models.items()
    }
    return replace(catalog, models=MappingProxyType(models))


def on_one_scale(strengths: Iterable[Strength]) -> Mapping[str, Interval]:
    """Return each model's strength in logits: of several an own one goes first, then that of the narrowest interval."""
    strengths = tuple(strengths)
    shift = _shift(strengths)
    found: dict[str, tuple[bool, Interval]] = {}
    for each in strengths:
        logits, known = _logits(each, shift), found.get(each.model)
        if known is None or _precedence(each.is_own, logits) < _precedence(*known):
            found[each.model] = each.is_own, logits
    return MappingProxyType({model: logits for model, (_, logits) in found.items()})


def _precedence(is_own: bool, logits: Interval) -> tuple[bool, float]:
    return not is_own, logits.high - logits.low


def _logits(strength: Strength, shift: float) -> Interval:
    value, low, high = (_logit(strength.scale, each, shift) for each in (strength.value, strength.low, strength.high))
    return Interval(value, low, high)


def _logit(scale: str, value: float, shift: float) -> float:
    if scale == ARENA:
        return (value - ARENA_ZERO) * LOGITS_PER_POINT
    if scale == INDEX:
        rating = ARENA_OF_INDEX + POINTS_PER_LOG * math.log(max(value + INDEX_SHIFT, LEAST_INDEX))
        return (rating - ARENA_ZERO) * LOGITS_PER_POINT
    return value + shift if scale == CHECKABLE else value


def _shift(strengths: tuple[Strength, ...]) -> float:
    """Return how much harder average prompts are than ours, by the models that have both figures; without one, 0."""
    ours = {each.model: each.value for each in strengths if each.scale == CHECKABLE}
    others = {
        each.model: _logit(each.scale, each.value, 0.0)
        for each in strengths
        if each.scale in (ARENA, LOGIT) and each.model in ours
    }
    gaps = [value - ours[model] for model, value in others.items()]
    return math.fsum(gaps) / len(gaps) if gaps else 0.0
