"""What `kill -9` leaves of the metering of replicas: every line that was acknowledged, and no half of one."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from headrace.drivers.stores.audit_books import Row
from headrace.drivers.stores.auditing import audit_rows
from headrace.drivers.stores.replica_runs import SqlReplicaRuns
from headrace.drivers.stores.sqlite import Cursor
from headrace.testing.clock import FakeClock
from tests.contract import replica_child
from tests.contract.ledger_books import START_MICROS, STORES, broken_invariants
from tests.postgres_server import store_of

KILLS = 4
LINES_BEFORE_KILL = 150
BOOKED = """
SELECT coalesce(sum(CASE WHEN reverses IS NULL THEN amount_nano ELSE -amount_nano END), 0) FROM ledger_entry
WHERE run_id = ? AND kind = ?
"""


def meter_until_killed(home: Path, store: str) -> dict[str, int]:
    """Run the child, kill it in the middle of its work and return how far it said that each run is booked."""
    command = [sys.executable, str(replica_child.__file__), str(home), store]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": os.pathsep.join(sys.path)}) as child:
        assert child.stdout is not None
        said: list[bytes] = []
        for line in child.stdout:
            said.append(line)
            if len(said) >= LINES_BEFORE_KILL:
                child.kill()
                break
        said += child.stdout.read().splitlines(keepends=True)
        assert child.wait() == -9
    words = [line.decode().split() for line in said if line.endswith(b"\n")]
    return {run_id: int(until) for _, run_id, until in words}


def audited(cursor: Cursor) -> list[str]:
    """What the whole audit finds."""

    def rows(statement: str, values: Sequence[str | int]) -> Iterator[Row]:
        return iter(cursor.execute(statement, list(values)).fetchall())

    report = audit_rows(rows, START_MICROS, lambda _: None)
    return [f"{each.what} {each.id}: {each.kept} != {each.derived}" for each in report.differences]


@pytest.mark.anyio
@pytest.mark.timeout(60)
@pytest.mark.parametrize("store", STORES)
async def test_every_line_that_was_acknowledged_survives_and_the_sums_are_exact(tmp_path: Path, store: str) -> None:
    if store == "postgres":
        store_of(tmp_path)
    for _ in range(KILLS):
        told = meter_until_killed(tmp_path, store)
        database = STORES[store](tmp_path, FakeClock(START_MICROS))
        try:
            assert await database.read(audited) == []
            assert await database.read(broken_invariants) == []
            runs = {run.id: run for run in await SqlReplicaRuns(database).of("dep_1", 0, 2**62)}
            assert len(runs) == replica_child.REPLICAS
            for run in runs.values():
                amounts = [
                    await database.read(lambda cursor, given=(run.id, kind): cursor.execute(BOOKED, given).fetchone())
                    for kind in ("charge", "cost")
                ]
                until = run.metered_to_micros or START_MICROS
                assert [int(row[0]) for row in amounts] == [run.amount_nano(until)] * 2
                step = 3 * replica_child.STEP_MICROS + replica_child.REPLICAS
                # One step may have been made durable that was not said any more: forwards, or back and forwards.
                assert abs(until - told.get(run.id, until)) <= step
        finally:
            database.close()
