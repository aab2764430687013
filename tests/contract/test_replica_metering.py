"""Metering over the real books: processes with random lives, a store that fails, and gateways that die at any moment.

Whatever happens, what the books have of a process at the end is exactly its time from ready to gone at the prices of
its days.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from headrace.domain.dedicated import Deployment
from headrace.domain.deployment import Replica
from headrace.domain.errors import MeteringUnavailable
from headrace.domain.replica_run import DAY_MICROS, MICROS_PER_HOUR, ReplicaRun, share_nano
from headrace.drivers.stores.auditing import audit_rows
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.replica_runs import SqlReplicaRuns
from headrace.drivers.stores.sqlite import Cursor
from headrace.services.replica_metering import MeteringParts, ReplicaMetering
from headrace.services.replica_prices import ReplicaPrice
from headrace.testing.clock import FakeClock, FakeIds
from tests.contract.ledger_books import START_MICROS, OpenStore, broken_invariants
from tests.fakes.replicas import a_deployment, a_replica, ended, ready

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SECOND = 1_000_000
NAMES = ("prod-llm-0", "prod-llm-1", "prod-llm-2")
RUNS = """
SELECT replica, started_at_micros, ready_at_micros, gone_at_micros, nano_per_hour,
    (SELECT coalesce(sum(CASE WHEN reverses IS NULL THEN amount_nano ELSE -amount_nano END), 0) FROM ledger_entry
        WHERE ledger_entry.run_id = replica_run.run_id AND kind = 'charge'),
    (SELECT coalesce(sum(CASE WHEN reverses IS NULL THEN quantity ELSE -quantity END), 0) FROM ledger_entry
        WHERE ledger_entry.run_id = replica_run.run_id AND kind = 'charge')
FROM replica_run ORDER BY started_at_micros, replica, run_id
"""


class UnsteadyRuns(SqlReplicaRuns):
    """The store's runs, which refuse now and then, or write and do not say so."""

    def __init__(self, database: Database, chance: random.Random) -> None:
        super().__init__(database)
        self.chance = chance
        self.failing = 0.3

    async def begin(self, run: ReplicaRun) -> None:
        """Store a run, perhaps."""
        self._fail()
        await super().begin(run)
        self._fail()

    async def meter(self, run: ReplicaRun, scopes: Sequence[str]) -> int:
        """Book a run, perhaps."""
        self._fail()
        booked = await super().meter(run, scopes)
        self._fail()
        return booked

    def _fail(self) -> None:
        if self.chance.random() < self.failing:
            raise MeteringUnavailable("The store is away.")


@dataclass(slots=True)
class Machine:
    """Processes as the operating system has them: they live whether or not a gateway looks."""

    chance: random.Random
    clock: FakeClock
    living: dict[str, Replica] = field(default_factory=dict[str, Replica])
    dead: list[Replica] = field(default_factory=list[Replica])
    pids: int = 100

    @property
    def notes(self) -> list[Replica]:
        """What wardens wrote down of their ends; a note goes when its name is used again."""
        last = {each.id: each for each in self.dead if each.id not in self.living}
        return list(last.values())

    def live(self) -> Replica | None:
        """Let something happen to one process; returns it as it is then."""
        name, now = self.chance.choice(NAMES), self.clock.unix_micros()
        replica = self.living.get(name)
        if replica is None:
            self.pids += 1
            self.living[name] = replace(a_replica(name, now), pid=self.pids)
        elif replica.ready_at_micros is None and self.chance.random() < 0.7:
            self.living[name] = ready(replica, now)
        elif self.chance.random() < 0.5:
            gone = ended(self.living.pop(name), now - self.chance.randrange(3 * SECOND))
            gone = replace(gone, ended_at_micros=max(gone.ended_at_micros or 0, gone.ready_at_micros or 0))
            self.dead.append(gone)
            return gone
        return self.living[name]


