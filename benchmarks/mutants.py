"""`make torture MUTANTS=1`: the ledger's machine on the ledger as it is, then on one seeded fault after the other.

Prints one JSON object a line and the verdict as the last one; the exit status is 1 when the ledger without a fault
differs from its reference, or when a fault is not found.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from tests.contract.ledger_machine import Fault, Work, play_histories, prepared
from tests.contract.ledger_mutants import MUTANTS
from tests.contract.ledger_store import STORES

CLEAN_STEPS, MOST_STEPS = 100_000, 50_000
HISTORIES, GROUPS = 20, 40
SHOWN_CHARACTERS = 160


def hunt(seed: int) -> int:
    """Play against every fault; returns the exit status."""
    _say({"seed": seed, "mutants": len(MUTANTS), "steps_without_fault": CLEAN_STEPS})
    wrong = ["no fault"] if _found("no fault", None, seed, CLEAN_STEPS) else []
    wrong += [name for name, fault in MUTANTS.items() if not _found(name, fault, seed, MOST_STEPS)]
    found = len(MUTANTS) - len([name for name in wrong if name in MUTANTS])
    _say({"seed": seed, "found": found, "of": len(MUTANTS), "wrong": wrong, "verdict": "failed" if wrong else "passed"})
    return 1 if wrong else 0


def _found(name: str, fault: Fault | None, seed: int, most_steps: int) -> bool:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="headrace-mutant-") as folder:
        work = prepared(STORES["sqlite"], Path(folder), fault)
        difference = _difference(work, seed, most_steps)
    told = {"mutant": name, "found": difference is not None, "steps": work.steps, "groups": work.groups}
    _say({**told, "seconds": round(time.monotonic() - began, 1), "difference": (difference or "")[:SHOWN_CHARACTERS]})
    return difference is not None


def _difference(work: Work, seed: int, most_steps: int) -> str | None:
    rounds = 0
    while work.steps < most_steps:
        try:
            play_histories(work, HISTORIES, GROUPS, seed * 1_000 + rounds)
        except AssertionError as error:
            return str(error).partition("\n")[0] or "the books differ"
        rounds += 1
    return None


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
