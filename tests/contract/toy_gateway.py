"""A process that owns engines, to be killed: starts one replica for each argument `NAME=POLICY` and waits.

The argument `fork` makes it fork a child that keeps every descriptor open for a while.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from headrace.domain.deployment import OwnerLoss
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.testing.clock import FakeClock, FakeRandom
from tests.contract.toy_fleet import plan, until_answers


async def main(home: Path, replicas: list[str]) -> None:
    supervisor = ProcessSupervisor(home, FakeClock(), FakeRandom())
    for replica in replicas:
        if replica == "fork":
            fork_holder()
            continue
        name, _, policy = replica.partition("=")
        running = await supervisor.start(plan(name, "--child", policy=OwnerLoss(policy)))
        about = await until_answers(running.endpoint)
        print(running.pid, about["pid"], about["child"], flush=True)  # noqa: T201 - read by the test
    await asyncio.Event().wait()


def fork_holder() -> None:
    holder = os.fork()
    if holder == 0:
        time.sleep(20)
        os._exit(0)
    print(holder, flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
