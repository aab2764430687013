"""What matching is compared with: chance, always abstaining, tf-idf, plain similarity, and the earlier recipe."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from benchmarks.routing.data import Case
from benchmarks.routing.figures import Judged
from headrace.domain.router import Task
from headrace.drivers.scorers.background import Background
from headrace.drivers.scorers.task_index import top_two
from headrace.drivers.scorers.texts import PHRASING_TOKENS, PROMPT_TOKENS, in_words
from headrace.drivers.scorers.vectors import Floats, Vectors, meaning, unit

Scores: TypeAlias = "Callable[[Case, Sequence[Task]], Floats]"
LIBRARY_ROWS = 300


def baselines(vectors: Vectors, background: Background) -> Mapping[str, Scores]:
    """Return the scores [prompts, n] of every baseline, by its name."""
    return {
        "random": _random,
        "tf-idf": _tfidf,
        "plain similarity": lambda case, tasks: _plain(case, tasks, vectors),
        "earlier recipe": lambda case, tasks: _earlier(case, tasks, vectors, background),
    }


def judged(case: Case, scores: Floats) -> Judged:
    """Return the prompts judged by their highest score."""
    return Judged(case, scores.argmax(1) == case.right, scores.max(1))


def _random(case: Case, tasks: Sequence[Task]) -> Floats:
    return np.random.default_rng(len(case.prompts)).random((len(case.prompts), len(tasks)))


def _tfidf(case: Case, tasks: Sequence[Task]) -> Floats:
    documents = [_grams(" ".join((in_words(each.slug), each.description, *each.examples))) for each in tasks]
    seen = Counter(gram for each in documents for gram in each)
    weight = {gram: math.log((1 + len(tasks)) / (1 + count)) + 1 for gram, count in seen.items()}
    rows = [_weighted(each, weight) for each in documents]
    prompts = (_weighted(_grams(each), weight) for each in case.prompts)
    return np.array(
        [[sum(value * row.get(gram, 0.0) for gram, value in each.items()) for row in rows] for each in prompts]
    )


def _grams(text: str) -> Counter[str]:
    words = (f" {each} " for each in text.lower().split())
    return Counter(word[at : at + size] for word in words for size in (3, 4, 5) for at in range(len(word) - size + 1))


def _weighted(grams: Counter[str], weight: Mapping[str, float]) -> dict[str, float]:
    values = {gram: count * weight[gram] for gram, count in grams.items() if gram in weight}
    length = math.sqrt(sum(each * each for each in values.values())) or 1.0
    return {gram: value / length for gram, value in values.items()}


def _texts(tasks: Sequence[Task], vectors: Vectors) -> Floats:
    return meaning(vectors.of_all((f"{in_words(each.slug)}: {each.description}" for each in tasks), PHRASING_TOKENS))


def _centroids(tasks: Sequence[Task], words: Floats, vectors: Vectors) -> Floats:
    means = [
        meaning(vectors.of_all(each.examples, PROMPT_TOKENS)).mean(0) if each.examples else words[place]
        for place, each in enumerate(tasks)
    ]
    return unit(np.stack(means))


def _plain(case: Case, tasks: Sequence[Task], vectors: Vectors) -> Floats:
    words = _texts(tasks, vectors)
    prompts = meaning(vectors.of_all(case.prompts, PROMPT_TOKENS))
    blend = np.array([len(each.examples) / (len(each.examples) + 2) for each in tasks])
    return (1 - blend) * (prompts @ words.T) + blend * (prompts @ _centroids(tasks, words, vectors).T)


def _earlier(case: Case, tasks: Sequence[Task], vectors: Vectors, background: Background) -> Floats:
    """Return mean views less the hub plus half the lead; with examples, half a ridge beside centroid and words."""
    names = meaning(vectors.of_all((each.description.partition(".")[0] for each in tasks), PHRASING_TOKENS))
    bodies = meaning(
        vectors.of_all((each.description.partition(". ")[2] or each.slug for each in tasks), PHRASING_TOKENS)
    )
    words = unit(names + bodies + _texts(tasks, vectors))
    prompts, none = (
        meaning(vectors.of_all(case.prompts, PROMPT_TOKENS)),
        background.prompts[:: len(background.prompts) // LIBRARY_ROWS],
    )
    blend = np.array([len(each.examples) / (len(each.examples) + 2) for each in tasks])
    centroids = _centroids(tasks, words, vectors)
    similarity = (1 - blend) * (prompts @ words.T - (none @ words.T).mean(0)) + blend * (
        prompts @ centroids.T - (none @ centroids.T).mean(0)
    )
    if not any(blend):
        similarity[np.arange(len(similarity)), similarity.argmax(1)] += 0.5 * top_two(similarity)[1]
        return similarity
    told = [meaning(vectors.of_all(each.examples, PROMPT_TOKENS)) for each in tasks]
    rows = np.concatenate([words, *told, none])
    aims = np.zeros((len(rows), len(tasks)))
    owner = np.concatenate([np.arange(len(tasks)), np.repeat(np.arange(len(tasks)), [len(each) for each in told])])
    aims[np.arange(len(owner)), owner] = 1
    solved = np.asarray(np.linalg.solve(rows.T @ rows + np.eye(rows.shape[1]), rows.T @ aims))
    return similarity + 0.5 * (prompts @ solved)
