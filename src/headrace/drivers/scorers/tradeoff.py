"""Choosing between quality and dollars by one weight, and the weights that span the whole trade-off."""

from __future__ import annotations

import numpy as np

from headrace.drivers.scorers.learner import Forecast
from headrace.drivers.scorers.vectors import Floats

# Decades around one over the dearest model's mean cost in which weights are looked for, and how finely.
DECADES = 4.0
TRIED = 1201
TINY = 1e-30


def chosen(forecast: Forecast, weight: float) -> list[int]:
    """Return for each row the model of most quality less weight times dollars; the cheapest of equals."""
    worth = forecast.quality - weight * forecast.dollars
    best = worth.max(1, keepdims=True)
    return np.where(worth >= best, forecast.dollars, np.inf).argmin(1).tolist()


def spread_weights(forecast: Forecast, count: int) -> Floats:
    """Return so many weights, ascending, between which the rows' choices move evenly from best to cheapest.

    Evenly in what is spent and in what quality is forecast, each over its range.
    """
    scale = max(float(forecast.dollars.mean(0).max()), TINY)
    tried = np.logspace(-DECADES, DECADES, TRIED) / scale
    rows = np.arange(len(forecast.quality))
    path = np.array([_means(forecast, rows, chosen(forecast, weight)) for weight in tried])
    steps = np.abs(np.diff(path, axis=0)) / np.maximum(np.ptp(path, axis=0), TINY)
    gone = np.concatenate([[0.0], steps.sum(1).cumsum()])
    wanted = float(gone[-1]) * np.arange(count) / max(count - 1, 1)
    return tried[np.abs(gone - wanted[:, None]).argmin(1)]


def _means(forecast: Forecast, rows: np.ndarray[tuple[int], np.dtype[np.int64]], models: list[int]) -> list[float]:
    return [float(forecast.dollars[rows, models].mean()), float(forecast.quality[rows, models].mean())]
