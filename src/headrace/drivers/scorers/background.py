"""The background: the library in vectors, and the adapter that was learned on it; keeping it is not done here.

The adapter is a matrix that turns a prompt's vector towards the descriptions of tasks that it belongs to. It learns
from the library alone: no prompt of anybody else shapes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.drivers.scorers.library import Library
from headrace.drivers.scorers.texts import PHRASING_TOKENS
from headrace.drivers.scorers.vectors import WIDTH, Floats, Vectors, meaning, unit

# Another way of making it is another number: kept backgrounds of older numbers are made anew.
RECIPE = 1
STRENGTH = 0.6
STEPS = 100
LEARNING_RATE = 1e-3
TEMPERATURE = 0.07
PULL = 0.01
FEWEST_TASKS, MOST_TASKS = 10, 60
BETAS = (0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Background:
    """Library prompts and tasks as unit vectors.

    Shapes: prompts and adapted [prompts, 384], owner [prompts] the task of each, in order, tasks [tasks, 384], adapter
    [384, 384]. `task_hubs` [tasks] are the mean similarities of a task to all library prompts.
    """

    prompts: Floats
    adapted: Floats
    owner: NDArray[np.intp]
    tasks: Floats
    task_hubs: Floats
    adapter: Floats


def encode_library(library: Library, vectors: Vectors) -> tuple[Floats, Floats]:
    """Return the vectors of all prompts and of all tasks."""
    prompts = meaning(vectors.of_all((each for task in library.tasks for each in task.prompts), PHRASING_TOKENS))
    rows = [(each.name, each.description, f"{each.name}: {each.description}") for each in library.tasks]
    return prompts, unit(np.stack([meaning(vectors.of_all(row, PHRASING_TOKENS)).mean(0) for row in rows]))


def owners(library: Library) -> NDArray[np.intp]:
    """Return the number of the task of every prompt."""
    return np.repeat(np.arange(len(library.tasks)), [len(each.prompts) for each in library.tasks])


def starts_of(owner: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the first prompt of every task."""
    return np.flatnonzero(np.diff(owner, prepend=-1))


def background_of(prompts: Floats, owner: NDArray[np.intp], tasks: Floats, adapter: Floats) -> Background:
    """Return the background with what follows from its parts."""
    adapted = unit(prompts @ adapter)
    return Background(prompts, adapted, owner, tasks, (adapted @ tasks.T).mean(0), adapter)


def learn_adapter(prompts: Floats, owner: NDArray[np.intp], tasks: Floats) -> Floats:
    """Return the adapter: softmax over the tasks of a random few of the library's tasks, Adam, pulled to no change.

    The same library gives the same adapter.
    """
    random = np.random.default_rng(0)
    still = np.eye(WIDTH, dtype=np.float32)
    matrix, first, second = still.copy(), np.zeros_like(still), np.zeros_like(still)
    for step in range(1, STEPS + 1):
        few = random.permutation(len(tasks))[: random.integers(FEWEST_TASKS, MOST_TASKS)]
        slope = PULL * (matrix - still) + _slope(matrix, few, prompts, owner, tasks)
        first = BETAS[0] * first + (1 - BETAS[0]) * slope
        second = BETAS[1] * second + (1 - BETAS[1]) * slope * slope
        rate = LEARNING_RATE / (1 - BETAS[0] ** step)
        matrix = matrix - rate * first / (np.sqrt(second / (1 - BETAS[1] ** step)) + 1e-8)
    return np.asarray(still + STRENGTH * (matrix - still), np.float32)


def _slope(matrix: Floats, few: NDArray[np.intp], prompts: Floats, owner: NDArray[np.intp], tasks: Floats) -> Floats:
    place = np.full(len(tasks), -1)
    place[few] = np.arange(len(few))
    mine = place[owner] >= 0
    rows, right = prompts[mine], place[owner[mine]]
    logits = rows @ matrix @ tasks[few].T / TEMPERATURE
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    shares[np.arange(len(right)), right] -= 1
    return np.asarray(rows.T @ (shares @ tasks[few]) / (TEMPERATURE * len(rows)), np.float32)
