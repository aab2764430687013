"""Metering of replicas: who is metered, from when to when, and what is left after failures and restarts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from headrace.domain.dedicated import Deployment
from headrace.domain.deployment import Replica
from headrace.domain.errors import Conflict, MeteringUnavailable
from headrace.services.replica_metering import MeteringParts, MeteringTimes, ReplicaMetering
from headrace.services.replica_prices import ReplicaPrice
from headrace.testing.clock import FakeClock, FakeIds
from tests.fakes.replicas import STARTED_MICROS, MemoryRuns, a_deployment, a_replica, ended, ready

pytestmark = pytest.mark.anyio

SECOND = 1_000_000
RATE = 3_600_000_000
# After the start, which is at 16:00 of UTC.
MIDNIGHT, DAY = 8 * 3_600 * SECOND, 86_400 * SECOND


@dataclass(slots=True)
class World:
    """A store, a clock, what drivers observe, and metering over them; `restart` is another process on the store."""

    runs: MemoryRuns = field(default_factory=MemoryRuns)
    clock: FakeClock = field(default_factory=lambda: FakeClock(STARTED_MICROS))
    ids: FakeIds = field(default_factory=FakeIds)
    deployments: dict[str, Deployment] = field(default_factory=lambda: {"dep_1": a_deployment()})
    observed: list[Replica] = field(default_factory=list[Replica])
    failures: list[BaseException] = field(default_factory=list[BaseException])
    prices: dict[int, ReplicaPrice | None] = field(default_factory=lambda: {0: ReplicaPrice(RATE, "dated")})
    metering: ReplicaMetering = field(init=False)

    def __post_init__(self) -> None:
        self.metering = self.built()

    def built(self, times: MeteringTimes | None = None) -> ReplicaMetering:
        parts = MeteringParts(
            runs=self.runs,
            deployment=self.deployments.get,
            price=self._price,
            scopes=lambda account, model, at: ("platform", f"{account}/{model}@{(at - STARTED_MICROS) // SECOND}"),
            observe=lambda: self.observed,
            clock=self.clock,
            ids=self.ids,
            on_failure=lambda name, failure: self.failures.append(failure),
        )
        return ReplicaMetering(parts) if times is None else ReplicaMetering(parts, times)

    async def restart(self) -> None:
        self.metering = self.built()
        await self.metering.recover()

    async def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.metering.meter()

    def now(self) -> int:
        return self.clock.unix_micros()

    def says(self, replica: Replica) -> Replica:
        """A driver tells of a replica, and observes it from now on in the place of what it observed of its name."""
        self.observed = [each for each in self.observed if each.id != replica.id] + [replica]
        self.metering.hear(replica)
        return replica

    async def _price(self, deployment: Deployment, at_micros: int) -> ReplicaPrice | None:
        """The price in force by the days that the prices are dated, in microseconds since the start."""
        assert deployment.id == "dep_1"
        return self.prices[max(each for each in self.prices if each <= max(0, at_micros - STARTED_MICROS))]


@pytest.fixture
async def world() -> World:
    made = World()
    await made.metering.recover()
    return made


def seconds(run_id: str, world: World) -> float:
    """The seconds in the books: a second costs a thousandth of a dollar here."""
    return world.runs.owed(run_id) / SECOND


async def test_a_run_begins_at_its_start_and_is_paid_from_ready_to_gone(world: World) -> None:
    replica = world.says(a_replica())
    await world.metering.meter()
    (run,) = world.runs.kept.values()
    assert (run.id, run.deployment, run.account, run.model_id, run.replica) == (
        *("run_000001", "prod-llm", "default", "qwen", "prod-llm-0"),
    )
    assert (run.driver, run.accelerator, run.gpus, run.nano_per_hour, run.price_source, run.pid) == (
        *("local", "mi300x", 1, RATE, "dated", 4_711),
    )
    await world.later(30)
    assert world.runs.booked == []
    replica = world.says(ready(replica, world.now()))
    await world.later(100)
    assert world.runs.booked == []
    world.says(ended(replica, world.now() - SECOND))
    world.observed = []
    await world.later(5)
    assert world.runs.booked == [("run_000001", 99 * SECOND, ("platform", "default/prod-llm@128"))]
    assert world.runs.kept["run_000001"].gone_at_micros == STARTED_MICROS + 129 * SECOND
    assert world.metering.waiting == 0


async def test_a_line_is_booked_when_it_is_due_and_at_every_quarter_of_an_hour(world: World) -> None:
    world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(299)
    assert seconds("run_000001", world) == 0
    await world.later(1)
    assert seconds("run_000001", world) == 300
    await world.later(1_900)
    assert [amount // SECOND for _, amount, _ in world.runs.booked] == [300, 600, 900, 400]
    await world.later(200)
    await world.metering.close()
    assert seconds("run_000001", world) == 2_400
    assert [amount // SECOND for _, amount, _ in world.runs.booked] == [300, 600, 900, 400, 200]


async def test_that_it_runs_is_written_down_now_and_then(world: World) -> None:
    world.says(ready(a_replica(), STARTED_MICROS))
    await world.metering.meter()
    before = world.runs.writes
    await world.later(9)
    assert world.runs.writes == before
    await world.later(1)
    assert world.runs.writes == before + 1
    assert world.runs.kept["run_000001"].seen_at_micros == STARTED_MICROS + 10 * SECOND


async def test_a_price_of_the_next_day_is_paid_from_midnight_on_by_a_run_of_its_own(world: World) -> None:
    world.prices |= {MIDNIGHT: ReplicaPrice(2 * RATE, "dearer"), MIDNIGHT + DAY: ReplicaPrice(2 * RATE, "the same")}
    replica = world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(10)
    assert world.metering.nano_per_hour("dep_1", "prod-llm-0") == RATE
    await world.later(28_800 + 590)
    first, second = world.runs.kept.values()
    midnight = STARTED_MICROS + MIDNIGHT
    assert (first.ready_at_micros, first.gone_at_micros, first.price_source) == (STARTED_MICROS, midnight, "dated")
    assert (second.ready_at_micros, second.gone_at_micros, second.price_source) == (midnight, None, "dearer")
    assert first.process == second.process
    assert (seconds(first.id, world), seconds(second.id, world)) == (28_800, 2 * 600)
    assert world.metering.nano_per_hour("dep_1", "prod-llm-0") == 2 * RATE
    await world.restart()
    await world.later(86_400)
    assert len(world.runs.kept) == 2
    world.says(ended(replica, world.now()))
    await world.later(1)
    assert seconds(second.id, world) == 2 * 87_000
    assert (world.runs.kept[second.id].gone_at_micros, world.metering.waiting) == (world.now() - SECOND, 0)


async def test_another_price_is_not_paid_by_what_ended_at_midnight_nor_without_knowing_it(world: World) -> None:
    world.prices |= {MIDNIGHT: ReplicaPrice(2 * RATE, "dearer"), MIDNIGHT + DAY: None}
    replica = world.says(ready(a_replica(), STARTED_MICROS))
    world.clock.advance(28_800)
    world.says(ended(replica, world.now()))
    world.says(ready(a_replica("prod-llm-1", world.now()), world.now()))
    await world.later(86_400 + 300)
    assert [(each.replica, each.nano_per_hour) for each in world.runs.kept.values()] == [
        ("prod-llm-0", RATE),
        ("prod-llm-1", 2 * RATE),
    ]
    assert seconds("run_000002", world) == 2 * 86_700


async def test_an_end_before_midnight_that_is_told_after_it_takes_back_what_was_paid_since(world: World) -> None:
    world.prices[MIDNIGHT] = ReplicaPrice(2 * RATE, "dearer")
    replica = world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(28_800 + 600)
    assert (seconds("run_000001", world), seconds("run_000002", world)) == (28_800, 2 * 600)
    world.says(ended(replica, STARTED_MICROS + MIDNIGHT - 5 * SECOND))
    world.observed = []
    await world.later(1)
    assert (seconds("run_000001", world), seconds("run_000002", world)) == (28_795, 0)
    assert world.metering.waiting == 0


async def test_a_replica_of_an_earlier_specification_keeps_its_price(world: World) -> None:
    world.prices[MIDNIGHT] = ReplicaPrice(2 * RATE, "dearer")
    world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(1)
    deployment = world.deployments["dep_1"]
    world.deployments["dep_1"] = replace(deployment, pending=replace(deployment.wanted, gpus=2))
    await world.later(28_800 + 300)
    assert [each.nano_per_hour for each in world.runs.kept.values()] == [RATE]


async def test_one_that_is_ready_after_midnight_is_paid_at_the_price_of_that_day(world: World) -> None:
    world.prices[MIDNIGHT] = ReplicaPrice(2 * RATE, "dearer")
    replica = world.says(a_replica())
    await world.later(28_800 + 60)
    world.says(ready(replica, world.now()))
    await world.later(10)
    await world.later(290)
    first, second = world.runs.kept.values()
    assert (first.ready_at_micros, first.gone_at_micros) == (second.ready_at_micros, second.ready_at_micros)
    assert (seconds(first.id, world), seconds(second.id, world)) == (0, 2 * 300)


@pytest.mark.parametrize("is_restarted", [True, False])
async def test_between_two_prices_the_store_may_be_away(world: World, *, is_restarted: bool) -> None:
    world.prices[MIDNIGHT] = ReplicaPrice(2 * RATE, "dearer")
    world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(1)
    world.runs.begins_left = 0
    await world.later(28_800 + 300)
    assert list(world.runs.kept) == ["run_000001"]
    world.runs.begins_left = None
    if is_restarted:
        await world.restart()
    await world.later(300)
    first, second = world.runs.kept.values()
    assert (seconds(first.id, world), seconds(second.id, world)) == (28_800, 2 * 601)


async def test_one_that_was_taken_for_gone_for_long_is_booked_in_lines_all_the_same(world: World) -> None:
    replica = world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(1)
    world.observed = []
    await world.later(1)
    await world.later(100)
    assert world.runs.kept["run_000001"].gone_at_micros == STARTED_MICROS + SECOND
    world.clock.advance(1_698)
    world.says(replica)
    await world.later(0)
    assert [amount // SECOND for _, amount, _ in world.runs.booked] == [1, 899, 900]


async def test_a_clock_that_was_a_day_ahead_for_a_moment_leaves_nothing_to_pay(world: World) -> None:
    world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(100)
    world.clock.jump(86_400)
    await world.later(1)
    world.clock.jump(-86_400)
    await world.later(9)
    assert seconds("run_000001", world) == 86_400
    world.observed = []
    await world.later(30)
    await world.later(100)
    assert seconds("run_000001", world) == 110


async def test_embedded_models_are_not_metered(world: World) -> None:
    world.says(ready(replace(a_replica(), deployment="smollm2-135m"), STARTED_MICROS))
    await world.later(900)
    assert world.runs.kept == {}


async def test_one_that_was_never_ready_costs_nothing(world: World) -> None:
    replica = world.says(a_replica())
    await world.later(5)
    world.says(ended(replica, None))
    await world.later(5)
    (run,) = world.runs.kept.values()
    assert (run.ready_at_micros, run.gone_at_micros) == (None, STARTED_MICROS + 5 * SECOND)
    assert world.runs.booked == []
    await world.later(5)
    assert len(world.runs.kept) == 1


async def test_a_driver_that_does_not_say_when_it_was_ready_is_taken_at_its_word(world: World) -> None:
    world.clock.advance(7)
    world.says(replace(ready(a_replica(), 1), ready_at_micros=None))
    await world.later(300)
    assert world.runs.kept["run_000001"].ready_at_micros == STARTED_MICROS + 7 * SECOND
    assert seconds("run_000001", world) == 300


async def test_a_name_is_used_again_by_the_next_replica(world: World) -> None:
    first = world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(10)
    world.metering.hear(ended(first, world.now()))
    second = replace(a_replica(started_micros=world.now()), pid=4_712)
    world.says(ready(second, world.now() + SECOND))
    # What is told late of the first one is not about the second.
    world.metering.hear(ended(first, world.now()))
    world.metering.hear(ended(first, world.now()))
    assert world.metering.waiting == 1
    await world.later(11)
    await world.metering.close()
    assert seconds("run_000001", world) == 10
    assert seconds("run_000002", world) == 10
    world.metering.hear(ended(first, world.now()))
    await world.later(1)
    assert len(world.runs.kept) == 2


async def test_a_next_replica_ends_the_one_before_it_whose_end_nobody_told(world: World) -> None:
    world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(10)
    world.clock.advance(20)
    world.says(replace(a_replica(started_micros=world.now()), pid=4_712))
    await world.later(1)
    assert seconds("run_000001", world) == 10
    assert world.runs.kept["run_000001"].gone_at_micros == STARTED_MICROS + 10 * SECOND


async def test_the_start_may_be_told_anew_when_the_process_is_known(world: World) -> None:
    world.says(replace(a_replica(), pid=None))
    await world.metering.meter()
    world.says(a_replica(started_micros=STARTED_MICROS + 9 * SECOND))
    world.says(ready(a_replica(started_micros=STARTED_MICROS + 10 * SECOND), STARTED_MICROS + 11 * SECOND))
    await world.later(12)
    world.says(replace(world.observed[0], pid=None))
    await world.later(2)
    (run,) = world.runs.kept.values()
    assert (run.started_at_micros, run.pid) == (STARTED_MICROS + 10 * SECOND, 4_711)


async def test_a_replica_that_never_got_a_process_has_no_run(world: World) -> None:
    world.says(ended(replace(a_replica(), pid=None), None))
    await world.later(10)
    assert world.runs.kept == {}


async def test_one_that_starts_in_the_place_of_one_that_only_started_is_another(world: World) -> None:
    world.says(a_replica())
    await world.later(10)
    world.says(replace(a_replica(started_micros=world.now()), pid=4_712))
    await world.later(1)
    assert len(world.runs.kept) == 2
    assert world.runs.kept["run_000001"].gone_at_micros == STARTED_MICROS + 10 * SECOND


async def test_one_that_no_driver_tells_of_is_gone_since_it_was_seen(world: World) -> None:
    world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(50)
    world.observed = []
    await world.later(10)
    await world.later(50)
    assert world.runs.kept["run_000001"].gone_at_micros is None
    await world.later(10)
    assert world.runs.kept["run_000001"].gone_at_micros == STARTED_MICROS + 50 * SECOND
    assert seconds("run_000001", world) == 50


async def test_one_that_was_taken_for_gone_goes_on_when_it_is_there_again(world: World) -> None:
    replica = world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(50)
    world.observed = []
    for _ in range(3):
        await world.later(60)
    assert seconds("run_000001", world) == 50
    world.says(replica)
    await world.later(300)
    assert len(world.runs.kept) == 1
    assert world.runs.kept["run_000001"].gone_at_micros is None
    assert seconds("run_000001", world) == 530


async def test_a_word_of_its_end_is_taken_back_by_a_word_of_its_life(world: World) -> None:
    replica = world.says(ready(a_replica(), STARTED_MICROS))
    world.metering.hear(ended(replica, None))
    assert world.metering.waiting == 1
    world.says(replica)
    assert world.metering.waiting == 0


async def test_what_the_store_does_not_take_is_booked_later(world: World) -> None:
    replica = world.says(ready(a_replica(), STARTED_MICROS))
    world.runs.is_away = True
    await world.later(500)
    world.says(ended(replica, world.now()))
    await world.later(500)
    assert world.metering.waiting == 1
    world.runs.is_away = False
    await world.later(1)
    assert world.metering.waiting == 0
    assert seconds("run_000001", world) == 500


async def test_a_run_that_the_store_refuses_keeps_no_other_from_the_books(world: World) -> None:
    world.says(ready(a_replica("prod-llm-0"), STARTED_MICROS))
    world.says(ready(a_replica("prod-llm-1"), STARTED_MICROS))
    await world.metering.meter()
    world.runs.refused = "run_000001"
    with pytest.raises(Conflict):
        await world.later(300)
    assert (seconds("run_000001", world), seconds("run_000002", world)) == (0, 300)
    world.runs.refused = None
    await world.later(1)
    assert seconds("run_000001", world) == 301


async def test_what_the_store_took_without_saying_so_is_booked_once(world: World) -> None:
    replica = world.says(ready(a_replica(), STARTED_MICROS))
    for is_lost in (True, False, True, False, True):
        world.runs.loses_answers = is_lost
        await world.later(310)
    world.says(ended(replica, world.now()))
    await world.later(1)
    world.runs.loses_answers = False
    await world.later(1)
    assert list(world.runs.kept) == ["run_000001"]
    assert seconds("run_000001", world) == 1_550


async def test_the_next_process_goes_on_where_the_last_one_was(world: World) -> None:
    world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(320)
    world.clock.advance(3_600)
    await world.restart()
    await world.later(300)
    assert list(world.runs.kept) == ["run_000001"]
    assert seconds("run_000001", world) == 4_220
    assert all(amount <= 900 * SECOND for _, amount, _ in world.runs.booked)


@pytest.mark.parametrize("heard_first", [True, False])
async def test_one_that_ended_meanwhile_ends_when_its_driver_says(world: World, *, heard_first: bool) -> None:
    replica = world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(320)
    world.clock.advance(3_600)
    world.observed = []
    world.metering = world.built()
    word = ended(replica, STARTED_MICROS + 1_000 * SECOND)
    if heard_first:
        world.metering.hear(word)
        await world.metering.meter()
        assert seconds("run_000001", world) == 320
    await world.metering.recover()
    if not heard_first:
        world.metering.hear(word)
    await world.later(1)
    assert list(world.runs.kept) == ["run_000001"]
    assert seconds("run_000001", world) == 1_000


async def test_one_that_ended_meanwhile_without_a_word_ends_when_it_was_seen(world: World) -> None:
    world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(320)
    await world.later(15)
    world.clock.advance(3_600)
    world.observed = []
    await world.restart()
    await world.later(60)
    run = world.runs.kept["run_000001"]
    assert run.gone_at_micros == STARTED_MICROS + 335 * SECOND
    assert seconds("run_000001", world) == 335


async def test_a_next_replica_of_the_name_is_there_when_the_next_process_begins(world: World) -> None:
    world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(320)
    world.clock.advance(100)
    fresh = replace(ready(a_replica(started_micros=world.now()), world.now()), pid=9)
    world.metering = world.built()
    world.says(fresh)
    await world.metering.recover()
    await world.later(300)
    assert seconds("run_000001", world) == 320
    assert seconds("run_000002", world) == 300


async def test_a_process_may_recover_a_run_of_which_an_end_and_a_successor_were_heard(world: World) -> None:
    first = world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(320)
    world.metering = world.built()
    world.metering.hear(ended(first, STARTED_MICROS + 330 * SECOND))
    world.clock.advance(100)
    world.says(replace(a_replica(started_micros=world.now()), pid=9))
    await world.metering.recover()
    assert seconds("run_000001", world) == 330
    assert len(world.runs.kept) == 2


async def test_an_end_that_is_told_again_after_a_restart_is_booked_once_and_the_truth_of_it_counts(
    world: World,
) -> None:
    replica = world.says(ready(a_replica(), STARTED_MICROS))
    await world.later(320)
    world.observed = []
    await world.restart()
    await world.later(60)
    assert seconds("run_000001", world) == 320
    for _ in range(2):
        await world.restart()
        world.metering.hear(ended(replica, STARTED_MICROS + 330 * SECOND))
        await world.later(60)
    assert list(world.runs.kept) == ["run_000001"]
    assert seconds("run_000001", world) == 330
    assert world.metering.waiting == 0


async def test_a_deployment_that_was_removed_is_metered_to_its_end(world: World) -> None:
    replica = world.says(ready(a_replica(), STARTED_MICROS))
    await world.metering.meter()
    world.deployments.clear()
    await world.later(10)
    world.says(ended(replica, world.now()))
    await world.later(1)
    assert seconds("run_000001", world) == 10


async def test_a_replica_of_a_specification_that_is_rolled_out_is_named_after_that() -> None:
    world = World()
    wanted = world.deployments["dep_1"].wanted
    pending = replace(wanted, accelerator="h100", gpus=2)
    world.deployments["dep_1"] = replace(world.deployments["dep_1"], pending=pending)
    world.says(a_replica())
    await world.metering.recover()
    (run,) = world.runs.kept.values()
    assert (run.accelerator, run.gpus) == ("h100", 2)


async def test_it_looks_when_it_hears_something_and_now_and_then(world: World) -> None:
    """The store is away at the start, so the first look does not recover."""
    world.runs.is_away = True
    metering = world.metering = world.built(MeteringTimes(seen_seconds=0.001))
    with pytest.raises(MeteringUnavailable):
        await metering.recover()
    work = asyncio.get_running_loop().create_task(metering.run())
    await world.runs.changes.until(lambda: world.runs.writes >= 3)
    world.runs.is_away = False
    world.says(ready(a_replica(), STARTED_MICROS))
    world.runs.refused = "run_000001"
    await world.runs.changes.until(lambda: len(world.failures) > 1)
    world.runs.refused = None
    world.clock.advance(300)
    await world.runs.changes.until(lambda: bool(world.runs.booked))
    work.cancel()
    await asyncio.wait((work,))
    await metering.recover()


async def test_few_names_are_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.services.replica_metering.MOST_REMEMBERED", 2)
    for number in range(4):
        replica = a_replica(f"prod-llm-{number}")
        world.metering.hear(ready(replica, STARTED_MICROS))
        world.metering.hear(ended(replica, STARTED_MICROS + SECOND))
        await world.metering.meter()
    # The first two are forgotten, so what is told again of one begins a run that owes nothing new to be seen.
    world.metering.hear(ended(a_replica("prod-llm-3"), STARTED_MICROS + SECOND))
    await world.metering.meter()
    assert len(world.runs.kept) == 4
