"""A compute driver in memory: replicas start, crash and drain when a test says so; it starts no process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from headrace.domain.dedicated import Standing
from headrace.domain.deployment import DeploymentSpec, Replica, ReplicaState
from headrace.domain.errors import EngineFailed, HeadraceError
from headrace.domain.plan import Endpoint
from headrace.ports.fleet import Lease, ReadyReplica
from headrace.testing.clock import FakeClock

LIVE = (ReplicaState.STARTING, ReplicaState.READY)


def nothing(_: Replica) -> None:
    """Hear of a replica and do nothing."""


def plan_of(spec: DeploymentSpec) -> DeploymentSpec:
    """What decides whether a replica must be replaced: everything but bounds, patience and words."""
    return replace(spec, min_replicas=0, max_replicas=1, idle_seconds=0, name="", wanted=None)


@dataclass(slots=True, eq=False)
class FakeReplica:
    """One replica; `leases` are the requests that it has."""

    id: str
    spec: DeploymentSpec
    started_at_micros: int
    state: ReplicaState = ReplicaState.STARTING
    ready_at_micros: int | None = None
    leases: int = 0
    reason: str = ""


@dataclass(slots=True)
class FakeDeployment:
    """What is wanted of a deployment, and what a test says of its load."""

    spec: DeploymentSpec
    wanted: int = 0
    in_flight: int = 0
    waiting: int = 0
    last_used: float = 0.0
    first_token_ms: float | None = None
    wake_seconds: float | None = None


@dataclass(slots=True)
class FakeCompute:
    """The whole Compute in memory.

    With `is_prompt` replicas become ready and drained ones end at once, else at the next `step`. `room` bounds how many
    replicas run at once. `errors` holds what the next calls of a method raise, by the method's name; those of
    `broken` fail always, by the deployment's id. `calls` is what was asked for, in order.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    scales_itself: bool = False
    is_prompt: bool = True
    room: int | None = None
    on_change: Callable[[Replica], None] = nothing
    deployments: dict[str, FakeDeployment] = field(default_factory=dict[str, FakeDeployment])
    replicas: list[FakeReplica] = field(default_factory=list[FakeReplica])
    errors: dict[str, list[HeadraceError]] = field(default_factory=dict[str, list[HeadraceError]])
    broken: dict[str, HeadraceError] = field(default_factory=dict[str, HeadraceError])
    reports: list[tuple[str, str, bool]] = field(default_factory=list[tuple[str, str, bool]])
    calls: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])
    lines: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    made: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def apply(self, spec: DeploymentSpec) -> None:
        self._asked("apply", spec.id)
        if spec.id not in self.deployments:
            adopted = sum(each.state in LIVE for each in self._of(spec.id))
            self.deployments[spec.id] = FakeDeployment(spec, adopted, last_used=self.clock.monotonic())
        self.deployments[spec.id].spec = spec
        self._settle()

    async def scale(self, deployment: str, replicas: int) -> None:
        self._asked("scale", deployment, replicas)
        self.deployments[deployment].wanted = replicas
        self._settle()

    def observe(self) -> Sequence[Replica]:
        return [self._seen(each) for each in self.replicas if each.spec.id in self.deployments]

    def standing(self, deployment: str) -> Standing | None:
        entry = self.deployments.get(deployment)
        if entry is None:
            return None
        current = self._current(entry)
        return Standing(
            wanted=entry.wanted,
            ready=sum(each.state is ReplicaState.READY for each in current),
            starting=sum(each.state is ReplicaState.STARTING for each in current),
            in_flight=entry.in_flight + sum(each.leases for each in self._of(deployment)),
            waiting=entry.waiting,
            idle_seconds=self.clock.monotonic() - entry.last_used,
            first_token_ms=entry.first_token_ms,
            wake_seconds=entry.wake_seconds,
        )

    def ready(self, deployment: str) -> Sequence[ReadyReplica]:
        if deployment not in self.deployments:
            return []
        return [ReadyReplica(each.id, each.leases) for each in self._of(deployment, ReplicaState.READY)]

    def lease(self, deployment: str, replica: str) -> Lease | None:
        for each in self._of(deployment, ReplicaState.READY):
            if each.id == replica and deployment in self.deployments:
                return self._lease(each)
        return None

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        entry = self.deployments.get(deployment)
        if entry is None:
            raise EngineFailed(f'The deployment "{deployment}" is not known.')
        entry.wanted = max(1, entry.wanted)
        self._settle()
        entry.waiting += 1
        try:
            async with asyncio.timeout(wait_seconds):
                while not (ready := self._of(deployment, ReplicaState.READY)):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise EngineFailed(f'The engine of "{deployment}" is still starting.', retry_after_seconds=2.0) from None
        finally:
            entry.waiting -= 1
        return self._lease(min(ready, key=lambda each: each.leases))

    def report(self, deployment: str, replica: str, *, is_well: bool) -> None:
        self.reports.append((deployment, replica, is_well))

    async def figures(self, deployment: str) -> Mapping[str, Mapping[str, float]]:
        return {each.id: {"running": float(each.leases)} for each in self._of(deployment)}

    async def logs(self, deployment: str, replica: str | None, lines: int) -> Mapping[str, Sequence[str]]:
        names = [each.id for each in self._of(deployment)] if replica is None else [replica]
        return {each: self.lines.get(each, [])[-lines:] for each in names}

    async def remove(self, deployment: str) -> None:
        self._asked("remove", deployment)
        if self.deployments.pop(deployment, None) is not None:
            self._end(self._of(deployment))

    async def end_unknown(self, known: Collection[str]) -> None:
        """End what an earlier control plane left of deployments that are not known."""
        self.calls.append(("end_unknown", ",".join(sorted(known)), 0))
        self._end([each for each in self.replicas if each.spec.id not in known])

    async def close(self) -> None:
        self.calls.append(("close", "", 0))

    def step(self) -> None:
        """Let starting replicas become ready, drained ones end, and missing ones start."""
        for each in tuple(self.replicas):
            if each.state is ReplicaState.STARTING:
                each.state, each.ready_at_micros = ReplicaState.READY, self.clock.unix_micros()
                self._tell(each)
        self.replicas = [
            each for each in self.replicas if each.state is not ReplicaState.FAILED or not self._has_room()
        ]
        self._drain()
        self._start_missing()

    def crash(self, deployment: str, reason: str = "it was ended by signal SIGKILL") -> None:
        """Let the oldest live replica of a deployment fail; the next `step` starts another."""
        for each in [each for each in self._of(deployment) if each.state in LIVE][:1]:
            each.state, each.reason, each.leases = ReplicaState.FAILED, reason, 0
            self._tell(each)

    def restarted(self) -> FakeCompute:
        """The driver of the next control plane, after this one fell silent: it knows nothing, all replicas run on."""
        left = [each for each in self.replicas if each.state in (*LIVE, ReplicaState.STOPPING)]
        for each in left:
            each.leases = 0
        return replace(self, deployments={}, replicas=left, calls=[], changed=asyncio.Event())

    def live(self, deployment: str) -> list[FakeReplica]:
        """All replicas whose process exists, known to a deployment or not."""
        return [each for each in self._of(deployment) if each.state is not ReplicaState.FAILED]

    def _asked(self, method: str, deployment: str, replicas: int = 0) -> None:
        self.calls.append((method, deployment, replicas))
        if self.errors.get(method):
            raise self.errors[method].pop(0)
        if deployment in self.broken:
            raise self.broken[deployment]

    def _settle(self) -> None:
        self._drain()
        self._start_missing()
        while self.is_prompt:
            before = self._states()
            self.step()
            if self._states() == before:
                return

    def _states(self) -> list[tuple[str, ReplicaState]]:
        return [(each.id, each.state) for each in self.replicas]

    def _start_missing(self) -> None:
        for entry in self.deployments.values():
            failed = len(self._of(entry.spec.id, ReplicaState.FAILED))
            while len(self._current(entry)) + failed < entry.wanted and self._has_room():
                self.made += 1
                name = f"{entry.spec.id}-{self.made}"
                self.replicas.append(FakeReplica(name, entry.spec, self.clock.unix_micros()))
                self._tell(self.replicas[-1])
            self._drain()

    def _drain(self) -> None:
        """Mark what is too many, and of an old plan what has a ready one in its place; end what has no request."""
        for entry in self.deployments.values():
            current = self._current(entry)
            spare = current[entry.wanted :]
            stale = [each for each in self._of(entry.spec.id) if self._is_stale(each) and each.state in LIVE]
            ready = sum(each.state is ReplicaState.READY for each in current)
            surplus = stale if ready >= entry.wanted else [] if self._has_room() else stale[:1]
            for each in (*spare, *surplus):
                each.state = ReplicaState.STOPPING
                self._tell(each)
        self._end([each for each in self.replicas if each.state is ReplicaState.STOPPING and not each.leases])

    def _end(self, gone: Sequence[FakeReplica]) -> None:
        for each in gone:
            self.replicas.remove(each)
            self.on_change(replace(self._seen(each), ended_at_micros=self.clock.unix_micros()))

    def _has_room(self) -> bool:
        running = sum(each.state is not ReplicaState.FAILED for each in self.replicas)
        return self.room is None or running < self.room

    def _of(self, deployment: str, state: ReplicaState | None = None) -> list[FakeReplica]:
        return [each for each in self.replicas if each.spec.id == deployment and state in (None, each.state)]

    def _current(self, entry: FakeDeployment) -> list[FakeReplica]:
        return [each for each in self._of(entry.spec.id) if each.state in LIVE and not self._is_stale(each)]

    def _is_stale(self, each: FakeReplica) -> bool:
        entry = self.deployments.get(each.spec.id)
        return entry is not None and plan_of(entry.spec) != plan_of(each.spec)

    def _lease(self, replica: FakeReplica) -> Lease:
        replica.leases += 1
        is_held = True

        def release() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                replica.leases = max(0, replica.leases - 1)
                if (entry := self.deployments.get(replica.spec.id)) is not None:
                    entry.last_used = self.clock.monotonic()
                self._settle()

        return Lease(Endpoint(f"http://{replica.id}", replica=replica.id), release)

    def _tell(self, replica: FakeReplica) -> None:
        self.changed.set()
        self.on_change(self._seen(replica))

    def _seen(self, each: FakeReplica) -> Replica:
        is_over = each.state is ReplicaState.FAILED
        return Replica(
            id=each.id,
            deployment=each.spec.id,
            state=each.state,
            base_url=f"http://{each.id}",
            pid=None,
            started_at_micros=each.started_at_micros,
            reason=each.reason,
            ready_at_micros=each.ready_at_micros,
            ended_at_micros=self.clock.unix_micros() if is_over else None,
        )
