"""Learns from outcomes how well each model answers a prompt and what that costs; arrays in, arrays out.

Everything that has to be chosen is chosen by cross-validation on the rows that it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.drivers.scorers.kernel import Block, Folds, KernelMap, Linear, cross_validated, kernel_map, ridge
from headrace.drivers.scorers.vectors import Floats

FOLDS = 5
PENALTIES = np.logspace(-2, 3, 21)
KIND_PENALTIES = np.array([0.1])
# How sharply a regression on kinds is read as a probability of each.
KIND_TEMPERATURE = 0.12
# A kind says more of who answers well than a prompt's words and format do.
KIND_WEIGHT = 2.0
CHEAPEST_SHARE = 1e-3


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of prompts, a row for each: quality [n, m], 0 to 1, and dollars [n, m].

    `kinds` are labels that group the prompts, as a benchmark's name does; all may be the same.
    """

    quality: Floats
    dollars: Floats
    kinds: Sequence[str]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of prompts, a row for each: quality [n, m] and dollars [n, m]."""

    quality: Floats
    dollars: Floats


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts as a learner sees them: unit vectors [n, 384] and shapes [n, 14]."""

    vectors: Floats
    shapes: Floats


@dataclass(frozen=True, slots=True)
class Kinds:
    """How the kind of a prompt is known."""

    features: KernelMap
    weights: Linear

    def of(self, prompts: Prompts) -> Floats:
        """Return the probability of each kind."""
        return _sharpened(self.weights(self.features(prompts.vectors, prompts.shapes)))


@dataclass(frozen=True, slots=True)
class Learned:
    """What outcomes taught; `held_out` is the forecast of their own rows, each by fits that did not see it."""

    kinds: Kinds | None
    features: KernelMap
    weights: Linear
    basis: Floats
    dollars_scale: Floats
    held_out: Forecast

    def forecast(self, prompts: Prompts) -> Forecast:
        """Return what is expected of new prompts."""
        kinds = () if self.kinds is None else (self.kinds.of(prompts),)
        values = self.weights(self.features(prompts.vectors, prompts.shapes, *kinds))
        return _forecast(values, self.basis, self.dollars_scale)


def learn(prompts: Prompts, outcomes: Outcomes) -> Learned:
    """Return what the outcomes teach; the same outcomes teach the same."""
    folds = np.random.default_rng(0).permutation(len(outcomes.quality)) % FOLDS
    blocks = (Block(prompts.vectors), Block(prompts.shapes, each_alike=True))
    kinds, probabilities = _learn_kinds(blocks, outcomes.kinds, folds)
    if probabilities is not None:
        blocks = (*blocks, Block(probabilities, KIND_WEIGHT))
    features = kernel_map(blocks)
    rows = features(*(block.values for block in blocks))
    basis = _basis(outcomes.quality)
    targets = np.hstack([outcomes.quality @ basis, _logarithms(outcomes.dollars)])
    tried = cross_validated(rows, targets, folds, PENALTIES)
    chosen = ((tried - targets) ** 2).mean(1).argmin(0)
    held_out = tried[chosen, :, np.arange(len(chosen))].T
    # The mean of logarithms is not the logarithm of the mean.
    scale = outcomes.dollars.mean(0) / np.exp(held_out[:, len(basis) :]).mean(0)
    weights = ridge(rows, targets)(PENALTIES[chosen])
    return Learned(kinds, features, weights, basis, scale, _forecast(held_out, basis, scale))


def _learn_kinds(blocks: tuple[Block, ...], kinds: Sequence[str], folds: Folds) -> tuple[Kinds | None, Floats | None]:
    """Return how kinds are known, and the probabilities of each row's by fits that did not see it."""
    names = sorted(set(kinds))
    if len(names) < 2:
        return None, None
    targets = (np.array(kinds)[:, None] == np.array(names)).astype(np.float64)
    features = kernel_map(blocks)
    rows = features(*(block.values for block in blocks))
    (held_out,) = cross_validated(rows, targets, folds, KIND_PENALTIES)
    return Kinds(features, ridge(rows, targets)(KIND_PENALTIES[0])), _sharpened(held_out)


def _sharpened(values: Floats) -> Floats:
    raised = np.exp(np.clip(values, -0.5, 1.5) / KIND_TEMPERATURE)
    return raised / raised.sum(1, keepdims=True)


def _basis(quality: Floats) -> Floats:
    """Return an orthonormal basis of the models: all alike first, then the ways in which they differ, widest first.

    So what all have in common is learned from all, and what sets one apart is believed as far as it is seen again.
    """
    models = quality.shape[1]
    alike = np.full((models, 1), models**-0.5)
    apart = quality - quality.mean(0)
    apart = apart - apart @ alike @ alike.T
    _, vectors = np.linalg.eigh(apart.T @ apart)
    return np.hstack([alike, vectors[:, ::-1][:, : models - 1]])


def _logarithms(dollars: Floats) -> Floats:
    return np.log(np.maximum(dollars, CHEAPEST_SHARE * dollars.mean() + 1e-12))


def _forecast(values: Floats, basis: Floats, scale: Floats) -> Forecast:
    models = len(basis)
    return Forecast(values[:, :models] @ basis.T, np.exp(values[:, models:]) * scale)
