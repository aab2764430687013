"""Scaled deployments of the local driver beyond the contract: room, devices, drains, failures, what a restart finds."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest

from headrace.domain.deployment import DeploymentSpec, OwnerLoss, Replica, ReplicaState
from headrace.domain.errors import EngineFailed
from headrace.domain.plan import Endpoint
from headrace.drivers.compute.devices import Device, DeviceBook
from headrace.drivers.compute.local import LocalCompute
from headrace.ports.fleet import Lease
from tests.contract.compute_contract import NAME, Load
from tests.contract.local_world import LocalWorld
from tests.contract.toy_fleet import ToyEngine, is_running

pytestmark = pytest.mark.timeout(30)

MICROS = 1_000_000
Waiting: TypeAlias = asyncio.Task[Lease]


class TwoDevices:
    """A machine with two accelerators."""

    async def look(self) -> Sequence[Device]:
        return (Device(0, 80_000, 4), Device(1, 80_000, 4))


@pytest.fixture
async def worlds(tmp_path: Path) -> AsyncIterator[Callable[..., LocalWorld]]:
    made: list[LocalWorld] = []

    def make(devices: DeviceBook | None = None, memory_bytes: int | None = None) -> LocalWorld:
        made.append(LocalWorld(tmp_path, devices, memory_bytes))
        return made[-1]

    yield make
    for world in made:
        await world.close()


@pytest.fixture
def world(worlds: Callable[..., LocalWorld]) -> LocalWorld:
    return worlds()


async def started(world: LocalWorld, replicas: int, spec: DeploymentSpec | None = None) -> LocalCompute:
    compute = await world.make()
    await compute.apply(spec or world.spec(NAME))
    await compute.scale(NAME, replicas)
    await world.until_ready(compute, NAME, replicas)
    return compute


def told(world: LocalWorld, replica: str) -> Replica:
    """The last that was told of a replica."""
    return [each for each in world.seen if each.id == replica][-1]


@pytest.mark.parametrize("replicas", [1, 2])
async def test_without_room_for_one_more_replicas_are_replaced_one_by_one(
    worlds: Callable[..., LocalWorld], replicas: int
) -> None:
    world = worlds(memory_bytes=100 * replicas)
    compute = await started(world, replicas, world.spec(NAME, slots=2))
    before = world.ids(compute, NAME)
    async with Load(world, compute) as load:
        await load.more(4)
        await compute.apply(world.spec(NAME, slots=3))
        await world.until(
            lambda: not before & set(world.states(compute, NAME)) and len(compute.ready(NAME)) == replicas,
            "all are replaced",
        )
        await load.more(4)
    assert load.failed == []


async def test_what_has_no_room_says_so_and_starts_when_there_is(worlds: Callable[..., LocalWorld]) -> None:
    world = worlds(memory_bytes=250)
    compute = await started(world, 1)
    await compute.apply(world.spec("dep-two"))
    await compute.scale("dep-two", 2)
    await world.until_ready(compute, "dep-two", 1)
    await world.until(
        lambda: any("There is no room" in each.reason for each in compute.observe()), "the missing room is told"
    )
    (refused,) = [each for each in compute.observe() if each.reason]
    assert (refused.deployment, refused.state, refused.pid) == ("dep-two", ReplicaState.FAILED, None)
    assert "dep-one, dep-two may not be put to sleep now" in refused.reason
    await compute.remove(NAME)
    await world.until_ready(compute, "dep-two", 2)
    assert not any(each.reason for each in compute.observe())


async def test_what_can_never_have_room_is_refused_at_once(worlds: Callable[..., LocalWorld]) -> None:
    compute = await worlds(DeviceBook(TwoDevices()), memory_bytes=99).make()
    with pytest.raises(EngineFailed, match="Raise the memory limit"):
        await compute.apply(worlds().spec(NAME))
    with pytest.raises(EngineFailed, match="needs 3 GPUs; this machine has 2 GPUs"):
        await compute.apply(worlds().spec(NAME, gpus=3, memory_bytes=1))
    assert compute.standing(NAME) is None


async def test_each_replica_has_devices_of_its_own_after_a_restart_too(worlds: Callable[..., LocalWorld]) -> None:
    world = worlds(DeviceBook(TwoDevices()))
    spec = world.spec(NAME, gpus=1)
    compute = await started(world, 2, spec)
    states = [json.loads(path.read_text()) for path in (world.home / "run").glob("*.json")]
    assert sorted(each["devices"] for each in states) == [[0], [1]]
    successor = await world.restart(compute)
    await successor.apply(spec)
    await successor.scale(NAME, 3)
    await world.until_ready(successor, NAME, 2)
    await world.until(
        lambda: any("needs 1 GPU and 0 are free: 0 has dep-one-" in each.reason for each in successor.observe()),
        "the missing device is told",
    )
    await successor.scale(NAME, 1)
    (kept,) = await world.until_ready(successor, NAME, 1)
    await world.until(lambda: set(world.states(successor, NAME)) == {kept}, "the other is gone")
    await successor.scale(NAME, 2)
    await world.until_ready(successor, NAME, 2)


async def test_what_runs_goes_on_when_the_means_to_start_another_are_gone(worlds: Callable[..., LocalWorld]) -> None:
    world = worlds(DeviceBook(TwoDevices()))
    spec = world.spec(NAME, gpus=1)
    compute = await started(world, 1, spec)
    ids = world.ids(compute, NAME)
    world.devices = None
    successor = await world.restart(compute)
    await successor.apply(spec)
    assert await world.until_ready(successor, NAME, 1) == ids
    await successor.scale(NAME, 2)
    await world.until(
        lambda: any("this machine has none that was found" in each.reason for each in successor.observe()),
        "the missing device is told",
    )
    assert world.ids(successor, NAME) == ids


async def test_a_drain_ends_by_force_when_its_time_is_over(world: LocalWorld) -> None:
    world.patience = replace(world.patience, drain_seconds=0.3)
    compute = await started(world, 1)
    (replica,) = world.ids(compute, NAME)
    lease = compute.lease(NAME, replica)
    assert lease is not None
    held = await world.hold(lease.endpoint)
    await compute.scale(NAME, 0)
    await world.until(lambda: world.states(compute, NAME) == {}, "it is gone")
    assert await held.finish() == 0
    lease.release()
    assert told(world, replica).reason == "It still had 1 request after 0.3 s of draining, cut off then."
    assert told(world, replica).ended_at_micros is not None


async def test_a_waiting_request_outlives_failed_starts(world: LocalWorld) -> None:
    world.engine.options = ("--starts", str(world.home / "starts"), "--fail-starts", "2")
    compute = await world.make()
    await compute.apply(world.spec(NAME))
    lease = await compute.acquire(NAME, world.seconds)
    assert await world.ask(lease.endpoint) == 200
    assert len((world.home / "starts").read_text().splitlines()) == 3
    assert [each.state for each in compute.observe()] == [ReplicaState.READY]


async def test_starts_that_always_fail_say_why_and_when_the_next_is_tried(world: LocalWorld) -> None:
    world.engine.options = ("--starts", str(world.home / "starts"), "--fail-starts", "99")
    compute = await world.make()
    await compute.apply(world.spec(NAME))
    await compute.scale(NAME, 1)
    await world.until(lambda: any(each.state is ReplicaState.FAILED for each in world.seen), "a start has failed")
    with pytest.raises(EngineFailed, match=r"ended while starting: it exited with status 1.*fails as asked") as failed:
        await compute.acquire(NAME, 0.05)
    assert failed.value.retry_after_seconds is not None
    ended = [each for each in compute.observe() if each.state is ReplicaState.FAILED]
    assert [each.deployment for each in ended] == [NAME]
    assert ended[0].ended_at_micros is not None


async def test_a_replica_that_is_killed_before_it_is_ready_is_started_again(world: LocalWorld) -> None:
    world.engine.options = ("--starts", str(world.home / "starts"), "--silent-starts", "1")
    compute = await world.make()
    await compute.apply(world.spec(NAME))
    waiting = asyncio.get_running_loop().create_task(compute.acquire(NAME, world.seconds))
    await world.until((world.home / "starts").exists, "it is being started")
    (starting,) = compute.observe()
    world.kill(compute, starting.id)
    lease = await waiting
    assert await world.ask(lease.endpoint) == 200
    assert told(world, starting.id).ready_at_micros is None
    assert told(world, starting.id).ended_at_micros is not None
    assert lease.endpoint.replica != starting.id


async def test_a_replica_that_is_killed_as_it_drains_is_gone_at_once(world: LocalWorld) -> None:
    compute = await started(world, 1)
    (replica,) = world.ids(compute, NAME)
    lease = compute.lease(NAME, replica)
    assert lease is not None
    held = await world.hold(lease.endpoint)
    engine = world.engine_pid(compute, replica)
    await compute.scale(NAME, 0)
    await world.until(lambda: world.states(compute, NAME) == {replica: ReplicaState.STOPPING}, "it drains")
    os.kill(engine, signal.SIGKILL)
    await world.until(lambda: world.states(compute, NAME) == {}, "it is gone")
    assert await held.finish() == 0
    assert told(world, replica).ended_at_micros is not None
    standing = compute.standing(NAME)
    assert standing is not None
    assert (standing.wanted, standing.starting) == (0, 0)


class OneByOne(ToyEngine):
    """Replicas become ready one after the other, as many as `allowed`."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = 0
        self._known: list[str] = []

    async def ready(self, endpoint: Endpoint) -> bool:
        if endpoint.base_url not in self._known:
            self._known.append(endpoint.base_url)
        return self._known.index(endpoint.base_url) < self.allowed and await super().ready(endpoint)


