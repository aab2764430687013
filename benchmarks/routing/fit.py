"""Fits the calibration: a ridge logistic from features to "right, and not out of scope"; pure arithmetic.

Prompts in scope whose best task is wrong are left out: answering or not is equally wrong there. So are those whose
licence could not be read. Every router weighs the same, however many prompts it has.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.routing.data import IN_SCOPE, Case
from benchmarks.routing.sources import may_shape
from headrace.drivers.scorers.calibration import Coefficients, sigmoid
from headrace.drivers.scorers.features import WITH_EXAMPLES, WITH_SEVERAL, WITHOUT_EXAMPLES, Scored
from headrace.drivers.scorers.vectors import Floats

RIDGE = 1.0
CLIP_PERCENT = 1.0
MOST_STEPS = 30
COLUMNS: Mapping[str, tuple[str, ...]] = {"0": WITHOUT_EXAMPLES, "1-2": WITH_EXAMPLES, "3+": WITH_SEVERAL}


Grouping: TypeAlias = "Callable[[Case], str]"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A router's prompts as they were scored."""

    case: Case
    scored: Scored

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether the best task is the right one."""
        return self.scored.best == self.case.right

    @property
    def is_in_scope(self) -> NDArray[np.bool_]:
        """Whether any task is right."""
        return self.case.kind == IN_SCOPE


def fit(outcomes: Sequence[Outcome], names: Sequence[str], ridge: float = RIDGE) -> Coefficients:
    """Return the coefficients that fit the outcomes best."""
    columns = tuple(WITH_SEVERAL.index(name) for name in names)
    features = np.concatenate([each.scored.features[:, columns] for each in outcomes]).astype(np.float64)
    right = np.concatenate([each.is_right for each in outcomes])
    scope = np.concatenate([each.is_in_scope for each in outcomes])
    weight = np.concatenate([np.full(len(each.case.right), 100 / len(each.case.right)) for each in outcomes])
    counted = (right | ~scope) & np.concatenate([may_shape(each.case) for each in outcomes])
    features, right, weight = features[counted], right[counted], weight[counted]
    low, high = np.percentile(features, (CLIP_PERCENT, 100 - CLIP_PERCENT), axis=0)
    inside = np.clip(features, low, high)
    mean, scale = inside.mean(0), inside.std(0) + 1e-9
    solved = _newton((inside - mean) / scale, right.astype(np.float64), weight, ridge)
    parts = (each.astype(np.float32) for each in (low, high, mean, scale, solved[:-1]))
    return Coefficients(columns, *parts, intercept=float(solved[-1]))


def _newton(rows: Floats, right: Floats, weight: Floats, ridge: float) -> Floats:
    wide = np.c_[rows, np.ones(len(rows))]
    solved, penalty = np.zeros(wide.shape[1]), np.eye(wide.shape[1]) * ridge
    penalty[-1, -1] = 1e-6
    for _ in range(MOST_STEPS):
        said = sigmoid(wide @ solved)
        bend = (wide * (weight * said * (1 - said) + 1e-9)[:, None]).T @ wide + penalty
        slope = wide.T @ (weight * (right - said)) - penalty @ solved
        step = np.asarray(np.linalg.solve(bend, slope), np.float64)
        solved = solved + step
        if np.abs(step).max() < 1e-6:
            break
    return solved


def left_out(fitted: Sequence[Outcome], names: Sequence[str], group: Grouping) -> Mapping[str, Coefficients]:
    """Return for every group the coefficients that were fitted without it."""
    groups = dict.fromkeys(group(each.case) for each in fitted)
    return {mine: fit([each for each in fitted if group(each.case) != mine], names) for mine in groups}
