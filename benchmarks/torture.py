"""The long form of the kill and cut tests: more kills, every byte of every recording again and again, one verdict.

Kills and races run on SQLite and, a quarter as many, on a PostgreSQL server of their own. Prints one JSON object a
line while it runs and the verdict as the last one; the exit status is 1 when anything broke, 2 when the time did not
suffice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from random import SystemRandom

from benchmarks.budget_race import DEFAULT_SEEDS, race_part
from benchmarks.mutants import hunt
from tests.e2e.cut_cases import Outcome, every_byte, translated
from tests.e2e.cut_play import STREAMS, cut_stage, faults_of, play
from tests.e2e.kill_rounds import Point, kill_plan, kill_rounds
from tests.postgres_server import drop_databases, postgres_server

DEFAULT_KILLS = 200
DEFAULT_MINUTES = 30.0
EMBEDDED_EVERY = 10
CUTS_SHARE = 0.4
POSTGRES_SHARE = 4
TRANSLATED_EVERY_BYTES = 7
EXIT_STATUS = {"failed": 1, "incomplete": 2, "passed": 0}


@dataclass(frozen=True, slots=True)
class Ordered:
    """What was asked for; without `weights`, a home in which models were pulled, no embedded model streams."""

    kills: int
    minutes: float
    seed: int
    weights: Path | None
    folder: Path


@dataclass(frozen=True, slots=True)
class Part:
    """What one part did and found."""

    name: str
    seconds: float
    counts: dict[str, object]
    faults: tuple[str, ...]
    complete: bool

    @property
    def verdict(self) -> str:
        """Incomplete is what found nothing wrong but ran out of time."""
        return "failed" if self.faults else "passed" if self.complete else "incomplete"

    def as_dict(self) -> dict[str, object]:
        """The part as one line of the output."""
        shown = {"part": self.name, "seconds": round(self.seconds, 1), **self.counts}
        return {**shown, "faults": list(self.faults[:20]), "verdict": self.verdict}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every part; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=DEFAULT_KILLS, help="how often the server is killed")
    parser.add_argument("--minutes", type=float, default=DEFAULT_MINUTES, help="the most that all of it may take")
    parser.add_argument("--seed", type=int, help="repeat the random choices of an earlier run")
    parser.add_argument(
        "--weights", type=Path, default=Path.home() / ".headrace", help="a home whose pulled weights are used"
    )
    parser.add_argument("--mutants", action="store_true", help="only seed faults into the ledger, to have them found")
    options = parser.parse_args(arguments)
    weights: Path | None = options.weights if (options.weights / "weights").is_dir() else None
    seed = SystemRandom().getrandbits(32) if options.seed is None else options.seed
    if options.mutants:
        return hunt(seed)
    with tempfile.TemporaryDirectory(prefix="headrace-torture-") as folder:
        ordered = Ordered(options.kills, options.minutes, seed, weights, Path(folder))
        _say({"seed": seed, "kills": ordered.kills, "minutes": ordered.minutes, "embedded": weights is not None})
        parts = asyncio.run(_run(ordered))
    verdict = min((part.verdict for part in parts), key=tuple(EXIT_STATUS).index)
    _say({"seed": seed, "verdict": verdict})
    return EXIT_STATUS[verdict]


async def _run(ordered: Ordered) -> tuple[Part, ...]:
    began, seconds = time.monotonic(), ordered.minutes * 60
    parts = [await _cuts(ordered, began + seconds * CUTS_SHARE)]
    deadline = began + seconds
    for name, share in (("sqlite", 1), ("postgres", POSTGRES_SHARE)):
        folder = ordered.folder / name
        folder.mkdir()
        parts.append(await _kills(ordered, folder, max(1, ordered.kills // share), deadline))
        races = folder / "races", ordered.seed, deadline, max(1, DEFAULT_SEEDS // share), _store(folder)
        parts.append(_told(Part(f"budgets on {name}", *await race_part(*races))))
        drop_databases()
    return tuple(parts)


def _store(folder: Path) -> str:
    """Return the address of a new database for the folder that is named after it, nothing for SQLite's."""
    return postgres_server().empty() if folder.name == "postgres" else ""


async def _cuts(ordered: Ordered, deadline: float) -> Part:
    began = time.monotonic()
    seen: Counter[Outcome] = Counter()
    faults: list[str] = []
    done = 0
    async with cut_stage(ordered.folder / "cuts") as stage:
        for stream in STREAMS.values():
            if time.monotonic() > deadline:
                break
            cuts = chain(every_byte([stream]), translated([stream], TRANSLATED_EVERY_BYTES))
            played = await play(stage, cuts)
            found = faults_of(stage, played, seen)
            faults += found
            done += 1
            _say({"recording": stream.name, "cuts": len(played), "faults": len(found)})
    counts: dict[str, object] = {outcome.value: seen[outcome] for outcome in Outcome}
    return _told(Part("cuts", time.monotonic() - began, counts, tuple(faults), done == len(STREAMS)))


async def _kills(ordered: Ordered, folder: Path, kills: int, deadline: float) -> Part:
    began, plan = time.monotonic(), kill_plan(ordered.seed)
    at: Point | None = None
    async with kill_rounds(folder / "home", ordered.seed, ordered.weights, store=_store(folder)) as rounds:
        while len(rounds.kills) < kills and time.monotonic() < deadline:
            embedded = ordered.weights is not None and len(rounds.kills) % EMBEDDED_EVERY == 0
            then = next(plan)
            kill = await rounds.round(embedded=embedded, at=at, then=then)
            at = then
            if len(rounds.kills) % EMBEDDED_EVERY == 0:
                _say({"kills": len(rounds.kills), "open_at_kill": kill.open_then.held})
        verdict = rounds.verdict()
    counts = verdict.as_dict()
    del counts["faults"]
    is_whole = verdict.kills == kills
    return _told(Part(f"kills on {folder.name}", time.monotonic() - began, counts, verdict.faults, is_whole))


def _told(part: Part) -> Part:
    _say(part.as_dict())
    return part


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
