"""A process that owns one real engine, to be killed: prints the pids of warden and engine when it is ready."""

import asyncio
import sys
from pathlib import Path

import psutil

from headrace.drivers.compute.local import LocalCompute, LocalPolicy
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.drivers.engines.llamacpp import LlamaCpp
from headrace.testing.clock import FakeClock, FakeRandom
from tests.engine_calls import local_deployment


async def main(home: Path, weights: Path) -> None:
    clock = FakeClock()
    compute = LocalCompute({"llamacpp": LlamaCpp()}, ProcessSupervisor(home, clock, FakeRandom()), clock, LocalPolicy())
    spec = local_deployment(weights)
    await compute.apply(spec)
    await compute.acquire(spec.id, 60.0)
    (replica,) = compute.observe()
    assert replica.pid is not None
    (engine,) = psutil.Process(replica.pid).children()
    print(replica.pid, engine.pid, flush=True)  # noqa: T201 - read by the test
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
