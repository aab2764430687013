"""What a score alone does not say of a match: figures from which a calibration makes a probability.

All are sums and differences of cosines, by name; what each weighs is the calibration's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.drivers.scorers.background import Background, starts_of
from headrace.drivers.scorers.task_index import TaskIndex, lead_of, top_two
from headrace.drivers.scorers.vectors import Floats, meaning, unit

TEMPERATURE = 0.07
KIN_TEMPERATURE = 0.1
# Of the best task: `top` its score, `margin` its lead, `plain` its similarity without the adapter, `hub` its mean
# similarity to anything, `spread` its score's deviation on the library. Of the router: `lead` on the library. Of the
# library: `library_prompts` and `library_task` how near anything in it is, `odds` of the router's tasks against all
# others, `kin` how much like the best task the nearest library prompts' tasks are, `kin_lead` more than like any other
# task, `kin_other` how near a library prompt is that is not of its kind.
WITHOUT_EXAMPLES = (
    *("top", "margin", "plain", "hub", "spread", "lead", "library_prompts", "library_task", "odds"),
    *("kin", "kin_lead", "kin_other"),
)
# The nearest example of the best task, and its score by its description alone.
WITH_EXAMPLES = (*WITHOUT_EXAMPLES, "nearest", "description")
# How like one another the examples of all tasks are, and how this prompt compares with the best task's.
WITH_SEVERAL = (*WITH_EXAMPLES, "own", "above_own")


@dataclass(frozen=True, slots=True)
class Scored:
    """Prompts against tasks: scores [prompts, n], each prompt's best task, features [prompts, WITH_SEVERAL]."""

    scores: Floats
    best: NDArray[np.intp]
    features: Floats


def scored(index: TaskIndex, background: Background, prompts: Floats) -> Scored:
    """Return the scores and features of prompts, whose whole vectors are the rows."""
    plain = meaning(prompts)
    adapted = unit(plain @ background.adapter)
    scores = index.aims.scores(prompts, adapted)
    best = scores.argmax(1)
    by_name = {
        **_of_scores(index, scores, best),
        **_of_library(index, background, scores, adapted, best),
        **_of_examples(index, plain, adapted, best),
        "plain": (plain @ index.aims.described.T - index.aims.hubs[1]).max(1),
    }
    columns = [np.broadcast_to(by_name[name], len(scores)) for name in WITH_SEVERAL]
    return Scored(scores, best, np.asarray(np.stack(columns, axis=1), np.float32))


def _of_scores(index: TaskIndex, scores: Floats, best: NDArray[np.intp]) -> Mapping[str, Floats]:
    top, margin = top_two(scores)
    return {
        "top": top,
        "margin": margin,
        "hub": index.aims.hubs[0][best],
        "spread": index.spread[best],
        "lead": np.array([index.lead]),
    }


def _of_library(
    index: TaskIndex, background: Background, scores: Floats, adapted: Floats, best: NDArray[np.intp]
) -> Mapping[str, Floats]:
    prompts = adapted @ background.adapted.T
    tasks = adapted @ background.tasks.T - background.task_hubs
    rows = np.arange(len(best))
    near = np.exp((prompts - prompts.max(1, keepdims=True)) / KIN_TEMPERATURE)
    by_task = np.add.reduceat(near / near.sum(1, keepdims=True), starts_of(background.owner), axis=1)
    kin = by_task @ index.cover.T
    return {
        "library_prompts": _soft_maximum(prompts),
        "library_task": tasks.max(1),
        "odds": _soft_maximum(scores) - _soft_maximum(tasks, index.uncovered),
        "kin": kin[rows, best],
        "kin_lead": lead_of(kin)[rows, best],
        "kin_other": (prompts - index.cover[best][:, background.owner]).max(1),
    }


def _of_examples(index: TaskIndex, plain: Floats, adapted: Floats, best: NDArray[np.intp]) -> Mapping[str, Floats]:
    rows = np.arange(len(plain))
    nearest = np.zeros(len(plain), np.float32)
    if len(index.examples):
        mine = np.where(index.owner[None] == best[:, None], plain @ index.examples.T, -1.0)
        nearest = np.maximum(mine.max(1), 0)
    centroid = (plain * index.aims.centroids[best]).sum(1)
    return {
        "nearest": nearest,
        "description": index.aims.by_description(adapted)[rows, best],
        "own": index.own.mean(keepdims=True),
        "above_own": np.where(index.own[best] > 0, centroid - index.own[best], 0),
    }


def _soft_maximum(values: Floats, weights: Floats | float = 1.0) -> Floats:
    return TEMPERATURE * np.log((np.exp(values / TEMPERATURE) * weights).sum(1) + 1e-12)
