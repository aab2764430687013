"""Replicas of the local driver that answer without working, that load for long, and a machine that fails them."""

import asyncio
import resource
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.errors import EngineFailed
from headrace.domain.plan import Endpoint
from headrace.drivers.compute.devices import Device, DeviceBook
from headrace.drivers.compute.local import LocalCompute
from headrace.drivers.compute.processes import identity, wait_ended
from tests.contract.compute_contract import NAME
from tests.contract.local_world import LocalWorld
from tests.contract.toy_fleet import ToyEngine, spec

pytestmark = pytest.mark.timeout(30)


class Moody(ToyEngine):
    """Gives tokens, refuses them, lets whoever asks wait while it says that it is busy, or says nothing of its load."""

    def __init__(self) -> None:
        super().__init__()
        self.mood = "well"

    async def ready(self, endpoint: Endpoint) -> bool:
        if self.mood == "hanging":
            await asyncio.Event().wait()
        return self.mood == "well" and await super().ready(endpoint)

    async def load(self, endpoint: Endpoint) -> Mapping[str, float]:
        del endpoint
        if self.mood == "mute":
            await asyncio.Event().wait()
        return {"running": 1.0}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LocalWorld]:
    made = LocalWorld(tmp_path)
    made.engine = Moody()
    yield made
    await made.close()


async def one_replica(world: LocalWorld) -> tuple[LocalCompute, str, Moody]:
    compute = await world.make()
    await compute.apply(world.spec(NAME))
    await compute.scale(NAME, 1)
    (replica,) = await world.until_ready(compute, NAME, 1)
    assert isinstance(world.engine, Moody)
    return compute, replica, world.engine


def reasons(world: LocalWorld, replica: str) -> Sequence[str]:
    return [each.reason for each in world.seen if each.id == replica and each.reason]


async def test_one_that_answers_every_request_by_an_error_is_replaced(world: LocalWorld) -> None:
    compute, replica, engine = await one_replica(world)
    engine.mood = "refusing"
    compute.report(NAME, replica, is_well=False)
    await world.until(lambda: bool(reasons(world, replica)), "it is given up")
    assert reasons(world, replica)[0] == f'The engine of "{NAME}" refused: it replied, but gave no token.'
    engine.mood = "well"
    assert await world.until_ready(compute, NAME, 1) != {replica}


async def test_one_that_refuses_keeps_the_requests_that_it_has_and_gets_no_others(world: LocalWorld) -> None:
    compute, replica, engine = await one_replica(world)
    lease = compute.lease(NAME, replica)
    assert lease is not None
    engine.mood = "refusing"
    compute.report(NAME, replica, is_well=False)
    assert list(compute.ready(NAME)) == []
    asked = engine.probes
    await asyncio.sleep(1.3 * world.patience.pulse_seconds)
    assert (list(compute.ready(NAME)), reasons(world, replica)) == ([], [])
    lease.release()
    await world.until(lambda: bool(reasons(world, replica)), "it is given up when nothing is left to end")
    assert engine.probes == asked
    engine.mood = "well"
    await world.until_ready(compute, NAME, 1)


async def test_one_that_refused_once_serves_again(world: LocalWorld) -> None:
    compute, replica, _ = await one_replica(world)
    compute.report(NAME, replica, is_well=False)
    assert list(compute.ready(NAME)) == []
    await world.until_ready(compute, NAME, 1)
    assert world.ids(compute, NAME) == {replica}


async def test_one_that_only_says_that_it_is_busy_is_believed_for_a_while(world: LocalWorld) -> None:
    world.patience = replace(world.patience, pulse_seconds=0.2, probe_seconds=0.2, word_seconds=1.0)
    compute, replica, engine = await one_replica(world)
    engine.mood = "hanging"
    compute.report(NAME, replica, is_well=False)
    await world.until(lambda: len(compute.ready(NAME)) == 1, "its word is taken")
    assert reasons(world, replica) == []
    await world.until(lambda: bool(reasons(world, replica)), "but not for ever")
    assert reasons(world, replica)[0].endswith("was of no use: for 1 s it gave no token and ended no request well.")
    engine.mood = "well"
    assert await world.until_ready(compute, NAME, 1) != {replica}


async def test_a_request_that_ends_well_speaks_for_it(world: LocalWorld) -> None:
    world.patience = replace(world.patience, pulse_seconds=0.2, probe_seconds=0.1, word_seconds=0.5)
    compute, replica, engine = await one_replica(world)
    engine.mood = "hanging"
    for _ in range(12):
        compute.report(NAME, replica, is_well=False)
        await asyncio.sleep(0.15)
        compute.report(NAME, replica, is_well=True)
    assert (reasons(world, replica), world.ids(compute, NAME)) == ([], {replica})