async def two_starting(world: LocalWorld, engine: OneByOne, waiting: int) -> tuple[LocalCompute, list[Waiting]]:
    """So many requests at a deployment of 2 slots of which one replica is ready and another one starts."""
    world.engine = engine
    compute = await started(world, 0)
    tasks: list[Waiting] = []
    await compute.scale(NAME, 2)
    for _ in range(waiting):
        tasks.append(asyncio.create_task(compute.acquire(NAME, world.seconds)))  # noqa: TID251 - a test's own
    engine.allowed = 1
    await world.until(lambda: (told := compute.standing(NAME)) is not None and told.ready == 1, "one is ready")
    return compute, tasks


async def test_who_waited_is_spread_over_replicas_as_they_come_up(world: LocalWorld) -> None:
    engine = OneByOne()
    compute, tasks = await two_starting(world, engine, 5)
    await world.until(lambda: tasks[1].done(), "the first two have a replica")
    late = asyncio.create_task(compute.acquire(NAME, world.seconds))  # noqa: TID251 - a test's own
    assert [each.done() for each in tasks] == [True, True, False, False, False]
    assert compute.ready(NAME) == (), "who comes now does not overtake who waits"
    tasks[0].result().release()
    await world.until(lambda: tasks[2].done(), "a free slot is the next one's")
    assert not tasks[3].done()
    engine.allowed = 2
    leases = [await each for each in (*tasks, late)]
    one, other = leases[0].endpoint.replica, leases[3].endpoint.replica
    assert one != other
    assert [each.endpoint.replica for each in leases[:5]] == [one, one, one, other, other]
    for each in leases:
        each.release()
    assert {each.in_flight for each in compute.ready(NAME)} == {0}


