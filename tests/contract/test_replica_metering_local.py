"""Seconds in the books against the lifetimes of real processes, as the operating system has them and not our events."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from headrace.domain.dedicated import Deployment
from headrace.domain.deployment import Replica
from headrace.domain.replica_run import ReplicaRun
from headrace.drivers.ambient import SystemClock
from headrace.drivers.compute.local import LocalCompute
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.replica_runs import SqlReplicaRuns
from headrace.services.replica_metering import MeteringParts, ReplicaMetering
from headrace.services.replica_prices import ReplicaPrice
from headrace.testing.clock import FakeIds
from tests.contract.ledger_books import OpenStore, broken_invariants
from tests.contract.local_world import LocalWorld
from tests.fakes.replicas import a_deployment

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SECOND = 1_000_000
RATE = 2_590_000_000
BOOKED = """
SELECT coalesce(sum(amount_nano), 0), coalesce(sum(quantity), 0) FROM ledger_entry WHERE run_id = ? AND kind = 'charge'
"""


class Lifetimes:
    """When processes began and were gone, by looking at the system's list of them."""

    def __init__(self) -> None:
        self.began: dict[int, float] = {}
        self.gone: dict[int, float] = {}

    def note(self, pid: int) -> None:
        """Watch one process from now on."""
        self.began.setdefault(pid, psutil.Process(pid).create_time())

    async def watch(self) -> None:
        """Look every few milliseconds, until cancelled."""
        while True:
            for pid in self.began.keys() - self.gone.keys():
                if not _is_alive(pid):
                    self.gone[pid] = SystemClock().unix_micros() / SECOND
            await asyncio.sleep(0.005)


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class MeteredWorld(LocalWorld):
    """The local driver, its replicas metered into a store; a lost control plane takes its metering with it."""

    def __init__(self, home: Path, database: Database) -> None:
        super().__init__(home)
        self.runs = SqlReplicaRuns(database)
        self.run_ids = FakeIds()
        self.lifetimes = Lifetimes()
        self.engines: dict[str, int] = {}
        self.metering = self.metered()

    def metered(self) -> ReplicaMetering:
        return ReplicaMetering(
            MeteringParts(
                runs=self.runs,
                deployment=lambda deployment_id: a_deployment(deployment_id),
                price=self._price,
                scopes=lambda account, model, at: ("platform",),
                observe=lambda: self.computes[-1].observe() if self.computes else (),
                clock=SystemClock(),
                ids=self.run_ids,
                on_failure=lambda name, failure: None,
            )
        )

    def hear(self, replica: Replica) -> None:
        super().hear(replica)
        self.metering.hear(replica)

    async def boot(self) -> LocalCompute:
        """Return the driver of another control plane, which recovers the runs of the last one."""
        self.metering = self.metered()
        compute = await self.make()
        await self.metering.recover()
        return compute

    async def two_ready(self, compute: LocalCompute) -> set[str]:
        """Wait for two ready replicas and note their engines' processes."""
        names = await self.until_ready(compute, "dep", 2)
        for name in names:
            self.engines[name] = self.engine_pid(compute, name)
            self.lifetimes.note(self.engines[name])
        await self.metering.meter()
        return names

    def told_ends(self) -> set[str]:
        return {each.id for each in self.seen if each.ended_at_micros is not None}

    async def _price(self, deployment: Deployment, at_micros: int) -> ReplicaPrice:
        return ReplicaPrice(RATE, deployment.price_source)


@pytest.fixture
def database(open_store: OpenStore, tmp_path: Path) -> Iterator[Database]:
    opened = open_store(tmp_path, SystemClock())
    yield opened
    opened.close()


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[MeteredWorld]:
    made = MeteredWorld(tmp_path, database)
    watching = asyncio.get_running_loop().create_task(made.lifetimes.watch())
    yield made
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    await made.close()


async def test_the_books_have_the_time_that_the_system_says(world: MeteredWorld, database: Database) -> None:
    compute = await world.boot()
    await compute.apply(world.spec("dep"))
    await compute.scale("dep", 2)
    first, second = sorted(await world.two_ready(compute))
    world.kill(compute, first)
    await world.until(lambda: first not in world.ids(compute, "dep"), "the killed one is left out")
    third = (await world.two_ready(compute) - {first, second}).pop()
    # The control plane dies; one replica goes on, the other is killed while nobody looks.
    await compute.close()
    os.kill(world.engines[second], signal.SIGKILL)
    await world.until(lambda: world.engines[second] in world.lifetimes.gone, "the second is gone")
    compute = await world.boot()
    await compute.apply(world.spec("dep"))
    await compute.scale("dep", 2)
    assert third in await world.two_ready(compute)
    await compute.scale("dep", 0)
    await world.until(lambda: len(world.lifetimes.gone) == 4, "all are gone")
    await world.until(lambda: world.told_ends() >= set(world.engines), "the driver told every end")
    await world.metering.meter()
    assert world.metering.waiting == 0
    assert await world.runs.unfinished() == ()
    found = {run.replica: run for run in await world.runs.of("dep", 0, 2**62) if run.ready_at_micros is not None}
    assert set(found) == set(world.engines)
    for name, run in found.items():
        await check(world, database, run, world.engines[name])
    assert await database.read(broken_invariants) == []


async def check(world: MeteredWorld, database: Database, run: ReplicaRun, pid: int) -> None:
    """Compare one run with its process."""
    began, gone = world.lifetimes.began[pid], world.lifetimes.gone[pid]
    assert run.ready_at_micros is not None
    assert run.gone_at_micros is not None
    assert abs(run.started_at_micros / SECOND - began) < 1.0
    assert abs(run.gone_at_micros / SECOND - gone) < 1.0
    assert run.started_at_micros <= run.ready_at_micros < run.gone_at_micros
    row = await database.read(lambda cursor: cursor.execute(BOOKED, (run.id,)).fetchone())
    assert (int(row[0]), int(row[1])) == (
        run.amount_nano(run.gone_at_micros),
        run.gone_at_micros - run.ready_at_micros,
    )
