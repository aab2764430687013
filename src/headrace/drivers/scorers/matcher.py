"""Matching with everything loaded: encoder, background and calibration; it blocks, so it runs in the CPU pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from headrace.domain.conversation import Conversation
from headrace.domain.routing import Match, PromptFigures, TaskSet
from headrace.drivers.scorers.background import Background, background_of, encode_library, learn_adapter, owners
from headrace.drivers.scorers.background_file import background_path, read_background, write_background
from headrace.drivers.scorers.calibration import FILE as CALIBRATION
from headrace.drivers.scorers.calibration import THRESHOLD, Calibration, read_calibration
from headrace.drivers.scorers.difficulty import FILE as DIFFICULTY
from headrace.drivers.scorers.difficulty import DifficultyModel, read_difficulty
from headrace.drivers.scorers.features import Scored, scored
from headrace.drivers.scorers.library import FILE as LIBRARY
from headrace.drivers.scorers.library import Library, read_library, shipped, shipped_text
from headrace.drivers.scorers.single_thread import compute_in_one_thread
from headrace.drivers.scorers.task_index import TaskIndex, index_of, texts_of
from headrace.drivers.scorers.turns import ReadTurns, fitting, followed, read_turns
from headrace.drivers.scorers.vectors import Floats, Vectors, meaning, packed, unpacked
from headrace.ports.routing import TokenReader

UNKNOWN = PromptFigures(0.0, 300.0)
NOTHING_READ = Match(None, 0.0, False, None, 0.0, None, UNKNOWN, b"")


def open_matcher(reader: TokenReader, home: Path, encoder: str) -> Matcher:
    """Return a matcher over an encoder; its background is read from the home, or made and kept there.

    `encoder` names the encoder's file. Takes seconds where the background is made.
    """
    compute_in_one_thread()
    library = read_library(shipped_text(LIBRARY))
    path = background_path(home, library, encoder)
    background = read_background(path, library)
    if background is None:
        background = make_background(library, Vectors(reader))
        # It serves from memory as well; the next start makes it anew.
        with suppress(OSError):
            write_background(path, background)
    return Matcher(
        Vectors(reader), background, read_calibration(shipped_text(CALIBRATION)), read_difficulty(shipped(DIFFICULTY))
    )


def make_background(library: Library, vectors: Vectors) -> Background:
    """Return the background of a library, learned."""
    prompts, tasks = encode_library(library, vectors)
    owner = owners(library)
    return background_of(prompts, owner, tasks, learn_adapter(prompts, owner, tasks))


class Matcher:
    """Decides for conversations; safe in several threads, which share kept vectors and nothing else that changes."""

    def __init__(
        self, vectors: Vectors, background: Background, calibration: Calibration, difficulty: DifficultyModel
    ) -> None:
        self._vectors = vectors
        self._background = background
        self._calibration = calibration
        self._difficulty = difficulty

    def unread(self, tasks: TaskSet) -> list[tuple[str, int]]:
        """Return the texts that an index needs and that are not kept yet, with how many of their tokens."""
        return [(text, most) for text, most in texts_of(tasks) if self._vectors.kept(text, most) is None]

    def read(self, texts: Iterable[tuple[str, int]]) -> None:
        """Encode texts ahead of their use."""
        for text, most in texts:
            self._vectors.of(text, most)

    def index(self, tasks: TaskSet) -> TaskIndex:
        """Return the index of the tasks."""
        return index_of(tasks, self._vectors, self._background)

    def match(self, index: TaskIndex, conversation: Conversation) -> Match:
        """Return how a conversation fits."""
        turns = read_turns(conversation.turns, self._vectors)
        return NOTHING_READ if turns is None else self._matched(index, turns)

    def rematch(self, index: TaskIndex, features: Sequence[bytes]) -> tuple[Match, ...]:
        """Return how kept prompts fit, each as a conversation of one message; all are compared in one go.

        A score depends on how many are compared by the rounding of float32 alone: less than 1e-5.
        """
        vectors = [unpacked(each) for each in features]
        rows = [each for each in vectors if each is not None]
        found = iter(self._matched_alone(index, np.stack(rows)) if rows else ())
        return tuple(NOTHING_READ if each is None else next(found) for each in vectors)

    def weigh(self, conversation: Conversation) -> tuple[PromptFigures, bytes]:
        """Return what the user's last turn asks of a model, and its features."""
        turns = read_turns(conversation.turns[-1:], self._vectors)
        if turns is None:
            return UNKNOWN, b""
        return self._difficulty.figures(meaning(turns.vectors[-1]), turns.text), packed(turns.vectors[-1])

    def _matched(self, index: TaskIndex, turns: ReadTurns) -> Match:
        found = scored(index, self._background, turns.vectors)
        score = fitting(self._probabilities(index, found), turns.is_user)
        return self._told(index, followed(found.scores, turns.is_user), score, turns.vectors[-1], turns.text)

    def _matched_alone(self, index: TaskIndex, vectors: Floats) -> Iterator[Match]:
        found = scored(index, self._background, vectors)
        for row, score in enumerate(self._probabilities(index, found)):
            belief = followed(found.scores[row : row + 1], (True,))
            yield self._told(index, belief, float(score), vectors[row], None)

    def _probabilities(self, index: TaskIndex, found: Scored) -> Floats:
        return self._calibration.probabilities(found.features, index.shots[found.best])

    def _told(self, index: TaskIndex, belief: Floats, score: float, vector: Floats, text: str | None) -> Match:
        first = int(belief.argmax())
        second = _second(belief, first)
        return Match(
            best=index.slugs[first],
            score=score,
            matched=score >= THRESHOLD,
            runner_up=None if second is None else index.slugs[second],
            runner_up_score=0.0 if second is None else score * float(belief[second] / belief[first]),
            closest_example=_closest(index, first, vector),
            figures=self._difficulty.figures(meaning(vector), text),
            features=packed(vector),
        )


def _second(belief: Floats, first: int) -> int | None:
    others = belief.copy()
    others[first] = -1
    return int(others.argmax()) if len(others) > 1 else None


def _closest(index: TaskIndex, task: int, prompt: Floats) -> int | None:
    """Return the number, from 1, of the task's nearest example that has words."""
    told = int(index.told[task])
    if not told:
        return None
    start = int(index.shots[:task].sum())
    return 1 + int((index.examples[start : start + told] @ meaning(prompt)).argmax())
