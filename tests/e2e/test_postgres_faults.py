"""A PostgreSQL server, or the wire to it, that fails under load: 503, nothing unmetered, no restart of ours."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import pytest

from tests.e2e.cut_wire import AFTER, BEFORE, cut_wire
from tests.e2e.fault_rounds import LOCKED_SECONDS, fault_rounds, statuses
from tests.e2e.postgres_faults import FAULTS
from tests.ledger_file import ledger_of
from tests.postgres_server import drop_databases, postgres_server
from tests.running import headrace

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


async def test_a_wire_that_breaks_at_commits_charges_nobody_who_was_told_that_it_failed(tmp_path: Path) -> None:
    store = postgres_server().empty()
    with tempfile.TemporaryDirectory(prefix="headrace-wire-") as folder, cut_wire(Path(folder), store) as wire:
        async with fault_rounds(tmp_path, SEED, wire.store) as rounds:
            with ledger_of(rounds.headrace, store) as ledger:
                await rounds.during(
                    lambda: wire.cutting(SEED),
                    MOMENT_SECONDS,
                    shows=lambda: min(ledger.waivers(), wire.cuts[BEFORE], wire.cuts[AFTER]) > 0,
                )
                sys.stdout.write(f"{statuses(rounds)}, {dict(wire.cuts)}, {ledger.waivers()} waivers\n")
            assert await rounds.faults() == []
            assert rounds.headrace.starts == 1
            assert rounds.headrace.stop() == 0
    (tmp_path / "address").write_text(store)
    told = headrace(
        "audit", "--json", home=tmp_path / "home", environment={"HEADRACE_STORE": str(tmp_path / "address")}
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert json.loads(told.stdout)["checked"]["waivers"] > 0
    drop_databases()
