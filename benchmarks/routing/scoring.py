"""Every router of the data scored as the product scores it, with so many examples a task; nothing is fitted here."""

from collections.abc import Sequence

from benchmarks.routing.data import Case
from benchmarks.routing.fit import Outcome
from headrace.domain.router import Task
from headrace.domain.routing import TaskSet
from headrace.drivers.scorers.background import Background
from headrace.drivers.scorers.features import scored
from headrace.drivers.scorers.library import FILE, read_library, shipped_text
from headrace.drivers.scorers.matcher import make_background
from headrace.drivers.scorers.task_index import TaskIndex, index_of
from headrace.drivers.scorers.texts import PROMPT_TOKENS
from headrace.drivers.scorers.vectors import Vectors


def shipped_background(vectors: Vectors) -> Background:
    """Return the background that the shipped library gives."""
    return make_background(read_library(shipped_text(FILE)), vectors)


def indexed(tasks: Sequence[Task], vectors: Vectors, background: Background) -> TaskIndex:
    """Return the index of tasks."""
    return index_of(TaskSet("", tuple(tasks)), vectors, background)


def outcomes(cases: Sequence[Case], shots: int, vectors: Vectors, background: Background) -> list[Outcome]:
    """Return the scores and features of every router that has so many examples of each task."""
    found: list[Outcome] = []
    for case in cases:
        tasks = case.shown(shots)
        if tasks is not None:
            index = indexed(tasks, vectors, background)
            found.append(Outcome(case, scored(index, background, vectors.of_all(case.prompts, PROMPT_TOKENS))))
    return found