async def test_nobody_waits_for_a_replica_that_does_not_come(world: LocalWorld) -> None:
    compute, tasks = await two_starting(world, OneByOne(), 4)
    hasty = await compute.acquire(NAME, 0.05)
    assert not tasks[3].done(), "its time was over, and a replica was there"
    await compute.scale(NAME, 1)
    for each in (*[await one for one in tasks], hasty):
        each.release()


async def test_processes_are_timed_by_the_operating_system(world: LocalWorld) -> None:
    compute = await started(world, 1)
    (replica,) = compute.observe()
    engine = psutil.Process(world.engine_pid(compute, replica.id))
    assert replica.started_at_micros == round(engine.create_time() * MICROS)
    assert replica.ready_at_micros is not None
    before = time.time()
    world.kill(compute, replica.id)
    await world.until(lambda: told(world, replica.id).state is ReplicaState.FAILED, "the crash is told")
    ended = told(world, replica.id).ended_at_micros
    assert ended is not None
    assert before <= ended / MICROS <= time.time()


@pytest.mark.parametrize(
    ("victim", "how"), [("engine", "it was ended by signal SIGKILL"), ("warden", "nobody saw how")]
)
async def test_what_ended_while_no_gateway_ran_is_told_with_its_time(world: LocalWorld, victim: str, how: str) -> None:
    compute = await started(world, 1)
    (replica,) = compute.observe()
    assert replica.pid is not None
    engine = world.engine_pid(compute, replica.id)
    await compute.close()
    os.kill(engine if victim == "engine" else replica.pid, signal.SIGKILL)
    killed_at = time.time()
    await world.until(lambda: not is_running(engine) and not is_running(replica.pid or 0), "both are gone")
    successor = await world.make()
    lost = told(world, replica.id)
    assert (lost.state, lost.pid) == (ReplicaState.FAILED, replica.pid)
    assert (lost.started_at_micros, lost.ready_at_micros) == (replica.started_at_micros, replica.ready_at_micros)
    assert how in lost.reason
    assert lost.ended_at_micros is not None
    assert abs(lost.ended_at_micros / MICROS - killed_at) < 5.0
    assert lost in successor.observe()
    await successor.apply(world.spec(NAME))
    assert world.states(successor, NAME) == {replica.id: ReplicaState.FAILED}
    lease = await successor.acquire(NAME, world.seconds)
    assert lease.endpoint.replica != replica.id
    assert lost not in successor.observe()


