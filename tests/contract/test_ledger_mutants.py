"""Every seeded fault is found by the ledger's machine: what it proves is not that it never complains."""

from pathlib import Path

import pytest

from tests.contract.ledger_machine import play_histories, prepared
from tests.contract.ledger_mutants import MUTANTS
from tests.contract.ledger_store import STORES

HISTORIES, GROUPS = 60, 30


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_seeded_fault_is_found(tmp_path: Path, name: str) -> None:
    work = prepared(STORES["sqlite"], tmp_path, MUTANTS[name])
    with pytest.raises(AssertionError):
        play_histories(work, HISTORIES, GROUPS, random_seed=1)


def test_there_are_twelve_at_least() -> None:
    assert len(MUTANTS) >= 12
