"""Figures of decided prompts with bootstrap intervals, over prompts and routers jointly; deciding is not done here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.routing.data import FAR, IN_SCOPE, NEAR, Case
from headrace.domain.intervals import Interval
from headrace.drivers.scorers.vectors import Floats

DRAWS = 400
NAMES = ("joint", "acc", "acc@t", "OOS", "near", "far")


@dataclass(frozen=True, slots=True)
class Judged:
    """A router's prompts: whether the best task is right, a score, and from which score on it matches."""

    case: Case
    is_right: NDArray[np.bool_]
    score: Floats
    threshold: float = 0.5


def figures(judged: Sequence[Judged]) -> dict[str, Interval]:
    """Return every figure in percent, the mean over routers, with its 95 % interval.

    Prompts are drawn once for all routers, which share them, and routers within their data set.
    """
    ids = sorted({each for one in judged for each in one.case.ids})
    place = {each: number for number, each in enumerate(ids)}
    random = np.random.default_rng(0)
    drawn = random.multinomial(len(ids), np.full(len(ids), 1 / len(ids)), DRAWS)
    draws = np.vstack([np.ones(len(ids)), drawn.astype(np.float64)])
    of_router = np.stack([_of_router(one, draws[:, [place[each] for each in one.case.ids]]) for one in judged])
    groups = [
        np.flatnonzero([one.case.dataset == name for one in judged]) for name in {one.case.dataset for one in judged}
    ]
    groups.sort(key=lambda each: int(each[0]))
    found = np.empty((DRAWS, len(NAMES)))
    for draw in range(DRAWS):
        chosen = np.concatenate([random.choice(each, len(each)) for each in groups])
        found[draw] = _mean(of_router[chosen, draw + 1])
    value = _mean(of_router[:, 0])
    low, high = np.percentile(found, (2.5, 97.5), axis=0)
    return {name: Interval(float(value[i]), float(low[i]), float(high[i])) for i, name in enumerate(NAMES)}


def best_threshold(judged: Sequence[Judged]) -> float:
    """Return the score from which on matching is right most often, every router weighing the same."""
    score = np.concatenate([one.score for one in judged])
    gains = [np.where(one.case.kind == IN_SCOPE, one.is_right * 1.0, -1.0) / len(one.score) for one in judged]
    order = np.argsort(-score, kind="stable")
    return float(score[order][np.concatenate(gains)[order].cumsum().argmax()])


def _mean(rows: Floats) -> Floats:
    """Return the mean of each column, without what a router has not; 0 where none has it."""
    return np.nansum(rows, axis=0) / np.maximum((~np.isnan(rows)).sum(0), 1)


def _of_router(one: Judged, weights: Floats) -> Floats:
    inside, matched = one.case.kind == IN_SCOPE, one.score >= one.threshold
    right = np.where(inside, one.is_right & matched, ~matched)
    columns = [
        _share(right, weights, np.ones_like(inside)),
        _share(one.is_right, weights, inside),
        _share(right, weights, inside),
        _share(right, weights, ~inside),
        *(_auroc(one, weights, kind) for kind in (NEAR, FAR)),
    ]
    return 100 * np.stack(columns, axis=1)


def _share(hits: NDArray[np.bool_], weights: Floats, among: NDArray[np.bool_]) -> Floats:
    return (weights[:, among] @ hits[among]) / np.maximum(weights[:, among].sum(1), 1e-9)


def _auroc(one: Judged, weights: Floats, kind: int) -> Floats:
    """Return how often a prompt in scope scores above one out of scope; a tie counts half."""
    order = np.argsort(one.score, kind="stable")
    starts = np.flatnonzero(np.diff(one.score[order], prepend=-np.inf))
    inside, outside = (weights * (one.case.kind == each) for each in (IN_SCOPE, kind))
    above, below = (np.add.reduceat(each[:, order], starts, axis=1) for each in (inside, outside))
    pairs = inside.sum(1) * outside.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (above * (below.cumsum(1) - below / 2)).sum(1) / np.where(pairs > 0, pairs, np.nan)
