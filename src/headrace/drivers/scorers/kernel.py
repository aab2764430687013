"""Ridge regression on the landmarks of a Gaussian kernel, in closed form; what is learned so is the learner's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from headrace.drivers.scorers.vectors import Floats

Folds: TypeAlias = "NDArray[np.int64]"

LANDMARKS = 800
# The kernel falls to exp(-WIDTH) at the mean squared distance of two rows.
WIDTH = 3.6
# What is linear in the rows has its own, smaller part beside the kernel.
LINEAR_SHARE = 0.3
LIMIT = 4.0
JITTER = 1e-6
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Block:
    """Figures of the same prompts, one row each, and what the block weighs beside others.

    With `each_alike` every column is scaled by itself and cut at four deviations: figures of different units.
    """

    values: Floats
    weight: float = 1.0
    each_alike: bool = False


@dataclass(frozen=True, slots=True)
class Scaling:
    """How blocks become rows of one matrix: less mean, times factor, within limit, column by column."""

    mean: Floats
    factor: Floats
    limit: Floats

    def __call__(self, *values: Floats) -> Floats:
        """Return the rows of blocks of the same shapes."""
        return np.clip((np.hstack(values) - self.mean) * self.factor, -self.limit, self.limit)


@dataclass(frozen=True, slots=True)
class KernelMap:
    """Blocks to features: closeness to each landmark, decorrelated, then the scaled rows themselves."""

    scaling: Scaling
    landmarks: Floats
    whitening: Floats
    gamma: float

    def __call__(self, *values: Floats) -> Floats:
        """Return the features of the blocks' rows."""
        rows = self.scaling(*values)
        return np.hstack([_closeness(rows, self.landmarks, self.gamma) @ self.whitening, LINEAR_SHARE * rows])


@dataclass(frozen=True, slots=True)
class Linear:
    """What features weigh for each target."""

    middle: Floats
    weights: Floats
    mean: Floats

    def __call__(self, features: Floats) -> Floats:
        """Return the predictions, a row for each row."""
        return (features - self.middle) @ self.weights + self.mean


def scaling_of(blocks: tuple[Block, ...]) -> Scaling:
    """Return the scaling under which each block's rows have its weight as their root mean square length."""
    mean = np.hstack([block.values.mean(0) for block in blocks])
    return Scaling(mean, np.hstack([_factors(each) for each in blocks]), np.hstack([_limits(each) for each in blocks]))


def kernel_map(blocks: tuple[Block, ...]) -> KernelMap:
    """Return the map whose landmarks are a fixed draw of the blocks' rows."""
    scaling = scaling_of(blocks)
    rows = scaling(*(block.values for block in blocks))
    landmarks = rows[np.random.default_rng(0).permutation(len(rows))[:LANDMARKS]]
    gamma = WIDTH / (2 * sum(block.weight**2 for block in blocks))
    values, vectors = np.linalg.eigh(_closeness(landmarks, landmarks, gamma) + JITTER * np.eye(len(landmarks)))
    return KernelMap(scaling, landmarks, vectors / np.sqrt(np.maximum(values, JITTER)), gamma)


def ridge(features: Floats, targets: Floats) -> Callable[[Floats], Linear]:
    """Return how to fit under a penalty for each target; the costly part is done once for all penalties."""
    middle, mean = features.mean(0), targets.mean(0)
    centred = features - middle
    values, vectors = np.linalg.eigh(centred.T @ centred)
    turned = vectors.T @ (centred.T @ (targets - mean))
    kept = np.maximum(values, 0)[:, None]
    return lambda penalties: Linear(middle, vectors @ (turned / (kept + penalties)), mean)


def cross_validated(features: Floats, targets: Floats, folds: Folds, penalties: Floats) -> Floats:
    """Return for every row and each penalty what the fits predict that did not see it: [penalties, rows, targets]."""
    found = np.zeros((len(penalties), *targets.shape))
    for fold in np.unique(folds):
        mine = folds == fold
        fitted = ridge(features[~mine], targets[~mine])
        for number, penalty in enumerate(penalties):
            found[number, mine] = fitted(penalty)(features[mine])
    return found


def _factors(block: Block) -> Floats:
    columns, deviations = block.values.shape[1], block.values.std(0)
    length = deviations * columns**0.5 if block.each_alike else np.full(columns, np.sqrt((deviations**2).sum()))
    return block.weight / (length + TINY)


def _limits(block: Block) -> Floats:
    columns = block.values.shape[1]
    limit = LIMIT * block.weight / columns**0.5 if block.each_alike else math.inf
    return np.ones(columns) * limit


def _closeness(rows: Floats, landmarks: Floats, gamma: float) -> Floats:
    distances = (rows**2).sum(1)[:, None] + (landmarks**2).sum(1) - 2 * rows @ landmarks.T
    return np.exp(-gamma * np.maximum(distances, 0))
