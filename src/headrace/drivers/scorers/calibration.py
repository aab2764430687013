"""Probabilities from features, by coefficients that were fitted once and ship as a file; fitting is not done here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.drivers.scorers.features import WITH_SEVERAL
from headrace.drivers.scorers.vectors import Floats

FILE = "calibration.json"
# A prompt matches when it is likelier to be right than out of scope.
THRESHOLD = 0.5
# From how many examples of the best task on which coefficients apply.
BUCKETS: tuple[tuple[int, str], ...] = ((3, "3+"), (1, "1-2"), (0, "0"))
STEEPEST = 30.0


@dataclass(frozen=True, slots=True)
class Coefficients:
    """A logistic model: features within [low, high], less mean, over scale, times weights, plus intercept."""

    columns: tuple[int, ...]
    low: Floats
    high: Floats
    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float

    def probabilities(self, features: Floats) -> Floats:
        """Return for every row the probability that the best task is right and not that none is.

        Features beyond what the fit saw are moved to its edge: a strange router must not extrapolate.
        """
        inside = np.clip(features[:, self.columns], self.low, self.high)
        return sigmoid((inside - self.mean) / self.scale @ self.weights + np.float32(self.intercept))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Coefficients by how many examples the best task has."""

    by_bucket: Mapping[str, Coefficients]

    def probabilities(self, features: Floats, shots: NDArray[np.intp]) -> Floats:
        """Return the probability of each row; `shots` are the examples of each row's best task."""
        found = np.zeros(len(features), np.float32)
        buckets = [bucket_of(int(each)) for each in shots]
        for name in set(buckets):
            mine = np.array([each == name for each in buckets])
            found[mine] = self.by_bucket[name].probabilities(features[mine])
        return found


def bucket_of(shots: int) -> str:
    """Return which coefficients apply to a task with so many examples."""
    return next(name for fewest, name in BUCKETS if shots >= fewest)


def read_calibration(text: str) -> Calibration:
    """Return the calibration of a JSON text."""
    rows: Mapping[str, Any] = json.loads(text)["buckets"]
    return Calibration({name: _coefficients(row) for name, row in rows.items()})


def sigmoid(values: Floats) -> Floats:
    """Return the logistic function of values."""
    return 1 / (1 + np.exp(-np.clip(values, -STEEPEST, STEEPEST)))


def _coefficients(row: Mapping[str, Any]) -> Coefficients:
    named: Mapping[str, list[float]] = row["features"]
    low, high, mean, scale, weights = np.array(list(named.values()), np.float32).T
    columns = tuple(WITH_SEVERAL.index(name) for name in named)
    return Coefficients(columns, low, high, mean, scale, weights, float(row["intercept"]))
