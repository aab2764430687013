"""A PostgreSQL server that fails under load: 503 and Retry-After, nothing unmetered, no restart of ours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.fault_rounds import LOCKED_SECONDS, fault_rounds, statuses
from tests.e2e.postgres_faults import FAULTS
from tests.postgres_server import drop_databases, postgres_server

SEED = 20_261_128
MOMENT_SECONDS = 2.0


@pytest.mark.parametrize("name", FAULTS)
async def test_a_postgres_that_fails_under_load(tmp_path: Path, name: str) -> None:
    store = postgres_server().empty()
    async with fault_rounds(tmp_path, SEED, store) as rounds:
        seconds = LOCKED_SECONDS if name == "locked" else MOMENT_SECONDS
        await rounds.during(lambda: FAULTS[name](store), seconds)
        sys.stdout.write(f"{statuses(rounds)}\n")
        assert await rounds.faults() == []
        assert rounds.headrace.starts == 1
        assert rounds.headrace.stop() == 0
    drop_databases()
