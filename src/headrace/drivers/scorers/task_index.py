"""A router's tasks in vectors, with what the library says of each; made once for a set of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.domain.router import Task
from headrace.domain.routing import TaskSet
from headrace.drivers.scorers.background import Background
from headrace.drivers.scorers.grams import grams_of
from headrace.drivers.scorers.texts import PHRASING_TOKENS, PROMPT_TOKENS, in_words, phrasings
from headrace.drivers.scorers.vectors import WHOLE, Floats, Vectors, meaning, unit, unpacked, wording

# Examples weigh k / (k + 3) beside the description: one example alone says less than the words.
SHRINK = 3.0
# A library task less similar to a router's task than the lower is something else; from the upper on it is the same.
COVER_LOW, COVER_HIGH = 0.4, 0.7
# How sharply library tasks are picked that are of a task's kind.
KIND_TEMPERATURE = 0.05
# How much common words add to common meaning; twice as much where there are many examples.
WORDING = 0.2


@dataclass(frozen=True, slots=True)
class Aims:
    """What prompts are compared with.

    Shapes: described [n, 384] by the tasks' words, centroids [n, 384] of the examples or else the same, blend [n] the
    weight of the examples, hubs three of [n]: mean similarities to library prompts, of the descriptions to adapted
    ones and to plain ones, and of the centroids. Wording [n, 256] are the words of descriptions and examples.
    """

    described: Floats
    centroids: Floats
    blend: Floats
    hubs: tuple[Floats, Floats, Floats]
    wording: Floats

    def by_description(self, adapted: Floats) -> Floats:
        """Return how well adapted prompts fit the descriptions, [prompts, n]: similarity less what any prompt has."""
        return adapted @ self.described.T - self.hubs[0]

    def by_meaning(self, plain: Floats, adapted: Floats) -> Floats:
        """Return how well prompts fit descriptions and examples, [prompts, n]; by the encoder's part alone."""
        examples = plain @ self.centroids.T - self.hubs[2]
        return (1 - self.blend) * self.by_description(adapted) + self.blend * examples

    def scores(self, prompts: Floats, adapted: Floats) -> Floats:
        """Return how well whole vectors of prompts fit, [prompts, n], the words counted."""
        common = wording(prompts) @ self.wording.T
        return self.by_meaning(meaning(prompts), adapted) + WORDING * (1 + self.blend) * common


@dataclass(frozen=True, slots=True)
class TaskIndex:
    """The tasks of one router.

    Shapes: examples [m, 384], without their words, with the task of each in owner [m]; shots [n] counts those of each
    task, told [n] only those with a text, which come first; own [n] is how similar an example is to the others of its
    task. Cover [n, library tasks] are similarities to library tasks, uncovered [library tasks] how much each is none
    of the router's. Spread [n] is the deviation of a task's score over library prompts; `lead` is by how much library
    prompts of the tasks' kinds score more there than elsewhere.
    """

    slugs: tuple[str, ...]
    aims: Aims
    examples: Floats
    owner: NDArray[np.intp]
    shots: NDArray[np.intp]
    told: NDArray[np.intp]
    own: Floats
    cover: Floats
    uncovered: Floats
    spread: Floats
    lead: float

    @property
    def size_bytes(self) -> int:
        """How much memory it takes, roughly."""
        return 2 * self.aims.described.nbytes + self.examples.nbytes + self.cover.nbytes


def texts_of(tasks: TaskSet) -> Iterator[tuple[str, int]]:
    """Return every text that an index of the tasks needs, with how many of its tokens."""
    for task in tasks.tasks:
        yield from ((each, PHRASING_TOKENS) for each in phrasings(task))
        yield from ((each, PROMPT_TOKENS) for each in task.examples)