@dataclass(slots=True)
class Gateway:
    """A gateway on the store; `boot` is another process in its place, which reads the notes of the wardens."""

    runs: UnsteadyRuns
    machine: Machine
    ids: FakeIds
    rate: int
    step: int
    metering: ReplicaMetering = field(init=False)

    def __post_init__(self) -> None:
        self.metering = self.built()

    def built(self) -> ReplicaMetering:
        deployment = a_deployment()
        parts = MeteringParts(
            runs=self.runs,
            deployment=lambda deployment_id: deployment if deployment_id == "dep_1" else None,
            price=self._price,
            scopes=lambda account, model, at: ("platform", f"balance:{account}"),
            observe=lambda: list(self.machine.living.values()),
            clock=self.machine.clock,
            ids=self.ids,
            on_failure=lambda name, failure: None,
        )
        return ReplicaMetering(parts)

    async def boot(self) -> None:
        self.metering = self.built()
        for replica in (*self.machine.notes, *self.machine.living.values()):
            self.metering.hear(replica)
        while True:
            try:
                return await self.metering.recover()
            except MeteringUnavailable:
                continue

    def rate_on(self, day: int) -> int:
        """What an hour costs on a day, counted from 1970."""
        return self.rate + self.step * (day - START_MICROS // DAY_MICROS)

    def due(self, since: int, until: int) -> int:
        """What is owed for a process: the time of each day at its price, each rounded once."""
        days = range(since // DAY_MICROS, until // DAY_MICROS + 1)
        if not self.step:
            return share_nano(until - since, self.rate)
        parts = [(max(since, each * DAY_MICROS), min(until, (each + 1) * DAY_MICROS), each) for each in days]
        return sum(share_nano(ends - begins, self.rate_on(each)) for begins, ends, each in parts)

    async def _price(self, deployment: Deployment, at_micros: int) -> ReplicaPrice:
        return ReplicaPrice(self.rate_on(at_micros // DAY_MICROS), deployment.price_source)


async def audited(database: Database) -> list[str]:
    def look(cursor: Cursor) -> list[str]:
        report = audit_rows(
            lambda statement, values: iter(cursor.execute(statement, list(values)).fetchall()),
            START_MICROS,
            lambda _: None,
        )
        return [f"{each.what} {each.id}: {each.kept} != {each.derived}" for each in report.differences]

    return await database.read(look) + await database.read(broken_invariants)


async def booked(database: Database) -> dict[tuple[str, int], tuple[int, int, int | None]]:
    """What the books have of each process that was ready: nano-dollars, microseconds, its end."""
    rows = await database.read(lambda cursor: cursor.execute(RUNS).fetchall())
    found: dict[tuple[str, int], tuple[int, int, int | None]] = {}
    prices: set[tuple[str, int, int]] = set()
    for row in rows:
        if row[2] is None:
            continue
        assert (row[0], row[1], row[4]) not in prices, "a process has two runs at one price"
        prices.add((row[0], row[1], row[4]))
        nano, micros, _ = found.get((row[0], row[1]), (0, 0, None))
        found[row[0], row[1]] = (nano + int(row[5]), micros + int(row[6]), row[3])
    return found


@pytest.mark.parametrize("step", [0, 700_000_001])
@pytest.mark.parametrize("seed", range(6))
async def test_the_books_have_every_process_from_ready_to_gone(
    open_store: OpenStore, tmp_path: Path, seed: int, step: int
) -> None:
    # With a price that changes every day it begins two hours before a midnight.
    begins = START_MICROS if not step else (START_MICROS // DAY_MICROS + 1) * DAY_MICROS - 2 * MICROS_PER_HOUR
    chance, clock = random.Random(seed), FakeClock(begins)
    machine = Machine(chance, clock)
    database = open_store(tmp_path, clock)
    gateway = Gateway(UnsteadyRuns(database, chance), machine, FakeIds(), chance.randrange(10**9, 10**10), step)
    await gateway.boot()
    doubtful: set[tuple[str, int]] = set()
    for _ in range(80):
        clock.advance(chance.choice((1, 20, 200, 2_000)) * chance.random())
        what = chance.random()
        if what < 0.55:
            replica = machine.live()
            assert replica is not None
            gateway.metering.hear(replica)
        elif what < 0.9:
            await gateway.metering.meter()
        else:
            for _ in range(chance.randrange(4)):
                clock.advance(600 * chance.random())
                machine.live()
            known = await booked(database)
            kept = {(each.id, each.started_at_micros): each for each in machine.dead if each not in machine.notes}
            # It died with what it had heard, and the warden's note is gone with the name's next use.
            doubtful |= {each for each in kept if each not in known or known[each][2] != kept[each].ended_at_micros}
            await gateway.boot()
    gateway.runs.failing = 0.0
    await gateway.metering.close()
    while gateway.metering.waiting:
        await gateway.metering.meter()
    found = await booked(database)
    exact = 0
    for replica in (*machine.dead, *machine.living.values()):
        if replica.ready_at_micros is None:
            continue
        place = (replica.id, replica.started_at_micros)
        until = clock.unix_micros() if replica.ended_at_micros is None else replica.ended_at_micros
        if place in doubtful:
            assert found.get(place, (0, 0, None))[1] <= until - replica.ready_at_micros + 3 * SECOND
            continue
        exact += 1
        due = gateway.due(replica.ready_at_micros, until)
        assert found[place] == (due, until - replica.ready_at_micros, replica.ended_at_micros)
    assert exact > 1
    assert await audited(database) == []
    database.close()
