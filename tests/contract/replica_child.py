"""A process that meters replicas until it is killed; it tells its parent what was durable before it says so.

Run as `python replica_child.py HOME STORE`. Replicas go on from kill to kill: each child takes over what the last left.
"""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

from headrace.domain.replica_run import ReplicaRun
from headrace.drivers.stores.replica_runs import SqlReplicaRuns
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import START_MICROS, STORES, OpenStore
from tests.fakes.replicas import a_run

REPLICAS = 12
STEP_MICROS = 7_000_001
SCOPES = ("budget:bud_1:total", "platform")


def tell(word: str, run: ReplicaRun) -> None:
    """Write a line at once, without a buffer that the kill would lose."""
    os.write(1, f"{word} {run.id} {run.metered_to_micros}\n".encode())


async def meter(home: Path, open_store: OpenStore) -> None:
    """Book line after line; now and then a replica was gone two lines ago, and then it is there again."""
    runs = SqlReplicaRuns(open_store(home, FakeClock(START_MICROS)))
    left = {run.id: run for run in await runs.unfinished()}

    async def live(number: int) -> None:
        run = left.get(f"run_{number}") or replace(a_run(f"run_{number}", 10**9 + number), ready_at_micros=START_MICROS)
        while True:
            until = (run.metered_to_micros or START_MICROS) + STEP_MICROS
            run = replace(run, metered_to_micros=until)
            await runs.meter(run, SCOPES)
            tell("metered", run)
            if until % 5 == 0:
                gone = max(START_MICROS, until - 2 * STEP_MICROS - number)
                await runs.meter(replace(run, gone_at_micros=gone, metered_to_micros=gone), SCOPES)
                run = replace(run, metered_to_micros=gone)
                await runs.meter(run, SCOPES)
                tell("metered", run)

    await asyncio.gather(*(live(number) for number in range(REPLICAS)))


if __name__ == "__main__":
    asyncio.run(meter(Path(sys.argv[1]), STORES[sys.argv[2]]))
