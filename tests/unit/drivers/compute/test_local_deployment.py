"""What a scaled deployment of this machine does next: it comes to what is wanted, and serves meanwhile."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.dedicated import Wanted
from headrace.domain.deployment import DeploymentSpec, LaunchPlan, Replica, ReplicaState
from headrace.domain.errors import EngineFailed
from headrace.domain.plan import Endpoint
from headrace.drivers.compute.local_deployment import Backoff, LocalDeployment
from headrace.drivers.compute.replica import LiveReplica, Machine, Patience
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.testing.clock import FakeClock, FakeRandom
from tests.fakes.deployed import a_spec

SPEC = a_spec(id="di", max_replicas=9, wanted=Wanted("d", "m", "local", "none", "cpu", 0, 0, 9, 2, 512))
EARLIER = replace(SPEC, slots=1)
NOWHERE = Path("nowhere")


class NoEngine:
    """An engine that is only planned with."""

    name = "none"

    def launch(self, spec: DeploymentSpec, replica: str) -> LaunchPlan:
        return LaunchPlan(spec.id, replica, (str(spec.slots),), (), spec.memory_bytes, spec.on_owner_loss)

    async def ready(self, endpoint: Endpoint) -> bool:
        del endpoint
        return True

    async def load(self, endpoint: Endpoint) -> Mapping[str, float]:
        del endpoint
        return {}


class Bench:
    """A deployment whose starts are ready and whose drains are gone at once."""

    def __init__(self, wanted: int) -> None:
        self.clock = FakeClock()
        supervisor = ProcessSupervisor(NOWHERE, self.clock, FakeRandom())
        self.machine = Machine(supervisor, self.clock, Patience(), lambda _: None)
        self.entry = LocalDeployment(SPEC, NoEngine(), self.clock, Backoff())
        self.entry.wanted = wanted
        self.made = 0

    def add(self, spec: DeploymentSpec = SPEC, state: ReplicaState = ReplicaState.READY) -> LiveReplica:
        replica = LiveReplica(f"di-{self.made}", spec, NoEngine(), self.machine)
        replica.state = state
        self.made += 1
        self.entry.replicas.append(replica)
        return replica

    def stale(self) -> int:
        return sum(self.entry.is_stale(each) for each in self.entry.replicas)

    def step(self, most: int) -> None:
        """Take one step on a machine with room for `most` replicas."""
        steps = self.entry.steps()
        for each in steps.drains:
            self.entry.forget(each)
        for _ in range(steps.starts):
            if len(self.entry.replicas) >= most:
                self.entry.note_no_room(EngineFailed("There is no room."))
                return
            self.entry.trouble = None
            self.add()
            self.entry.note_ready()


SMALL = st.integers(0, 4)


@given(SMALL, SMALL, SMALL)
def test_with_room_for_one_more_it_never_serves_less_than_it_must(wanted: int, old: int, new: int) -> None:
    bench = Bench(wanted)
    for _ in range(old):
        bench.add(EARLIER)
    for _ in range(new):
        bench.add()
    least = min(wanted, old + new)
    for _ in range(20):
        bench.step(most=99)
        assert len(bench.entry.serving) >= least
        assert len(bench.entry.replicas) <= max(wanted + 1, old + new)
    assert (len(bench.entry.replicas), bench.stale()) == (wanted, 0)


@given(st.integers(1, 4), SMALL)
def test_without_room_for_one_more_it_is_replaced_one_by_one(wanted: int, new: int) -> None:
    bench = Bench(wanted)
    for number in range(wanted):
        bench.add(SPEC if number < new else EARLIER)
    for _ in range(40):
        bench.step(most=wanted)
        assert len(bench.entry.serving) >= wanted - 1
    assert (len(bench.entry.replicas), bench.stale()) == (wanted, 0)
    assert bench.entry.trouble is None


def test_those_that_start_and_those_with_fewest_requests_go_first() -> None:
    bench = Bench(1)
    busy, idle = bench.add(), bench.add()
    starting = bench.add(state=ReplicaState.STARTING)
    busy.last_used_at += 1
    assert bench.entry.steps().drains == [starting, idle]


def test_replicas_of_an_earlier_plan_wait_for_new_ones_that_start() -> None:
    bench = Bench(1)
    old = bench.add(EARLIER)
    new = bench.add(state=ReplicaState.STARTING)
    assert bench.entry.steps().drains == []
    bench.entry.note_no_room(EngineFailed("There is no room."))
    assert bench.entry.steps().drains == []
    new.state = ReplicaState.READY
    assert bench.entry.steps().drains == [old]


def test_a_suspect_does_not_serve_and_is_not_replaced_yet() -> None:
    bench = Bench(1)
    bench.add().is_suspect = True
    assert bench.entry.serving == []
    assert bench.entry.steps().starts == 0


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.0), (2, 1.0), (3, 2.0), (7, 32.0), (8, 60.0), (50, 60.0)])
def test_starts_back_off(failures: int, seconds: float) -> None:
    bench = Bench(1)
    for _ in range(failures):
        bench.entry.note_end(bench.add(state=ReplicaState.FAILED))
    assert bench.entry.retry_at - bench.clock.monotonic() == pytest.approx(seconds)
    assert len(bench.entry.replicas) == 1


def test_a_change_keeps_what_was_wanted_within_its_bounds() -> None:
    bench = Bench(3)
    bench.entry.change(replace(SPEC, max_replicas=2), NoEngine())
    assert bench.entry.wanted == 2
    bench.entry.change(replace(SPEC, min_replicas=4), NoEngine())
    assert bench.entry.wanted == 4


def test_it_stands_idle_since_its_last_request() -> None:
    bench = Bench(1)
    bench.add()
    bench.clock.advance(5.0)
    standing = bench.entry.standing()
    assert (standing.wanted, standing.ready, standing.in_flight, standing.idle_seconds) == (1, 1, 0, 5.0)
    bench.entry.line.append(object())
    assert bench.entry.standing().idle_seconds == 0.0


def test_requests_that_wait_go_in_the_order_of_their_coming_and_who_comes_later_waits_too() -> None:
    bench = Bench(1)
    first, second = object(), object()
    bench.entry.line.extend((first, second))
    assert not bench.entry.is_turn_of(first), "nobody is there"
    bench.add()
    changed = bench.entry.changed
    assert (bench.entry.is_turn_of(first), bench.entry.is_turn_of(second)) == (True, False)
    assert (bench.entry.ready(), bench.entry.waiting) == ((), 2)
    bench.entry.leave(first)
    assert changed.is_set() and bench.entry.is_turn_of(second), "the next one looks again"
    bench.entry.leave(second)
    assert [each.id for each in bench.entry.ready()] == ["di-0"]


def test_what_starts_is_not_idle_however_long_it_takes() -> None:
    bench = Bench(1)
    starting = bench.add(state=ReplicaState.STARTING)
    bench.clock.advance(3_600.0)
    assert bench.entry.standing().idle_seconds == 0
    starting.state = ReplicaState.FAILED
    assert bench.entry.standing().idle_seconds == 3_600


def test_a_request_that_gave_up_was_one() -> None:
    bench = Bench(0)
    bench.clock.advance(3_600.0)
    request = object()
    bench.entry.line.append(request)
    assert bench.entry.standing().idle_seconds == 0
    bench.entry.leave(request)
    bench.clock.advance(5.0)
    assert bench.entry.standing().idle_seconds == 5


def test_a_wake_is_timed_and_forgotten_when_nothing_is_wanted_any_more() -> None:
    bench = Bench(1)
    bench.entry.note_start()
    bench.clock.advance(2.0)
    bench.entry.want(0)
    bench.entry.want(1)
    bench.entry.note_start()
    bench.clock.advance(3.0)
    bench.entry.note_ready()
    assert bench.entry.standing().wake_seconds == pytest.approx(3.0)


def test_what_was_lost_is_seen_until_another_is_ready() -> None:
    bench = Bench(1)
    lost = Replica("di-9", "di", ReplicaState.FAILED, None, 7, 1, "gone", 2, 3)
    bench.entry.lost = [lost]
    assert bench.entry.seen() == [lost]
    bench.entry.note_ready()
    assert bench.entry.seen() == []
