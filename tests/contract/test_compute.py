"""The local compute driver over real toy processes: when replicas start, wait, sleep, crash and make room."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.deployment import OwnerLoss, Replica, ReplicaState
from headrace.domain.errors import EngineFailed
from headrace.drivers.compute.local import LocalCompute, LocalPolicy
from headrace.drivers.compute.local_deployment import Backoff
from headrace.drivers.compute.replica import Patience
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.testing.clock import FakeClock, FakeRandom
from tests.contract.toy_fleet import ToyEngine, ask, eventually, is_running, spec

pytestmark = pytest.mark.timeout(30)

ROOT = Path(__file__).parents[2]


class Bench:
    """One driver over real processes with a clock that the test moves; `seen` are all changes told to the observer."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = FakeClock()
        self.engine = ToyEngine("--starts", str(home / "starts"))
        self.seen: list[Replica] = []
        self.open: list[LocalCompute] = []

    def compute(self, *options: str, memory_bytes: int | None = None, ready_seconds: float = 10.0) -> LocalCompute:
        self.engine.options += options
        policy = LocalPolicy(memory_bytes, Patience(ready_seconds=ready_seconds), Backoff(first_seconds=8.0))
        supervisor = ProcessSupervisor(self.home, self.clock, FakeRandom())
        compute = LocalCompute({"toy": self.engine}, supervisor, self.clock, policy, self.seen.append)
        self.open.append(compute)
        return compute

    @property
    def starts(self) -> int:
        path = self.home / "starts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def states(self, compute: LocalCompute) -> dict[str, ReplicaState]:
        return {each.id: each.state for each in compute.observe()}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for compute in bench.open:
        await compute.close()


async def test_nothing_runs_before_it_is_needed_and_concurrent_acquires_start_it_once(bench: Bench) -> None:
    compute = bench.compute()
    await compute.apply(spec("small"))
    assert compute.observe() == []
    leases = await asyncio.gather(*(compute.acquire("small", 10.0) for _ in range(5)))
    assert bench.starts == 1
    assert {lease.endpoint for lease in leases} == {leases[0].endpoint}
    assert (await ask(leases[0].endpoint))[0] == 200
    assert [each.state for each in bench.seen] == ["starting", "starting", "ready"]


async def test_an_unknown_deployment_and_engine_are_refused(bench: Bench) -> None:
    compute = bench.compute()
    with pytest.raises(EngineFailed, match='Nothing runs of the deployment "nobody" yet'):
        await compute.acquire("nobody", 1.0)
    with pytest.raises(EngineFailed, match='No engine is named "other"; there are: toy'):
        await compute.apply(replace(spec("small"), engine="other"))


async def test_waiting_is_bounded_and_the_start_goes_on(bench: Bench) -> None:
    compute = bench.compute("--silent", "--talk", "2")
    await compute.apply(spec("small"))
    with pytest.raises(EngineFailed, match=r'"small" is still starting after 0.5 s; its last line: toy: line 1'):
        await compute.acquire("small", 0.5)
    assert bench.states(compute) == {"small-0": ReplicaState.STARTING}
    assert bench.starts == 1


async def test_an_engine_that_never_answers_is_ended(bench: Bench) -> None:
    compute = bench.compute("--silent", ready_seconds=0.4)
    await compute.apply(spec("small"))
    with pytest.raises(EngineFailed, match=r"gave no answer within 0\.4 s"):
        await compute.acquire("small", 10.0)
    (failed,) = compute.observe()
    assert failed.state is ReplicaState.FAILED
    assert failed.pid is not None
    assert not is_running(failed.pid)


async def test_failed_starts_back_off_and_then_succeed(bench: Bench) -> None:
    compute = bench.compute("--fail-starts", "2")
    await compute.apply(spec("small"))
    with pytest.raises(EngineFailed, match=r"while starting: it exited with status 1.*start 1 fails as asked"):
        await compute.acquire("small", 10.0)
    with pytest.raises(EngineFailed, match=r"start 2 fails as asked.*No new start before 8 s") as second:
        await compute.acquire("small", 10.0)
    assert second.value.retry_after_seconds == pytest.approx(8.0)
    bench.clock.advance(3.0)
    with pytest.raises(EngineFailed, match=r"start 2 fails as asked.*No new start before 5 s"):
        await compute.acquire("small", 1.0)
    assert bench.starts == 2
    (failed,) = compute.observe()
    assert failed.state is ReplicaState.FAILED
    assert "No new start before 5 s" in failed.reason
    bench.clock.advance(5.0)
    await compute.acquire("small", 10.0)
    assert bench.starts == 3
    assert bench.states(compute) == {"small-0": ReplicaState.READY}


