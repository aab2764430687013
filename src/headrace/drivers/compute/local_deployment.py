"""One deployment of the local driver: its replicas, how many are wanted, and what follows; it starts nothing itself."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from headrace.domain.dedicated import Standing
from headrace.domain.deployment import DeploymentSpec, Replica, ReplicaState
from headrace.domain.errors import EngineFailed
from headrace.domain.picking import ReadyReplica
from headrace.drivers.compute.replica import LiveReplica
from headrace.drivers.compute.replica_file import plan_mark
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Engine

LIVE = (ReplicaState.STARTING, ReplicaState.READY)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long starts are put off, in seconds: after the second failure in a row, twice as long after each further one.

    A replica that was ready for `stable_seconds` begins the count anew. Where there is no room it is tried again after
    `room_seconds`.
    """

    first_seconds: float = 1.0
    most_seconds: float = 60.0
    stable_seconds: float = 60.0
    room_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Steps:
    """What brings a deployment nearer to what is wanted: so many starts, and these replicas to be drained."""

    starts: int
    drains: Sequence[LiveReplica]


@dataclass(slots=True)
class LocalDeployment:
    """A deployment with its replicas; times are seconds of the clock that never goes back.

    `wanted` is the number of replicas of a scaled one. `line` are the requests that wait for a replica, in order.
    `trouble` is why the last start had no room, `lost` are replicas that ended while nobody watched.
    """

    spec: DeploymentSpec
    engine: Engine
    clock: Clock
    backoff: Backoff
    mark: str = ""
    replicas: list[LiveReplica] = field(default_factory=list["LiveReplica"])
    wanted: int = 0
    line: deque[object] = field(default_factory=deque[object])
    failures: int = 0
    retry_at: float = 0.0
    last_used_at: float = 0.0
    starting: asyncio.Task[None] | None = None
    trouble: Replica | None = None
    lost: Sequence[Replica] = ()
    wake_began_at: float | None = None
    wake_seconds: float | None = None
    is_due: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Begin with the least number, as if it had just been used."""
        self.mark = plan_mark(self.engine.launch(self.spec, ""))
        self.wanted = self.spec.min_replicas
        self.last_used_at = self.clock.monotonic()

    def change(self, spec: DeploymentSpec, engine: Engine) -> None:
        """Take another specification, and try at once what failed before."""
        self.mark = plan_mark(engine.launch(spec, ""))
        self.spec, self.engine, self.failures, self.retry_at = spec, engine, 0, 0.0
        self.trouble = None
        self.wanted = min(max(self.wanted, spec.min_replicas), spec.max_replicas)

    def want(self, replicas: int) -> None:
        """Want so many replicas from now on."""
        self.wanted = max(0, replicas)
        if not self.wanted:
            self.wake_began_at = None
        if self.trouble is not None:
            self.trouble, self.retry_at = None, 0.0
        self.pulse()

    @property
    def live(self) -> list[LiveReplica]:
        """Replicas that run or end."""
        return [each for each in self.replicas if each.state is not ReplicaState.FAILED]

    @property
    def current(self) -> list[LiveReplica]:
        """Replicas that run, or will run, as the specification says now."""
        return [each for each in self.replicas if each.state in LIVE and not self.is_stale(each)]

    @property
    def serving(self) -> list[LiveReplica]:
        """Replicas that can be sent to: of a scaled one those of an earlier plan too, until they are replaced."""
        served = self.replicas if self.spec.is_scaled else self.current
        return [each for each in served if each.takes_requests]

    def is_stale(self, replica: LiveReplica) -> bool:
        """Whether it runs by another plan than the specification's."""
        return replica.mark != self.mark

    def may_sleep(self, replica: LiveReplica) -> bool:
        """Whether a replica of an embedded model has been idle for long, or runs by another plan."""
        if not replica.is_idle:
            return False
        if self.is_stale(replica):
            return True
        idle_seconds = self.clock.monotonic() - replica.last_used_at
        return 0 < self.spec.idle_seconds <= idle_seconds and len(self.current) > self.spec.min_replicas

    @property
    def may_start(self) -> bool:
        """Whether no failure puts the next start off."""
        return self.clock.monotonic() >= self.retry_at

    @property
    def grows(self) -> bool:
        """Whether a full replica is followed by another one of itself; nobody else says how many there are."""
        return not self.spec.is_scaled and len(self.current) < self.spec.max_replicas and self.may_start

    @property
    def waiting(self) -> int:
        """How many requests wait for a replica."""
        return len(self.line)

    @property
    def has_room(self) -> bool:
        """Whether a request may be sent now: not to a replica with all that it can take while another one starts."""
        serving = self.serving
        if not self.spec.is_scaled or not any(each.state is ReplicaState.STARTING for each in self.current):
            return bool(serving)
        return any(each.leases < self.spec.slots for each in serving)

    def is_turn_of(self, request: object) -> bool:
        """Whether a waiting request may be sent now; those of a scaled deployment go in the order of their coming."""
        return self.has_room and (not self.spec.is_scaled or next(iter(self.line), request) is request)

    def leave(self, request: object) -> None:
        """Note that a request waits no more; the next one may have come too late to hear of the room that is left."""
        self.line.remove(request)
        self.last_used_at = self.clock.monotonic()
        if self.line and self.has_room:
            self.pulse()

    def ready(self) -> tuple[ReadyReplica, ...]:
        """Return the replicas that can be sent to now; none of a scaled one where earlier requests wait for them."""
        if self.line and self.spec.is_scaled:
            return ()
        return tuple(ReadyReplica(each.name, each.leases) for each in self.serving)

    def silent(self, seconds: float) -> list[LiveReplica]:
        """Return the ready replicas that nothing was heard of for so long."""
        since = self.clock.monotonic() - seconds
        return [each for each in self.replicas if each.has_shown_itself and each.heard_at <= since]

    def find(self, name: str) -> LiveReplica | None:
        """Return the replica of this name."""
        return next((each for each in self.replicas if each.name == name), None)

    def steps(self) -> Steps:
        """Return what to do next for a scaled deployment.

        A replica of an earlier plan is drained when the ready ones without it are as many as wanted. One more than
        wanted may run meanwhile; where there is no room for it, one is drained first.
        """
        current = self.current
        stale = [each for each in self.replicas if each.state in LIVE and self.is_stale(each)]
        old = sorted((each for each in stale if each.state is ReplicaState.READY), key=lambda each: each.leases)
        drains = [each for each in stale if each.state is ReplicaState.STARTING]
        ready = [each for each in current if each.takes_requests]
        spare = len(ready) + len(old) - self.wanted
        if spare <= 0 and self.trouble is not None and len(ready) == len(current) and not self._is_draining:
            spare = 1
        drains += old[: max(0, spare)]
        surplus = sorted(current, key=lambda each: (each.state is ReplicaState.READY, each.leases, -_number(each.name)))
        drains += surplus[: max(0, len(current) - self.wanted)]
        missing = self.wanted - len(current)
        return Steps(max(0, min(missing, self.wanted + 1 - len(current) - len(old))), drains)

    def standing(self) -> Standing:
        """Return how it stands now."""
        in_flight = sum(each.leases for each in self.replicas)
        used_at = max((each.last_used_at for each in self.replicas if each.state in LIVE), default=self.last_used_at)
        current = self.current
        starting = sum(each.state is ReplicaState.STARTING for each in current)
        # What was asked for and has not come yet is not idle, however long it takes.
        is_used = in_flight > 0 or self.waiting > 0 or starting > 0
        return Standing(
            wanted=self.wanted if self.spec.is_scaled else len(current),
            ready=len(self.serving),
            starting=starting,
            in_flight=in_flight,
            waiting=self.waiting,
            idle_seconds=0.0 if is_used else max(0.0, self.clock.monotonic() - max(used_at, self.last_used_at)),
            wake_seconds=self.wake_seconds,
        )

    def seen(self) -> list[Replica]:
        """Return its replicas as last seen; a failed one says when the next start is tried."""
        found = [replace(each.seen(), is_current=not self.is_stale(each)) for each in self.replicas]
        if self.trouble is not None:
            found.append(self.trouble)
        told = [replace(each, reason=self.with_retry(each.reason)) if each.reason else each for each in found]
        return [*self.lost, *told]

    def note_end(self, replica: LiveReplica) -> None:
        """Note a crash or a failed start and when the next one may be tried."""
        now = self.clock.monotonic()
        if replica.was_ready_at is not None and now - replica.was_ready_at >= self.backoff.stable_seconds:
            self.failures = 0
        self.failures += 1
        wait = 0.0
        if self.failures > 1:
            wait = self.backoff.first_seconds * 2.0 ** min(self.failures - 2, 32)
        self.retry_at = now + min(wait, self.backoff.most_seconds)
        if self.spec.is_scaled:
            self.replicas = [each for each in self.replicas if each is replica or each.state is not ReplicaState.FAILED]

    def note_no_room(self, failure: EngineFailed) -> None:
        """Note that a start has no room now, and when it is tried again."""
        self.retry_at = self.clock.monotonic() + self.backoff.room_seconds
        self.trouble = Replica(
            id=f"{self.spec.id}-none",
            deployment=self.spec.id,
            state=ReplicaState.FAILED,
            base_url=None,
            pid=None,
            started_at_micros=self.clock.unix_micros(),
            reason=failure.message,
        )

    def note_start(self) -> None:
        """Note that a replica is started; where none is ready, that is how long a wake takes."""
        if self.wake_began_at is None and not self.serving:
            self.wake_began_at = self.clock.monotonic()

    def note_ready(self) -> None:
        """Note that a replica has become ready: what failed before is over."""
        self.trouble, self.lost = None, ()
        if self.spec.is_scaled:
            self.replicas = self.live
        if self.wake_began_at is not None:
            self.wake_seconds = self.clock.monotonic() - self.wake_began_at
            self.wake_began_at = None

    def forget(self, replica: LiveReplica) -> None:
        """Drop a replica that is gone."""
        self.last_used_at = max(self.last_used_at, replica.last_used_at)
        if replica in self.replicas:
            self.replicas.remove(replica)

    def note_release(self) -> None:
        """Note that a request has ended: who waits for a free slot looks again."""
        if self.line:
            self.pulse()

    def pulse(self) -> None:
        """Wake whoever waits for a change."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    @property
    def trouble_reason(self) -> str:
        """Why it does not run, or an empty text."""
        if self.trouble is not None:
            return self.trouble.reason
        return next((each.reason for each in self.replicas if each.state is ReplicaState.FAILED), "")

    def failed(self, reason: str) -> EngineFailed:
        """Return the error of a start that failed, with when it is tried again."""
        wait = max(1.0, self.retry_at - self.clock.monotonic())
        return EngineFailed(self.with_retry(reason), retry_after_seconds=wait)

    def with_retry(self, reason: str) -> str:
        """Return the reason with when the next start is tried."""
        wait = self.retry_at - self.clock.monotonic()
        if wait >= 1:
            return f"{reason.rstrip('.')}. No new start before {math.ceil(round(wait, 3))} s."
        when = "It is started again." if self.spec.is_scaled else "The next request starts it again."
        return f"{reason.rstrip('.')}. {when}"

    def not_in_time(self, wait_seconds: float) -> EngineFailed:
        """Return the error of a request that has waited long enough."""
        if self.spec.is_scaled and self.trouble_reason:
            return self.failed(self.trouble_reason)
        unsettled = [each for each in self.current if not each.settled.is_set()]
        state = "is still starting" if unsettled else "waits for another model to stop"
        line = f"; its last line: {unsettled[0].last_line}" if unsettled and unsettled[0].last_line else ""
        return EngineFailed(
            f'The engine of "{self.spec.called}" {state} after {wait_seconds:g} s{line}. Retry in a moment.',
            retry_after_seconds=2.0,
        )

    @property
    def _is_draining(self) -> bool:
        return any(each.state is ReplicaState.STOPPING for each in self.replicas)


def _number(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