async def test_what_runs_by_another_plan_is_replaced_after_a_restart(world: LocalWorld) -> None:
    compute = await started(world, 1, world.spec(NAME, slots=2))
    (before,) = world.ids(compute, NAME)
    successor = await world.restart(compute)
    await successor.apply(world.spec(NAME, slots=3))
    await world.until(lambda: before in world.ids(successor, NAME), "the old one serves on")
    await world.until(lambda: set(world.states(successor, NAME)) not in ({before}, set()), "a new one is started")
    await world.until(lambda: before not in world.states(successor, NAME), "the old one is gone")
    assert len(await world.until_ready(successor, NAME, 1)) == 1


async def test_a_silent_replica_is_found_when_it_is_taken_over(world: LocalWorld) -> None:
    compute = await started(world, 1)
    (silent,) = world.ids(compute, NAME)
    world.silence(compute, silent)
    successor = await world.restart(compute)
    await successor.apply(world.spec(NAME))
    await world.until(lambda: world.ids(successor, NAME) not in ({silent}, set()), "it is replaced")
    assert told(world, silent).ended_at_micros is not None


async def test_a_port_that_another_program_takes_is_changed(world: LocalWorld) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        world.ports = [int(other.getsockname()[1])]
        compute = await started(world, 1)
        (replica,) = compute.observe()
        assert replica.base_url is not None
        assert not replica.base_url.endswith(f":{other.getsockname()[1]}")
        assert world.ports == []
        assert len([each for each in world.seen if each.state is ReplicaState.FAILED]) == 0


async def test_each_request_has_its_share_of_the_time(world: LocalWorld) -> None:
    compute = await started(world, 1)
    (replica,) = world.ids(compute, NAME)
    one, other = compute.lease(NAME, replica), compute.lease(NAME, replica)
    assert one is not None
    assert other is not None
    begun = time.monotonic()
    await world.until(lambda: one.share_micros() >= 20_000, "time passes")
    passed = (time.monotonic() - begun) * MICROS
    assert one.share_micros() <= passed
    one.release()
    ended = one.share_micros()
    await world.until(lambda: other.share_micros() > ended + 10_000, "the other has all of it now")
    assert one.share_micros() == ended


async def test_an_embedded_model_that_is_silent_is_ended_and_wakes_anew(world: LocalWorld) -> None:
    compute = await world.make()
    embedded = replace(world.spec("small"), wanted=None, max_replicas=1, on_owner_loss=OwnerLoss.STOP)
    await compute.apply(embedded)
    await compute.scale("small", 3)
    lease = await compute.acquire("small", world.seconds)
    lease.release()
    world.silence(compute, "small-0")
    compute.report("small", "small-0", is_well=False)
    assert compute.ready("small") == ()
    again = await asyncio.gather(*(compute.acquire("small", world.seconds) for _ in range(2)), return_exceptions=True)
    assert [await world.ask(each.endpoint) for each in again if not isinstance(each, BaseException)] == [200, 200]
    assert "was silent: it gave no answer within 1.5 s" in " ".join(each.reason for each in world.seen)
    standing = compute.standing("small")
    assert standing is not None
    assert (standing.wanted, standing.ready) == (1, 1)