async def test_a_request_waits_out_a_short_back_off(bench: Bench) -> None:
    compute = bench.compute("--fail-starts", "2")
    await compute.apply(spec("small"))
    for _ in range(2):
        with pytest.raises(EngineFailed):
            await compute.acquire("small", 5.0)
    bench.clock.advance(7.9)
    await compute.acquire("small", 10.0)
    assert bench.starts == 3


async def test_a_crash_is_seen_at_once_and_the_next_request_starts_anew(bench: Bench) -> None:
    compute = bench.compute()
    await compute.apply(spec("small"))
    lease = await compute.acquire("small", 10.0)
    await ask(lease.endpoint, "/crash")
    await eventually(lambda: bench.states(compute) == {"small-0": ReplicaState.FAILED}, 2.0)
    assert "ended while running: it exited with status 7" in compute.observe()[0].reason
    lease.release()
    again = await compute.acquire("small", 10.0)
    assert again.endpoint.base_url != lease.endpoint.base_url
    assert bench.states(compute) == {"small-0": ReplicaState.READY}


async def test_crashes_back_off_unless_it_ran_long_enough(bench: Bench) -> None:
    compute = bench.compute()
    await compute.apply(spec("small"))
    for uptime_seconds, may_start in ((0.0, True), (0.0, False), (60.0, True)):
        lease = await compute.acquire("small", 10.0)
        bench.clock.advance(uptime_seconds)
        await ask(lease.endpoint, "/crash")
        await eventually(lambda: bench.states(compute) == {"small-0": ReplicaState.FAILED}, 2.0)
        assert ("No new start before" not in compute.observe()[0].reason) is may_start
        if not may_start:
            bench.clock.advance(8.0)


async def test_an_idle_replica_sleeps_and_wakes(bench: Bench) -> None:
    compute = bench.compute()
    await compute.apply(spec("small", idle_seconds=60))
    lease = await compute.acquire("small", 10.0)
    bench.clock.advance(100.0)
    await compute.tick()
    assert bench.states(compute) == {"small-0": ReplicaState.READY}
    lease.release()
    lease.release()
    bench.clock.advance(59.0)
    await compute.tick()
    assert bench.states(compute) == {"small-0": ReplicaState.READY}
    pid = compute.observe()[0].pid
    bench.clock.advance(1.0)
    await compute.tick()
    assert compute.observe() == []
    assert pid is not None
    assert not is_running(pid)
    await compute.acquire("small", 10.0)
    assert bench.starts == 2


async def test_releasing_one_lease_twice_does_not_free_another(bench: Bench) -> None:
    compute = bench.compute()
    await compute.apply(spec("small", idle_seconds=1))
    first, _second = await compute.acquire("small", 10.0), await compute.acquire("small", 10.0)
    first.release()
    first.release()
    bench.clock.advance(5.0)
    await compute.tick()
    assert bench.states(compute) == {"small-0": ReplicaState.READY}


async def test_room_is_made_by_the_longest_idle(bench: Bench) -> None:
    compute = bench.compute(memory_bytes=250)
    for name in ("a", "b", "c"):
        await compute.apply(spec(name))
    for name in ("a", "b"):
        (await compute.acquire(name, 10.0)).release()
        bench.clock.advance(1.0)
    (await compute.acquire("a", 10.0)).release()
    held = await compute.acquire("c", 10.0)
    assert bench.states(compute) == {"a-0": ReplicaState.READY, "c-0": ReplicaState.READY}
    busy = await compute.acquire("a", 10.0)
    with pytest.raises(EngineFailed, match=r'no room for "b".*: a, c may not be put to sleep') as refused:
        await compute.acquire("b", 10.0)
    assert refused.value.retry_after_seconds == 5.0
    held.release()
    await compute.acquire("b", 10.0)
    assert bench.states(compute) == {"a-0": ReplicaState.READY, "b-0": ReplicaState.READY}
    busy.release()


async def test_what_can_never_fit_says_so(bench: Bench) -> None:
    compute = bench.compute(memory_bytes=99)
    await compute.apply(spec("small"))
    with pytest.raises(EngineFailed, match="Raise the memory limit"):
        await compute.acquire("small", 10.0)
    assert bench.starts == 0


