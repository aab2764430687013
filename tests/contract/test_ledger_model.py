"""The ledger against its reference: a hundred thousand random moves, with restarts and kills in between."""

import sys
from pathlib import Path

import pytest

from tests.contract.ledger_machine import play_histories, prepared
from tests.contract.ledger_store import STORES

STEPS = {"sqlite": 100_000, "postgres": 2_500}
GROUPS = 60
STEPS_OF_A_ROUND, MOST_HISTORIES = 500, 40


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", STEPS)
def test_every_move_does_to_the_books_what_it_does_to_the_reference(tmp_path: Path, kind: str) -> None:
    work, steps = prepared(STORES[kind], tmp_path), STEPS[kind]
    rounds = 0
    while work.steps < steps:
        play_histories(work, min(MOST_HISTORIES, steps // STEPS_OF_A_ROUND), GROUPS, random_seed=rounds)
        rounds += 1
    sys.stdout.write(f"{work.steps} moves in {work.groups} groups: {dict(work.moves)}, {dict(work.answers)}\n")
    assert work.steps >= steps
    assert min(work.moves.values()) >= steps // 2_000
    assert work.answers["held"] >= steps // 20
    assert work.answers["refused"] >= steps // 20
