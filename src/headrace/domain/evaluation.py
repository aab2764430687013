"""How well a router decides: right, abstained and wrong with intervals, and its cost beside honest controls; pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.domain.intervals import Interval, mean_interval, quantile_interval, share_interval


@dataclass(frozen=True, slots=True)
class Choosable:
    """A model that could have served one prompt: expected cost in nano-dollars, strength and outcome where known.

    `quality` is what its answer was worth, 0 to 1, where somebody judged it.
    """

    cost_nano: int
    strength: float | None = None
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """One prompt of a labelled set as it was decided; None as `wanted` says that nothing should match.

    `chosen` is the model that would serve, `choosable` all that could have by their id.
    """

    wanted: str | None
    decided: str | None
    milliseconds: float
    chosen: str | None = None
    choosable: Mapping[str, Choosable] = field(default_factory=dict[str, Choosable])


@dataclass(frozen=True, slots=True)
class Course:
    """A way of choosing models for all prompts: mean cost in nano-dollars, mean quality where all of it is known.

    `saved` is the part of this way's cost that the router does without; negative when the router is the dearer.
    """

    name: str
    cost_nano: float
    quality: Interval | None
    saved: float | None


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """One route: how many prompts wanted it, and how many of them got it, got another one or got none."""

    slug: str
    wanted: int
    right: int
    wrong: int
    abstained: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A labelled set, decided; `own` is how the router chose.

    `controls` are empty where no prompt had a model that could serve.
    """

    prompts: int
    right: Interval | None
    abstained: Interval | None
    wrong: Interval | None
    milliseconds_p50: Interval | None
    milliseconds_p99: Interval | None
    routes: tuple[RouteFigures, ...]
    own: Course | None
    controls: tuple[Course, ...]


def evaluate(judged: Sequence[Judged]) -> Evaluation:
    """Return the figures; a prompt that nothing should match is right when nothing does."""
    right = sum(each.decided == each.wanted for each in judged)
    abstained = sum(each.decided is None and each.wanted is not None for each in judged)
    times = [each.milliseconds for each in judged]
    own, controls = courses(judged)
    return Evaluation(
        prompts=len(judged),
        right=share_interval(right, len(judged)),
        abstained=share_interval(abstained, len(judged)),
        wrong=share_interval(len(judged) - right - abstained, len(judged)),
        milliseconds_p50=quantile_interval(times, 0.5),
        milliseconds_p99=quantile_interval(times, 0.99),
        routes=_routes(judged),
        own=own,
        controls=controls,
    )


def courses(judged: Sequence[Judged]) -> tuple[Course | None, tuple[Course, ...]]:
    """Return the router's course and its controls, over the prompts for which it chose a model.

    The controls are: the cheapest model of each prompt; the best of each; the best single model, of those that could
    serve all; and a shuffle of the router's own choices, in expectation, which costs what the router does and knows
    nothing of the prompts. The best is the one of most quality, where all is known, else the strongest, else the
    dearest.
    """
    rows = [each for each in judged if each.chosen in each.choosable]
    if not rows:
        return None, ()
    own = _course("router", rows, lambda each: str(each.chosen), None)
    ways: list[tuple[str, Callable[[Judged], str]]] = [
        ("always cheapest", lambda each: min(each.choosable, key=lambda name: (each.choosable[name].cost_nano, name))),
        ("always best", _best),
    ]
    single = _best_single(rows)
    if single is not None:
        ways.append((f"only {single}", lambda _: single))
    found = [_course(name, rows, choose, own.cost_nano) for name, choose in ways]
    return own, (*found, _shuffled(rows, own.cost_nano))


def _course(name: str, rows: Sequence[Judged], choose: Callable[[Judged], str], own_cost: float | None) -> Course:
    chosen = [each.choosable[choose(each)] for each in rows]
    cost = math.fsum(each.cost_nano for each in chosen) / len(rows)
    return Course(name, cost, _quality([each.quality for each in chosen]), _saved(own_cost, cost))


def _shuffled(rows: Sequence[Judged], own_cost: float) -> Course:
    shares = Counter(str(each.chosen) for each in rows)
    costs, qualities = list[float](), list[float | None]()
    for each in rows:
        able = {name: count for name, count in shares.items() if name in each.choosable}
        total = sum(able.values())
        costs.append(math.fsum(each.choosable[name].cost_nano * count for name, count in able.items()) / total)
        values = [(each.choosable[name].quality, count) for name, count in able.items()]
        known = [(value, count) for value, count in values if value is not None]
        whole = len(known) == len(values)
        qualities.append(math.fsum(value * count for value, count in known) / total if whole else None)
    cost = math.fsum(costs) / len(costs)
    return Course("shuffle of the same choices", cost, _quality(qualities), _saved(own_cost, cost))


def _best(row: Judged) -> str:
    worth = _worth_among(list(row.choosable.values()))
    return max(row.choosable, key=lambda name: (*worth(row.choosable[name]), name))


def _worth_among(choosables: Sequence[Choosable]) -> Callable[[Choosable], tuple[float, float, int]]:
    """Return what tells the best of these: quality only where all of it is known, for an unknown one may be better."""
    is_judged = all(each.quality is not None for each in choosables)

    def worth(choosable: Choosable) -> tuple[float, float, int]:
        quality, strength = choosable.quality if is_judged else None, choosable.strength
        return quality or 0.0, -math.inf if strength is None else strength, choosable.cost_nano

    return worth


def _best_single(rows: Sequence[Judged]) -> str | None:
    common = set(rows[0].choosable).intersection(*(each.choosable for each in rows))
    if not common:
        return None
    worth = _worth_among([each.choosable[name] for each in rows for name in common])

    def mean_worth(name: str) -> tuple[float, float, float, str]:
        worths = [worth(each.choosable[name]) for each in rows]
        quality, strength, cost = (sum(each) / len(rows) for each in zip(*worths, strict=True))
        return quality, strength, cost, name

    return max(common, key=mean_worth)


def _quality(values: Sequence[float | None]) -> Interval | None:
    known = [each for each in values if each is not None]
    return mean_interval(known) if len(known) == len(values) else None


def _saved(own_cost: float | None, cost: float) -> float | None:
    return None if own_cost is None or not cost else 1 - own_cost / cost


def _routes(judged: Sequence[Judged]) -> tuple[RouteFigures, ...]:
    found: list[RouteFigures] = []
    for slug in sorted({each.wanted for each in judged if each.wanted is not None}):
        mine = [each.decided for each in judged if each.wanted == slug]
        right, abstained = mine.count(slug), mine.count(None)
        found.append(RouteFigures(slug, len(mine), right, len(mine) - right - abstained, abstained))
    return tuple(found)
