"""docs/routing-quality.md: the measured tables between its marks; the words around them are written by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.routing.dialogues import Decided, by_kind
from benchmarks.routing.figures import Judged, figures
from headrace.domain.intervals import Interval, share_interval
from headrace.domain.routing import Match

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
DRAWS = 400


def write(path: Path, parts: Sequence[str]) -> None:
    """Put the tables between the page's marks."""
    before, _, rest = path.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(before + BEGIN + "\n\n" + "\n".join(parts) + "\n" + END + after, "utf-8")


def matching(in_family: Mapping[int, Sequence[Judged]], new_family: Mapping[int, Sequence[Judged]]) -> str:
    """Return the tables of all routers, and of each data set."""
    lines = [
        "### Matching",
        "",
        *_head("examples a task", "coefficients from", "joint", "acc", "acc@t", "OOS", "near", "far"),
    ]
    for shots in in_family:
        for name, found in (("other routers", in_family), ("other data sets", new_family)):
            values = figures(found[shots])
            lines.append(_row(str(shots), name, *(_interval(each) for each in values.values())))
    sets = list(dict.fromkeys(each.case.dataset for each in in_family[0]))
    lines += [
        "",
        "Joint, by data set: coefficients from other routers, then from other data sets.",
        "",
        *_head("examples a task", *sets),
    ]
    for shots in in_family:
        cells: list[str] = []
        for name in sets:
            pair = [[each for each in found[shots] if each.case.dataset == name] for found in (in_family, new_family)]
            cells.append(" · ".join(_interval(figures(each)["joint"]) for each in pair) if pair[0] else "none")
        lines.append(_row(str(shots), *cells))
    return "\n".join([*lines, ""])


def against(found: Mapping[str, Mapping[int, Sequence[Judged]]]) -> str:
    """Return the table of the baselines."""
    lines = ["### Baselines", "", *_head("method", "examples a task", "joint", "acc", "OOS", "near")]
    for name, by_shots in found.items():
        for shots, judged in by_shots.items():
            values = figures(judged)
            lines.append(_row(name, str(shots), *(_interval(values[each]) for each in ("joint", "acc", "OOS", "near"))))
    return "\n".join([*lines, ""])


def dialogues(found: Mapping[str, Sequence[Decided]]) -> str:
    """Return the table of dialogues; intervals over dialogues."""
    lines = [
        "### Dialogues",
        "",
        *_head("router of", "turns", "n", "likeliest is right", "right and matched", "abstained"),
    ]
    for name, decided in found.items():
        for kind, mine in by_kind(decided).items():
            columns = (
                [each.is_best for each in mine],
                [each.is_right for each in mine],
                [not each.matched for each in mine],
            )
            lines.append(
                _row(name, kind, str(len(mine)), *(_interval(_over_dialogues(mine, each)) for each in columns))
            )
    return "\n".join([*lines, ""])


def robustness(found: Mapping[str, Sequence[tuple[str | None, Match]]]) -> str:
    """Return the table of paraphrases and typing errors."""
    lines = [
        "### Other words, typing errors",
        "",
        *_head("60 prompts as", "likeliest is right", "right and matched", "abstained"),
    ]
    return "\n".join([*lines, *(_row(name, *_shares(mine)) for name, mine in found.items()), ""])


def languages(found: Mapping[str, Sequence[tuple[str | None, Match]]]) -> str:
    """Return the table of languages."""
    lines = [
        "### Languages",
        "",
        *_head("language", "likeliest is right", "right and matched", "abstained", "out of scope, abstained"),
    ]
    for name, mine in found.items():
        inside = [each for each in mine if each[0] is not None]
        outside = [not match.matched for wanted, match in mine if wanted is None]
        lines.append(_row(name, *_shares(inside), f"{sum(outside)} of {len(outside)}"))
    return "\n".join([*lines, ""])


def dial(lines: Sequence[str]) -> str:
    """Return what the dial reached on each set, beside its controls."""
    title = "### The dial: of the way from a random mix at equal cost to an oracle"
    return "\n".join([title, "", "```", *lines, "```", ""])


def _shares(mine: Sequence[tuple[str | None, Match]]) -> list[str]:
    best = sum(match.best == wanted for wanted, match in mine)
    right = sum(match.best == wanted and match.matched for wanted, match in mine)
    return [_wilson(each, len(mine)) for each in (best, right, sum(not match.matched for _, match in mine))]


def _wilson(hits: int, total: int) -> str:
    found = share_interval(hits, total)
    return "none" if found is None else _interval(Interval(100 * found.value, 100 * found.low, 100 * found.high))


def _over_dialogues(decided: Sequence[Decided], hits: Sequence[bool]) -> Interval:
    names = list(dict.fromkeys(each.dialogue for each in decided))
    place = {name: number for number, name in enumerate(names)}
    sums = np.zeros((len(names), 2))
    for each, hit in zip(decided, hits, strict=True):
        sums[place[each.dialogue]] += (hit, 1)
    random = np.random.default_rng(0)
    drawn = sums[random.integers(0, len(names), (DRAWS, len(names)))].sum(1)
    low, high = np.percentile(100 * drawn[:, 0] / drawn[:, 1], (2.5, 97.5))
    return Interval(100 * float(sums[:, 0].sum() / sums[:, 1].sum()), float(low), float(high))


def _interval(found: Interval) -> str:
    return f"{found.value:.1f} ({found.low:.1f} to {found.high:.1f})"


def _head(*names: str) -> list[str]:
    return [_row(*names), _row(*("---" for _ in names))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
