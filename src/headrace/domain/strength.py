"""How strong a model is, as a figure with an interval, a scale and a source; comparing scales is not done here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from headrace.domain.intervals import share_interval

# LMArena's text ratings with style control; the Artificial Analysis Intelligence Index; our checkable prompts; and the
# one scale that all are put on.
ARENA, INDEX, CHECKABLE, LOGIT = "arena", "aa-index", "checkable", "logit"
SCALES = (ARENA, INDEX, CHECKABLE, LOGIT)


@dataclass(frozen=True, slots=True)
class Strength:
    """A model's strength on a scale, with the bounds of its 95 % interval.

    `read` is the ISO date on which the source was read or measured, `n` how many prompts or votes it rests on. On the
    scale `checkable` the figures are logits of the share of right answers to the checkable prompts. `is_own` says that
    the operator measured or was told it, and did not get it with the package.
    """

    model: str
    value: float
    low: float
    high: float
    scale: str
    source: str
    read: str
    n: int | None = None
    is_own: bool = False


def checkable_strength(model: str, right: int, total: int, source: str, day: str) -> Strength:
    """Return the strength that so many right answers show; half an answer either way keeps all and none finite.

    The interval is Wilson's, as logits. `total` must not be 0.
    """
    share = share_interval(right, total)
    if share is None:
        raise ValueError("no answer was checked")
    value, low, high = (_logit(each, total) for each in (share.value, share.low, share.high))
    return Strength(model, value, low, high, CHECKABLE, source, day, total)


def merged(below: Iterable[Strength], above: Iterable[Strength]) -> tuple[Strength, ...]:
    """Return both, one for each model and scale: the later one counts and stands where the earlier one stood."""
    return tuple({(each.model, each.scale): each for each in (*below, *above)}.values())


def _logit(share: float, total: int) -> float:
    bound = 0.5 / (total + 1)
    inside = min(max(share, bound), 1 - bound)
    return round(math.log(inside / (1 - inside)), 3)
