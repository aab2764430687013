"""Calibrating a model on checkable prompts: which to ask, what that will cost, and what the answers come to; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headrace.domain.checkable import Checkable

# Assumed: answers to these prompts are short, and a model that reasons writes some hundred tokens before.
PLAIN_OUTPUT, REASONED_OUTPUT = 24, 600
PLAIN_CAP, REASONED_CAP = 128, 4096
BYTES_PER_TOKEN, FRAME_TOKENS = 4, 16
PICO_PER_NANO = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one prompt; `is_right` is None when no answer came, then `problem` says why."""

    item: Checkable
    is_right: bool | None
    cost_nano: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many answers of one kind were checked, and how many were right."""

    kind: str
    right: int
    total: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What asking a model every prompt costs in nano-dollars: as expected, and if each answer fills its cap."""

    expected_nano: int
    most_nano: int


def spread(items: Sequence[Checkable], limit: int | None) -> tuple[Checkable, ...]:
    """Return so many of the prompts, taken evenly from all kinds and difficulties; all of them without a limit."""
    if limit is None or limit >= len(items):
        return tuple(items)
    return tuple(items[place * len(items) // limit] for place in range(limit))


def tallies(verdicts: Iterable[Verdict]) -> tuple[Tally, ...]:
    """Return the count of every kind, in the order in which kinds come; unanswered prompts count nowhere."""
    checked = [each for each in verdicts if each.is_right is not None]
    total = Counter(each.item.kind for each in checked)
    right = Counter(each.item.kind for each in checked if each.is_right)
    return tuple(Tally(kind, right[kind], count) for kind, count in total.items())


def estimate(items: Iterable[Checkable], input_pico: int, output_pico: int, *, reasons: bool) -> Estimate:
    """Return what the prompts will cost at prices in pico-dollars per token."""
    sizes = [len(each.prompt.encode()) // BYTES_PER_TOKEN + FRAME_TOKENS for each in items]
    asked = sum(sizes) * input_pico
    usual, most = (REASONED_OUTPUT, REASONED_CAP) if reasons else (PLAIN_OUTPUT, PLAIN_CAP)
    return Estimate(
        -(-(asked + len(sizes) * usual * output_pico) // PICO_PER_NANO),
        -(-(asked + len(sizes) * most * output_pico) // PICO_PER_NANO),
    )
