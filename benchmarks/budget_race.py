"""Races for budgets, many seeds: prints one JSON object a race and the verdict as the last one.

A part of `make torture`, and a command of its own: `python -m benchmarks.budget_race --seeds 100 --seed 7`. The exit
status is 1 when anything was wrong, 2 when the time did not suffice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom

from tests.e2e.budget_race import RaceVerdict, exact_race, nested_race, race_stage

DEFAULT_SEEDS = 100
DEFAULT_MINUTES = 30.0
EXIT_STATUS = {"failed": 1, "incomplete": 2, "passed": 0}


@dataclass
class Races:
    """What all races did and found."""

    seeds: int
    done: int = 0
    calls: int = 0
    accepted: int = 0
    looks: int = 0
    most_used_ppm: int = 0
    faults: list[str] = field(default_factory=list[str])

    def add(self, found: RaceVerdict) -> None:
        """Count one race."""
        self.calls += found.calls
        self.accepted += found.accepted
        self.looks += found.looks
        self.most_used_ppm = max(self.most_used_ppm, found.most_used_ppm)
        self.faults += found.faults

    def counts(self) -> dict[str, object]:
        """What was counted."""
        counts = {name: getattr(self, name) for name in ("seeds", "done", "calls", "accepted", "looks")}
        return {**counts, "most_used_ppm": self.most_used_ppm}


async def race_part(
    folder: Path, seed: int, deadline: float, seeds: int = DEFAULT_SEEDS, store: str = ""
) -> tuple[float, dict[str, object], tuple[str, ...], bool]:
    """Run both races for each seed until a time of the monotonic clock, on SQLite or on the database of an address.

    Returns the seconds that it took, what was counted, what was wrong, and whether every seed had its turn.
    """
    began, races = time.monotonic(), Races(seeds)
    async with race_stage(folder / "home", store) as stage:
        while races.done < seeds and time.monotonic() < deadline:
            for race in (exact_race, nested_race):
                found = await race(stage, seed + races.done)
                races.add(found)
                _say(found.as_dict())
            races.done += 1
    return time.monotonic() - began, races.counts(), tuple(races.faults), races.done == seeds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the races; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budget_race", description=__doc__)
    parser.add_argument("--seeds", type=int, default=DEFAULT_SEEDS, help="how many seeds")
    parser.add_argument("--minutes", type=float, default=DEFAULT_MINUTES, help="the most that all of it may take")
    parser.add_argument("--seed", type=int, help="the first seed, to repeat an earlier run")
    options = parser.parse_args(arguments)
    seed = SystemRandom().getrandbits(32) if options.seed is None else options.seed
    _say({"seed": seed, "seeds": options.seeds, "minutes": options.minutes})
    deadline = time.monotonic() + options.minutes * 60
    with tempfile.TemporaryDirectory(prefix="headrace-races-") as folder:
        seconds, counts, faults, is_whole = asyncio.run(race_part(Path(folder), seed, deadline, options.seeds))
    verdict = "failed" if faults else "passed" if is_whole else "incomplete"
    _say({"seed": seed, "seconds": round(seconds, 1), **counts, "faults": list(faults[:20]), "verdict": verdict})
    return EXIT_STATUS[verdict]


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
