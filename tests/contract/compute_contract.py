"""The one contract suite of compute drivers, run by each driver's test class over its own world."""

from __future__ import annotations

import asyncio

import pytest

from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.errors import EngineFailed
from headrace.ports.fleet import Compute, Lease
from tests.contract.compute_world import ComputeWorld

NAME = "dep-one"
GONE = (ReplicaState.FAILED, ReplicaState.STOPPING)


class Load:
    """Requests one after the other in several lines, each over a lease of the moment; `failed` are their statuses."""

    def __init__(self, world: ComputeWorld, compute: Compute, lines: int = 4) -> None:
        self._world, self._compute, self._lines = world, compute, lines
        self._is_over = False
        self._tasks: list[asyncio.Task[None]] = []
        self.answered = 0
        self.failed: list[int] = []

    async def __aenter__(self) -> Load:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._line()) for _ in range(self._lines)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def more(self, count: int) -> None:
        """Wait until so many further requests were answered."""
        goal = self.answered + count
        await self._world.until(lambda: self.answered >= goal, f"{count} more answers under load")

    async def _line(self) -> None:
        while not self._is_over:
            lease = await self._compute.acquire(NAME, self._world.seconds)
            try:
                status = await self._world.ask(lease.endpoint)
            finally:
                lease.release()
            if status == 200:
                self.answered += 1
            else:
                self.failed.append(status)


def one(leases: Lease | None) -> Lease:
    assert leases is not None
    return leases


def of(compute: Compute, replica: str) -> Replica:
    (found,) = [each for each in compute.observe() if each.id == replica]
    return found