def index_of(tasks: TaskSet, vectors: Vectors, background: Background) -> TaskIndex:
    """Return the index of the tasks; encodes what is not kept."""
    described = np.stack([_described(each, vectors) for each in tasks.tasks])
    examples = [_examples(each, tasks, vectors) for each in tasks.tasks]
    shots = np.array([len(each) for each in examples])
    aims = _aims(described, examples, background)
    cover = aims.described @ background.tasks.T
    scores = aims.by_meaning(background.prompts, background.adapted)
    return TaskIndex(
        slugs=tuple(each.slug for each in tasks.tasks),
        aims=aims,
        examples=meaning(np.concatenate(examples)),
        owner=np.repeat(np.arange(len(examples)), shots),
        shots=shots,
        told=np.array([len(each.examples) for each in tasks.tasks]),
        own=np.array([_own_likeness(meaning(each)) for each in examples], np.float32),
        cover=cover,
        uncovered=1 - np.clip((cover.max(0) - COVER_LOW) / (COVER_HIGH - COVER_LOW), 0, 1),
        spread=scores.std(0) + np.float32(1e-6),
        lead=_lead(scores, cover, background),
    )


def top_two(scores: Floats) -> tuple[Floats, Floats]:
    """Return each row's highest value, and by how much it is before the second; 0 where there is no second."""
    if scores.shape[1] == 1:
        return scores[:, 0], np.zeros(len(scores), np.float32)
    best = np.partition(scores, -2, axis=1)[:, -2:]
    return best[:, 1], best[:, 1] - best[:, 0]


def lead_of(scores: Floats) -> Floats:
    """Return by how much every score is before the highest other one of its row; its own value where there is none."""
    if scores.shape[1] == 1:
        return scores
    top, margin = top_two(scores)
    other = np.where(scores == top[:, None], (top - margin)[:, None], top[:, None])
    return scores - other


def _described(task: Task, vectors: Vectors) -> Floats:
    """Return the whole vector of a task's words: the mean of its phrasings, and the words of the longest."""
    rows = vectors.of_all(phrasings(task), PHRASING_TOKENS)
    if not len(rows):
        return np.zeros(WHOLE, np.float32)
    return np.concatenate([unit(meaning(rows).mean(0)), grams_of(f"{task.description} {in_words(task.slug)}")])


def _examples(task: Task, tasks: TaskSet, vectors: Vectors) -> Floats:
    told = [vectors.of(each, PROMPT_TOKENS) for each in task.examples]
    kept = (unpacked(features) for slug, features in tasks.corrections if slug == task.slug)
    rows = [*told, *(each for each in kept if each is not None)]
    return np.stack(rows) if rows else np.zeros((0, WHOLE), np.float32)


def _aims(described: Floats, examples: list[Floats], background: Background) -> Aims:
    shots = np.array([len(each) for each in examples])
    blend = np.asarray(shots / (shots + SHRINK), np.float32)
    means = np.stack([each.mean(0) if len(each) else described[place] for place, each in enumerate(examples)])
    words, centroids = meaning(described), unit(meaning(means))
    common = unit((1 - blend)[:, None] * wording(described) + blend[:, None] * unit(wording(means)))
    adapted, plain = background.adapted @ words.T, background.prompts @ words.T
    hubs = (adapted.mean(0), plain.mean(0), (background.prompts @ centroids.T).mean(0))
    return Aims(words, centroids, blend, hubs, common)


def _kinds(cover: Floats) -> Floats:
    """Return how much each library task is of a task's kind, [n, library tasks]; rows sum to 1."""
    shares = np.exp((cover - cover.max(1, keepdims=True)) / KIND_TEMPERATURE)
    return shares / shares.sum(1, keepdims=True)


def _own_likeness(examples: Floats) -> float:
    """Return the mean similarity of an example to the centroid of the others; 0 below two."""
    if len(examples) < 2:
        return 0.0
    others = unit(examples.sum(0) - examples)
    return float((examples * others).sum(1).mean())


def _lead(scores: Floats, cover: Floats, background: Background) -> float:
    weights = _kinds(cover).T[background.owner]
    return float((weights / weights.sum(0) * lead_of(scores)).sum(0).mean())
