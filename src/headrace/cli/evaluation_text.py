"""An evaluation of a router in words and as an object; measuring is the verb's, judging the domain's."""

from __future__ import annotations

from typing import cast

import msgspec

from headrace.cli.session import columns
from headrace.domain.evaluation import Course, Evaluation
from headrace.domain.intervals import Interval
from headrace.domain.json_value import JsonObject
from headrace.domain.money import NANO_PER_USD

NO_OUTCOMES = 'Quality was not measured: no line says what each model\'s answer was worth ("outcomes").'
EXPECTED = "Costs are expected ones, of what was chosen and of what could have been; no model was called."
COSTS = ("A PROMPT", "COST", "ROUTER SAVES", "QUALITY")
ROUTES = ("ROUTE", "PROMPTS", "RIGHT", "ABSTAINED", "WRONG")


def evaluation_text(found: Evaluation) -> str:
    """Return the figures as lines: how often right, how fast, each route, and the cost beside the controls."""
    first = (
        f"{found.prompts} prompts",
        f"right {_percent(found.right)}",
        f"abstained {_percent(found.abstained)}",
        f"wrong {_percent(found.wrong)}",
        f"p50 {_milliseconds(found.milliseconds_p50)}",
        f"p99 {_milliseconds(found.milliseconds_p99)}",
    )
    blocks = ["   ".join(first)]
    if found.routes:
        rows = [
            (each.slug, str(each.wanted), str(each.right), str(each.abstained), str(each.wrong))
            for each in found.routes
        ]
        blocks.append(columns([ROUTES, *rows], frozenset({1, 2, 3, 4})))
    if found.own is not None:
        rows = [_course(each) for each in (found.own, *found.controls)]
        notes = [EXPECTED] if found.own.quality is not None else [EXPECTED, NO_OUTCOMES]
        blocks.append("\n".join([columns([COSTS, *rows], frozenset({1, 2})), *notes]))
    return "\n\n".join(blocks)


def evaluation_object(router: str, found: Evaluation) -> JsonObject:
    """Return the figures for machines; shares are from 0 to 1, costs mean nano-dollars a prompt."""
    return {"router": router, **cast("JsonObject", msgspec.to_builtins(found))}


def _course(course: Course) -> tuple[str, str, str, str]:
    saved = "" if course.saved is None else f"{course.saved:+.0%}"
    quality = course.quality
    worth = "" if quality is None else f"{quality.value:.3f} ({quality.low:.3f}-{quality.high:.3f})"
    return course.name, f"${course.cost_nano / NANO_PER_USD:.9f}", saved, worth


def _percent(share: Interval | None) -> str:
    return "-" if share is None else f"{share.value:.1%} ({share.low * 100:.1f}-{share.high * 100:.1f})"


def _milliseconds(time: Interval | None) -> str:
    return "-" if time is None else f"{time.value:.1f} ms ({time.low:.1f}-{time.high:.1f})"
