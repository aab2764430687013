"""How far the dial comes from a cost-matched random mix to the oracle, beside baselines, with intervals.

    python -m benchmarks.routing.dial --data DIR [--sets NAME,...]

AIQ is the mean quality from the cheapest model's cost to the best one's, on the upper hull of what was reached; share
is what a method gains of it over the random mix of single models, out of what an oracle gains that knows every outcome.
Intervals are of a bootstrap over prompts. The oracle takes the luckiest of noisy outcomes, so 100 % is out of reach.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from headrace.drivers.scorers.vectors import Floats
from headrace.testing.routing import dial

Rows: TypeAlias = Sequence[Mapping[str, Any]]
Pick: TypeAlias = Callable[[str, float], int]
Choices: TypeAlias = "NDArray[np.intp]"

SETS = ("routellm-mmlu", "routellm-gsm8k", "llmrouter9", "routerbench3")
LAMBDAS = (0.0, *(10 ** (each / 4) for each in range(-16, 9)))
ORACLE_LAMBDAS = (0.0, *np.logspace(-3, 3, 60))
STEPS = 401
DRAWS = 300


@dataclass(frozen=True)
class Ends:
    """The cheapest and the best single model by the training rows."""

    cheapest: int
    best: int


@dataclass(frozen=True)
class Outcome:
    """What came of prompts: quality [n, m] and dollars [n, m]."""

    quality: Floats
    dollars: Floats

    def only(self, rows: Choices) -> Outcome:
        """Return some of the prompts."""
        return Outcome(self.quality[rows], self.dollars[rows])

    def points(self, choices: Iterable[Choices]) -> list[tuple[float, float]]:
        """Return mean dollars and mean quality of each way to choose."""
        rows = np.arange(len(self.quality))
        return [(float(self.dollars[rows, each].mean()), float(self.quality[rows, each].mean())) for each in choices]


def hull(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points of the upper hull, cheapest first; none is dearer without being better."""
    found: list[tuple[float, float]] = []
    for point in sorted(points):
        if found and point[1] <= found[-1][1]:
            continue
        while len(found) > 1 and _is_below(found[-2], found[-1], point):
            found.pop()
        found.append(point)
    return found


def share(outcome: Outcome, choices: Sequence[Choices], ends: Ends) -> float:
    """Return in percent how far the choices come from the random mix to the oracle."""
    models = outcome.quality.shape[1]
    alone = [np.full(len(outcome.quality), each) for each in range(models)]
    scale = 1 / outcome.dollars.mean(0).max()
    oracle = [(outcome.quality - (each + 1e-9) * scale * outcome.dollars).argmax(1) for each in ORACLE_LAMBDAS]
    mine, mix, most = (_area(outcome, each, ends) for each in (choices, alone, oracle))
    return 100 * (mine - mix) / (most - mix)


def by_length(rows: Rows, ends: Ends) -> list[Choices]:
    """Return what comes of giving the shortest prompts to the best model and the others to the cheapest."""
    lengths = np.array([len(row["prompt"]) for row in rows])
    limits = np.quantile(lengths, np.linspace(0, 1, len(LAMBDAS)))
    return [np.where(lengths <= limit, ends.best, ends.cheapest) for limit in limits]


def measured(folder: Path) -> Iterable[str]:
    """Yield a line for each method on a set."""
    train, dev = (_rows(folder / f"{each}.jsonl") for each in ("train", "dev"))
    models = [each["id"] for each in json.loads((folder / "models.json").read_text("utf-8"))["models"]]
    seen, outcome = _outcome(train), _outcome(dev)
    ends = Ends(int(seen.dollars.mean(0).argmin()), int(seen.quality.mean(0).argmax()))
    pick = dial(models, train)
    methods: Mapping[str, Sequence[Choices]] = {
        "dial": [np.array([pick(row["prompt"], lam) for row in dev]) for lam in LAMBDAS],
        "shortest prompts to the best": by_length(dev, ends),
        "cheapest and best, mixed": [np.full(len(dev), each) for each in (ends.cheapest, ends.best)],
    }
    draw = np.random.default_rng(0)
    for name, choices in methods.items():
        spread = [_redrawn(outcome, choices, ends, draw) for _ in range(DRAWS)]
        low, high = np.quantile(spread, (0.025, 0.975))
        aiq = 100 * _area(outcome, choices, ends)
        gained = share(outcome, choices, ends)
        yield f"{folder.name:16} {name:29} {gained:6.1f} % ({low:.1f} to {high:.1f})  AIQ {aiq:.2f}"


def main() -> None:
    """Print the shares of every set."""
    parser = argparse.ArgumentParser(description="Measure the dial between quality and cost.")
    parser.add_argument("--data", type=Path, required=True, help="folder with cost-quality/")
    parser.add_argument("--sets", default=",".join(SETS), help="which sets, with commas")
    given = parser.parse_args()
    for name in given.sets.split(","):
        for line in measured(given.data / "cost-quality" / name):
            print(line, flush=True)  # noqa: T201 - what the tool is for


def _is_below(first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]) -> bool:
    rise, run = middle[1] - first[1], middle[0] - first[0]
    return rise * (last[0] - first[0]) <= (last[1] - first[1]) * run


def _area(outcome: Outcome, choices: Sequence[Choices], ends: Ends) -> float:
    means = outcome.dollars.mean(0)
    found = hull(outcome.points(choices))
    low, high = float(means[ends.cheapest]), float(means[ends.best])
    costs = [low + (high - low) * step / (STEPS - 1) for step in range(STEPS)]
    reached = np.interp(costs, [each[0] for each in found], [each[1] for each in found])
    return float(np.asarray(reached, np.float64).mean())


def _redrawn(outcome: Outcome, choices: Sequence[Choices], ends: Ends, draw: np.random.Generator) -> float:
    rows = draw.integers(0, len(outcome.quality), len(outcome.quality))
    return share(outcome.only(rows), [each[rows] for each in choices], ends)


def _rows(path: Path) -> Rows:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _outcome(rows: Rows) -> Outcome:
    quality, dollars = (np.array([row[name] for row in rows], np.float64) for name in ("quality", "cost_usd"))
    return Outcome(quality, dollars)


if __name__ == "__main__":
    main()