async def test_a_start_that_comes_to_no_token_is_ended_and_tried_again(world: LocalWorld) -> None:
    world.patience = replace(world.patience, ready_seconds=0.1, load_seconds=0.6)
    world.engine.options = ("--starts", str(world.home / "starts"), "--silent-starts", "1")
    compute = await world.make()
    await compute.apply(world.spec(NAME))
    lease = await compute.acquire(NAME, world.seconds)
    failed = [each for each in world.seen if each.state is ReplicaState.FAILED]
    assert [each.reason.partition(";")[0] for each in failed] == [f'The engine of "{NAME}" gave no answer within 0.6 s']
    lease.release()


async def test_a_full_disk_costs_no_replica(world: LocalWorld) -> None:
    compute = await world.make()
    await compute.apply(world.spec(NAME))
    names = [f"{NAME}-{number}" for number in range(3)]
    (world.home / "run").mkdir()
    for name in names[1:]:
        (world.home / "run" / f"{name}.partial").mkdir()
    await compute.scale(NAME, 1)
    assert await world.until_ready(compute, NAME, 1) == {names[0]}
    await compute.scale(NAME, 2)
    await world.until(lambda: bool(reasons(world, names[1])), "a state that cannot be written fails the start")
    assert reasons(world, names[1])[0].startswith("The engine could not be started: [Errno")
    for name in names[1:]:
        (world.home / "run" / f"{name}.partial").rmdir()
    await world.until_ready(compute, NAME, 2)
    assert len(world.pids(NAME)) == 2


async def test_a_ready_replica_whose_file_cannot_be_written_serves(world: LocalWorld) -> None:
    partial = world.home / "run" / f"{NAME}-0.partial"

    def hear(replica: Replica) -> None:
        world.seen.append(replica)
        if replica.state is ReplicaState.STARTING and replica.pid is not None:
            partial.mkdir()

    world.hear = hear
    compute, replica, _ = await one_replica(world)
    assert partial.is_dir()
    await asyncio.sleep(0.3)
    assert (reasons(world, replica), world.ids(compute, NAME)) == ([], {replica})
    partial.rmdir()


class SlowDevices:
    """The maker's tool takes its time."""

    def __init__(self) -> None:
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def look(self) -> Sequence[Device]:
        self.is_asked.set()
        await self.may_answer.wait()
        return (Device(0, 80_000, 4),)


async def test_who_waits_for_what_is_removed_meanwhile_is_told_so(tmp_path: Path) -> None:
    probe = SlowDevices()
    world = LocalWorld(tmp_path, DeviceBook(probe))
    compute = await world.make()
    embedded = replace(spec("toy"), gpus=1)
    await compute.apply(embedded)
    loop = asyncio.get_running_loop()
    waiting = loop.create_task(compute.acquire("toy", world.seconds))
    await probe.is_asked.wait()
    removing = loop.create_task(compute.remove("toy"))
    await asyncio.sleep(0)
    probe.may_answer.set()
    await removing
    with pytest.raises(EngineFailed, match="yet, or no more; its status says why"):
        await waiting
    assert world.pids("toy") == set()
    await world.close()


async def test_logs_of_a_deployment_that_was_never_taken_over_go_with_it(world: LocalWorld) -> None:
    compute, _, _ = await one_replica(world)
    successor = await world.restart(compute)
    assert list((world.home / "logs").glob(f"{NAME}-*")) != []
    await successor.remove(NAME)
    assert list((world.home / "logs").glob(f"{NAME}-*")) == []
    assert world.pids(NAME) == set()


async def test_a_look_that_fails_is_not_the_last(world: LocalWorld) -> None:
    compute = await world.make()
    failures, looked, told = [1], asyncio.Event(), list[str]()

    async def tick() -> None:
        if failures:
            raise OSError(failures.pop(), "no look now")
        looked.set()

    compute.tick = tick
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: told.append(context["message"]))
    async with asyncio.timeout(world.seconds):
        await looked.wait()
    assert told == ["compute tick failed"]


async def test_figures_are_not_waited_for_long(world: LocalWorld) -> None:
    compute, replica, engine = await one_replica(world)
    assert await compute.figures(NAME) == {replica: {"running": 1.0}}
    engine.mood = "mute"
    assert await compute.figures(NAME) == {replica: {}}
    engine.mood = "well"


@contextmanager
def no_file_descriptors() -> Generator[None]:
    """Let this process open nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_a_file_descriptor_left_nothing_counts_as_ended(world: LocalWorld) -> None:
    compute, replica, _ = await one_replica(world)
    pid = world.engine_pid(compute, replica)
    engine = identity(pid)
    assert engine is not None
    with no_file_descriptors():
        assert engine.alive
        ended = asyncio.get_running_loop().create_task(wait_ended(engine))
        await asyncio.sleep(0)
        assert not ended.done()
    world.kill(compute, replica)
    async with asyncio.timeout(world.seconds):
        await ended
    assert not engine.alive