class ComputeContract:
    """What every driver does; inherit it and give a fixture `world`."""

    async def test_what_is_not_known_is_refused(self, world: ComputeWorld) -> None:
        compute = await world.make()
        assert compute.standing("nobody") is None
        assert list(compute.ready("nobody")) == []
        assert compute.lease("nobody", "nobody-0") is None
        with pytest.raises(EngineFailed):
            await compute.acquire("nobody", 1.0)
        compute.report("nobody", "nobody-0", is_well=False)
        await compute.remove("nobody")

    async def test_a_deployment_comes_up_and_answers(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        await world.resize(compute, spec, 1)
        (replica,) = await world.until_ready(compute, NAME, 1)
        lease = one(compute.lease(NAME, replica))
        assert lease.endpoint.replica == replica
        assert [each.in_flight for each in compute.ready(NAME)] == [1]
        assert await world.ask(lease.endpoint) == 200
        lease.release()
        lease.release()
        assert [each.in_flight for each in compute.ready(NAME)] == [0]
        assert lease.share_micros() >= 0
        standing = compute.standing(NAME)
        assert standing is not None
        assert (standing.wanted, standing.ready, standing.starting, standing.in_flight) == (1, 1, 0, 0)
        seen = of(compute, replica)
        assert seen.ready_at_micros is not None
        assert seen.started_at_micros <= seen.ready_at_micros
        assert seen.ended_at_micros is None
        assert any(each.id == replica and each.state is ReplicaState.READY for each in world.seen)

    async def test_steps_may_be_repeated(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        spec = await world.resize(compute, spec, 1)
        before = await world.until_ready(compute, NAME, 1)
        for _ in range(3):
            await compute.apply(spec)
            await world.resize(compute, spec, 1)
        assert world.ids(compute, NAME) == before
        assert len(world.states(compute, NAME)) == 1

    async def test_the_first_requests_wake_one_replica_together(self, world: ComputeWorld) -> None:
        compute = await world.make()
        await compute.apply(world.spec(NAME))
        standing = compute.standing(NAME)
        assert standing is not None
        assert (standing.ready, standing.wake_seconds) == (0, None)
        leases = await asyncio.gather(*(compute.acquire(NAME, world.seconds) for _ in range(4)))
        assert len({each.endpoint.replica for each in leases}) == 1
        assert [await world.ask(each.endpoint) for each in leases] == [200] * 4
        for lease in leases:
            lease.release()
        standing = compute.standing(NAME)
        assert standing is not None
        assert (standing.ready, standing.waiting) == (1, 0)
        assert standing.wake_seconds is not None

    async def test_it_grows_and_its_replicas_differ(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        await world.resize(compute, spec, 2)
        ids = await world.until_ready(compute, NAME, 2)
        leases = [one(compute.lease(NAME, each)) for each in ids]
        assert {each.endpoint.replica for each in leases} == ids
        for lease in leases:
            assert await world.ask(lease.endpoint) == 200
            lease.release()

    async def test_what_is_scaled_in_ends_its_requests_first(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        spec = await world.resize(compute, spec, 2)
        ids = await world.until_ready(compute, NAME, 2)
        leases = [one(compute.lease(NAME, each)) for each in ids]
        held = [await world.hold(each.endpoint) for each in leases]
        await world.resize(compute, spec, 1)
        (kept,) = await world.until_ready(compute, NAME, 1)
        (left,) = ids - {kept}
        assert compute.lease(NAME, left) is None
        for request, lease in zip(held, leases, strict=True):
            assert await request.finish() == 200
            lease.release()
        await world.until(lambda: set(world.states(compute, NAME)) == {kept}, "the drained replica is gone")
        if world.sees_processes:
            await world.until(lambda: len(world.pids(NAME)) == 1, "its process is gone")

    async def test_down_to_nothing_and_up_again(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        spec = await world.resize(compute, spec, 1)
        await world.until_ready(compute, NAME, 1)
        spec = await world.resize(compute, spec, 0)
        await world.until(lambda: world.states(compute, NAME) == {}, "no replica is left")
        lease = await compute.acquire(NAME, world.seconds)
        assert await world.ask(lease.endpoint) == 200
        lease.release()

    async def test_replacing_drops_no_request(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME, slots=2)
        await compute.apply(spec)
        await world.resize(compute, spec, 2)
        before = await world.until_ready(compute, NAME, 2)
        async with Load(world, compute) as load:
            await load.more(4)
            changed = world.spec(NAME, slots=3)
            await compute.apply(changed)
            await world.resize(compute, changed, 2)
            await world.until(
                lambda: not before & set(world.states(compute, NAME)) and len(compute.ready(NAME)) == 2,
                "two replicas of the new plan and none of the old one",
            )
            await load.more(4)
        assert load.failed == []

    async def test_a_well_replica_that_is_reported_goes_on(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        await world.resize(compute, spec, 1)
        (replica,) = await world.until_ready(compute, NAME, 1)
        compute.report(NAME, replica, is_well=False)
        compute.report(NAME, replica, is_well=True)
        assert await world.until_ready(compute, NAME, 1) == {replica}

    async def test_another_control_plane_takes_over_what_runs(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        spec = await world.resize(compute, spec, 2)
        ids = await world.until_ready(compute, NAME, 2)
        before = {each: of(compute, each) for each in ids}
        successor = await world.restart(compute)
        await successor.apply(spec)
        await world.resize(successor, spec, 2)
        assert await world.until_ready(successor, NAME, 2) == ids
        for name, replica in before.items():
            after = of(successor, name)
            assert (after.pid, after.started_at_micros, after.ready_at_micros) == (
                replica.pid,
                replica.started_at_micros,
                replica.ready_at_micros,
            )
        assert [each.in_flight for each in successor.ready(NAME)] == [0, 0]
        lease = await successor.acquire(NAME, world.seconds)
        assert await world.ask(lease.endpoint) == 200
        lease.release()

    async def test_removing_leaves_nothing(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        await world.resize(compute, spec, 2)
        await world.until_ready(compute, NAME, 2)
        await compute.remove(NAME)
        assert world.states(compute, NAME) == {}
        assert compute.standing(NAME) is None
        if world.sees_processes:
            await world.until(lambda: world.pids(NAME) == set(), "every process is gone")
        with pytest.raises(EngineFailed):
            await compute.acquire(NAME, 1.0)

    async def test_removing_in_the_middle_of_a_start_leaves_nothing(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        await world.resize(compute, spec, 1)
        await world.until(lambda: world.states(compute, NAME) != {}, "a replica is seen")
        await compute.remove(NAME)
        assert world.states(compute, NAME) == {}
        if world.sees_processes:
            await world.until(lambda: world.pids(NAME) == set(), "every process is gone")

    async def test_what_nobody_knows_any_more_is_ended(self, world: ComputeWorld) -> None:
        compute = await world.make()
        for name in (NAME, "dep-two"):
            spec = world.spec(name)
            await compute.apply(spec)
            await world.resize(compute, spec, 1)
        await world.until_ready(compute, NAME, 1)
        await world.until_ready(compute, "dep-two", 1)
        successor = await world.restart(compute)
        spec = world.spec("dep-two")
        await successor.apply(spec)
        await world.resize(successor, spec, 1)
        await world.end_unknown(successor, {"dep-two"})
        if world.sees_processes:
            await world.until(lambda: world.pids(NAME) == set(), "every process of the unknown deployment is gone")
        await world.until_ready(successor, "dep-two", 1)


class ProcessContract:
    """What drivers do whose replicas are processes that can be reached: inherit it beside `ComputeContract`."""

    async def test_a_crash_is_told_and_made_good(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        await world.resize(compute, spec, 2)
        ids = sorted(await world.until_ready(compute, NAME, 2))
        before = world.pids(NAME)
        world.kill(compute, ids[0])
        await world.until(
            lambda: any(each.id == ids[0] and each.ended_at_micros is not None for each in world.seen),
            "the crash is told with its time",
        )
        await world.until(
            lambda: len(compute.ready(NAME)) == 2 and len(world.pids(NAME) - before) == 1, "it is replaced"
        )

    async def test_a_silent_replica_that_is_reported_is_left_out_and_replaced(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        await world.resize(compute, spec, 2)
        ids = sorted(await world.until_ready(compute, NAME, 2))
        before = world.pids(NAME)
        world.silence(compute, ids[0])
        compute.report(NAME, ids[0], is_well=False)
        await world.until(lambda: ids[0] not in world.ids(compute, NAME) or self._is_new(world, before), "left out")
        await world.until(
            lambda: len(compute.ready(NAME)) == 2 and self._is_new(world, before), "a new replica in its place"
        )

    async def test_a_silent_replica_is_found_without_a_request(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        await world.resize(compute, spec, 1)
        (silent,) = await world.until_ready(compute, NAME, 1)
        before = world.pids(NAME)
        world.silence(compute, silent)
        await world.until(
            lambda: len(compute.ready(NAME)) == 1 and self._is_new(world, before), "a new replica in its place"
        )

    @staticmethod
    def _is_new(world: ComputeWorld, before: set[int]) -> bool:
        now = world.pids(NAME)
        return len(now) == len(before) and len(now - before) == 1


class LogContract:
    """What drivers do that give logs: inherit it beside `ComputeContract`."""

    async def test_logs_are_read_of_each_replica(self, world: ComputeWorld) -> None:
        compute = await world.make()
        spec = world.spec(NAME)
        await compute.apply(spec)
        await world.resize(compute, spec, 2)
        ids = await world.until_ready(compute, NAME, 2)
        logs = await compute.logs(NAME, None, 5)
        assert set(logs) >= ids
        assert all(0 < len(lines) <= 5 for lines in logs.values())
        (first, *_) = ids
        assert set(await compute.logs(NAME, first, 1)) == {first}
        assert await compute.logs("nobody", None, 5) == {}
