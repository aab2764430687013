"""One deployment in a cluster as we see it: its replicas, their requests of us, and who waits; asks nobody anything."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from headrace.domain.dedicated import Standing
from headrace.domain.deployment import DeploymentSpec, Replica, ReplicaState
from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Endpoint
from headrace.domain.sharing import SharedTime
from headrace.drivers.compute.ray.cluster import DEPLOY_FAILED, SeenApplication, SeenReplica
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Lease

MICROS = 1_000_000
DOUBTED = 2
LIVE = (ReplicaState.STARTING, ReplicaState.READY)
_STATES: Mapping[str, ReplicaState] = {
    "RUNNING": ReplicaState.READY,
    "STARTING": ReplicaState.STARTING,
    "STOPPING": ReplicaState.STOPPING,
}


class RayReplica:
    """A replica with the requests that it has of us; it is left out until `rests_until` of the monotonic clock.

    `failures` are its requests that failed one after the other, the last of them at `failed_at`. `proxy` is the address
    that the last request to it went through.
    """

    def __init__(self, deployment: str, seen: SeenReplica, clock: Clock) -> None:
        self.id = seen.replica_id
        self.node = seen.node_id or ""
        self.state = ReplicaState.STARTING
        self.reason = ""
        self.pid = seen.pid
        self.started_at_micros = round(seen.start_time_s * MICROS)
        self.ready_at_micros: int | None = None
        self.ended_at_micros: int | None = None
        self.rests_until = 0.0
        self.failures = 0
        self.failed_at = -math.inf
        self.proxy: str | None = None
        self._deployment = deployment
        self._clock = clock
        self._shared = SharedTime(self._now())

    @property
    def leases(self) -> int:
        """How many requests it has of us."""
        return self._shared.requests

    def state_in(self, seen: SeenReplica) -> ReplicaState:
        """Return its state in our words; what Ray moves or recovers is what it was."""
        return _STATES.get(seen.state, self.state)

    def answered(self) -> None:
        """Note that it answered a request."""
        self.rests_until, self.failures = 0.0, 0

    def failed(self, now: float, rest_seconds: float) -> None:
        """Note that it did not, and leave it out for so long."""
        self.rests_until, self.failures, self.failed_at = now + rest_seconds, self.failures + 1, now

    def lease(self, endpoint: Endpoint, on_release: Callable[[], None]) -> Lease:
        """Return the right to send one request to this endpoint."""
        self._shared = self._shared.with_one_more(self._now())
        began, share = self._shared.served_picos, None

        def share_micros() -> int:
            if share is not None:
                return share
            return self._shared.until(self._now()).share_micros(began)

        def release() -> None:
            nonlocal share
            if share is None:
                share = share_micros()
                self._shared = self._shared.with_one_less(self._now())
                on_release()

        return Lease(endpoint, release, share_micros)

    def told(self) -> Replica:
        """Return it as it is now."""
        return Replica(
            id=self.id,
            deployment=self._deployment,
            state=self.state,
            base_url=self.proxy,
            pid=self.pid,
            started_at_micros=self.started_at_micros,
            reason=self.reason,
            ready_at_micros=self.ready_at_micros,
            ended_at_micros=self.ended_at_micros,
            node=self.node,
        )

    def _now(self) -> int:
        return round(self._clock.monotonic() * MICROS)


@dataclass(slots=True)
class RayDeployment:
    """A deployment that we know, with what was last seen of its application.

    `is_ending` says that no replica is asked for. `gone` are the last replicas that ended, `failed` is the last of them
    that nobody wanted to end. `looked_at` is when the last look at it began. `trouble` is why it could not be woken the
    last time; at `retry_at` of the monotonic clock what Ray has given up is begun anew.
    """

    spec: DeploymentSpec
    used_at: float
    application: SeenApplication | None = None
    replicas: dict[str, RayReplica] = field(default_factory=dict[str, RayReplica])
    gone: list[RayReplica] = field(default_factory=list[RayReplica])
    failed: RayReplica | None = None
    trouble: HeadraceError | None = None
    retry_at: float | None = None
    is_ending: bool = False
    waiting: int = 0
    looked_at: float = -math.inf
    woken_at: float | None = None
    wake_seconds: float | None = None
    waking: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ready(self) -> list[RayReplica]:
        """Replicas that answer."""
        return [each for each in self.replicas.values() if each.state is ReplicaState.READY]

    def trusted(self, now: float) -> list[RayReplica]:
        """Return the replicas that can be sent to: while all of them rest, none is left out but those in doubt.

        One that failed more than once is in doubt until the cluster was asked after that.
        """
        awake = [each for each in self.ready if each.rests_until <= now]
        return awake or [each for each in self.ready if each.failures < DOUBTED or each.failed_at < self.looked_at]

    @property
    def has_failed(self) -> bool:
        """Whether Ray has given up to start it, and nothing of it answers."""
        return self.application is not None and self.application.status == DEPLOY_FAILED and not self.ready

    @property
    def is_settled(self) -> bool:
        """Whether nothing is expected to change soon."""
        return (
            not self.waiting
            and self.application is not None
            and all(each.state is ReplicaState.READY for each in self.replicas.values())
            and len(self.replicas) == self.application.target
        )

    def standing(self, now: float) -> Standing:
        """Return how it stands; `now` is of the monotonic clock."""
        in_flight = sum(each.leases for each in self.replicas.values())
        return Standing(
            wanted=0 if self.application is None or self.is_ending else self.application.target,
            ready=len(self.ready),
            starting=sum(each.state is ReplicaState.STARTING for each in self.replicas.values()),
            in_flight=in_flight,
            waiting=self.waiting,
            idle_seconds=0.0 if in_flight or self.waiting else now - self.used_at,
            wake_seconds=self.wake_seconds,
        )

    def notify(self) -> None:
        """Let everybody who waits for a change look again."""
        before, self.changed = self.changed, asyncio.Event()
        before.set()