async def test_two_starts_do_not_count_the_same_room(bench: Bench) -> None:
    compute = bench.compute(memory_bytes=150)
    await compute.apply(spec("a"))
    await compute.apply(spec("b"))
    results = await asyncio.gather(compute.acquire("a", 10.0), compute.acquire("b", 10.0), return_exceptions=True)
    assert sum(isinstance(each, EngineFailed) for each in results) == 1
    assert bench.starts == 1


async def test_a_full_replica_grows_a_second_one(bench: Bench) -> None:
    compute = bench.compute()
    await compute.apply(spec("small", slots=1, max_replicas=2))
    first = await compute.acquire("small", 10.0)
    assert (await compute.acquire("small", 10.0)).endpoint == first.endpoint
    await eventually(lambda: list(bench.states(compute).values()) == [ReplicaState.READY] * 2, 10.0)
    assert (await compute.acquire("small", 10.0)).endpoint != first.endpoint
    assert set(bench.states(compute)) == {"small-0", "small-1"}


async def test_the_least_number_is_kept_running(bench: Bench) -> None:
    compute = bench.compute()
    await compute.apply(spec("small", min_replicas=1, idle_seconds=1))
    await compute.tick()
    await eventually(lambda: bench.states(compute) == {"small-0": ReplicaState.READY}, 10.0)
    bench.clock.advance(100.0)
    await compute.tick()
    assert bench.states(compute) == {"small-0": ReplicaState.READY}


async def test_a_changed_deployment_takes_over_without_cutting_requests(bench: Bench) -> None:
    compute = bench.compute()
    await compute.apply(spec("small", slots=1))
    old = await compute.acquire("small", 10.0)
    await compute.apply(spec("small", slots=3))
    new = await compute.acquire("small", 10.0)
    assert new.endpoint != old.endpoint
    assert (await ask(old.endpoint))[0] == 200
    old.release()
    await compute.tick()
    assert set(bench.states(compute)) == {"small-1"}


async def test_remove_and_close_end_everything(bench: Bench) -> None:
    compute = bench.compute()
    for name in ("a", "b"):
        await compute.apply(spec(name))
        await compute.acquire(name, 10.0)
    pids = [each.pid for each in compute.observe() if each.pid is not None]
    await compute.remove("a")
    assert list(bench.states(compute)) == ["b-0"]
    with pytest.raises(EngineFailed, match="yet, or no more"):
        await compute.acquire("a", 1.0)
    await compute.close()
    assert len(pids) == 2
    assert not any(map(is_running, pids))
    with pytest.raises(EngineFailed, match="yet, or no more"):
        await compute.acquire("b", 1.0)


async def test_closing_in_the_middle_of_a_start_leaves_nothing(bench: Bench) -> None:
    compute = bench.compute("--silent")
    await compute.open()
    await compute.apply(spec("small"))
    waiting = asyncio.get_running_loop().create_task(compute.acquire("small", 10.0))
    await eventually(lambda: any(each.pid for each in compute.observe()), 5.0)
    (starting,) = compute.observe()
    await compute.close()
    with pytest.raises(EngineFailed):
        await waiting
    assert starting.pid is not None
    assert not is_running(starting.pid)


async def test_a_kept_replica_is_taken_over_and_left_running_at_the_end(bench: Bench) -> None:
    kept = replace(spec("small"), on_owner_loss=OwnerLoss.KEEP)
    gateway = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("toy_gateway.py")),
        str(bench.home),
        "small-0=keep",
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    assert gateway.stdout is not None
    warden, engine, _child = map(int, (await gateway.stdout.readline()).split())
    gateway.kill()
    await gateway.wait()
    # As of a version that noted no plan: it is taken for the present one.
    state = bench.home / "run" / "small-0.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"plan": ""}))
    compute = bench.compute()
    await compute.open()
    await compute.apply(kept)
    lease = await compute.acquire("small", 10.0)
    assert (await ask(lease.endpoint))[1]["pid"] == engine
    assert bench.starts == 0
    await compute.close()
    assert is_running(engine)
    successor = bench.compute()
    await successor.open()
    await successor.apply(kept)
    await successor.acquire("small", 10.0)
    await successor.remove("small")
    assert not any(map(is_running, (warden, engine)))
