"""The `local` compute driver: deployments as child processes of this machine, awake only on demand.

Decides which replicas run: lazy starts, back-off after crashes, idle sleep and the total memory limit. The
processes themselves are the supervisor's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace

from headrace.domain.deployment import DeploymentSpec, Replica, ReplicaState
from headrace.domain.errors import EngineFailed
from headrace.drivers.compute.replica import LiveReplica, Machine, Patience
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Engine, Lease, Running, Supervisor

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class LocalPolicy:
    """What this driver may use and how it waits; times in seconds.

    `memory_bytes` is what all replicas together may be expected to take, None for no limit. After the second
    failure in a row a start waits `backoff_seconds`, then twice as long each time up to `backoff_max_seconds`;
    a replica that was ready for `stable_seconds` begins the count anew.
    """

    memory_bytes: int | None = None
    patience: Patience = field(default_factory=Patience)
    backoff_seconds: float = 1.0
    backoff_max_seconds: float = 60.0
    stable_seconds: float = 60.0
    tick_seconds: float = 1.0


@dataclass(slots=True)
class _Deployment:
    spec: DeploymentSpec
    engine: Engine
    replicas: list[LiveReplica] = field(default_factory=list["LiveReplica"])
    failures: int = 0
    retry_at: float = 0.0
    starting: asyncio.Task[None] | None = None

    @property
    def live(self) -> list[LiveReplica]:
        return [each for each in self.replicas if each.state is not ReplicaState.FAILED]

    @property
    def current(self) -> list[LiveReplica]:
        """Replicas that run, or will run, as the specification says now."""
        return [
            each
            for each in self.replicas
            if each.state in (ReplicaState.STARTING, ReplicaState.READY) and not self.is_stale(each)
        ]

    def is_stale(self, replica: LiveReplica) -> bool:
        return replica.spec is not self.spec and replica.plan != self.engine.launch(self.spec, replica.name)


class LocalCompute:
    """Runs deployments of every given engine on this machine; call `open` once before the first `acquire`."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        supervisor: Supervisor,
        clock: Clock,
        policy: LocalPolicy,
        on_change: Callable[[Replica], None] | None = None,
    ) -> None:
        self._engines = engines
        self._supervisor = supervisor
        self._clock = clock
        self._policy = policy
        self._machine = Machine(supervisor, clock, policy.patience, on_change or _ignore)
        self._deployments: dict[str, _Deployment] = {}
        self._adopted: dict[str, list[Running]] = {}
        self._room = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def open(self) -> None:
        """Take over replicas of an earlier process and begin the periodic tick."""
        for running in self._supervisor.adopt():
            self._adopted.setdefault(running.deployment, []).append(running)
        self._keep(self._tick_forever(), "compute tick")

    async def apply(self, spec: DeploymentSpec) -> None:
        """Make the deployment known, or change it to this; running replicas of another plan end when idle."""
        engine = self._engines.get(spec.engine)
        if engine is None:
            known = ", ".join(sorted(self._engines)) or "none"
            raise EngineFailed(f'No engine is named "{spec.engine}"; there are: {known}.')
        entry = self._deployments.get(spec.id)
        if entry is None:
            entry = self._deployments[spec.id] = _Deployment(spec, engine)
        elif entry.spec != spec:
            entry.spec, entry.engine, entry.failures, entry.retry_at = spec, engine, 0, 0.0
        for running in self._adopted.pop(spec.id, ()):
            replica = LiveReplica(running.replica, spec, engine, self._machine, running)
            entry.replicas.append(replica)
            replica.begin(self._ended)

    def observe(self) -> Sequence[Replica]:
        """Return all replicas as last seen; a failed one says when the next start is tried."""
        return [
            replace(each.seen(), reason=self._with_retry(entry, each.reason)) if each.reason else each.seen()
            for entry in self._deployments.values()
            for each in entry.replicas
        ]

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        """Return a ready replica's endpoint, starting one when there is none; raises EngineFailed."""
        deadline = asyncio.get_running_loop().time() + wait_seconds
        try:
            async with asyncio.timeout_at(deadline):
                return await self._lease(deployment, deadline)
        except TimeoutError:
            raise self._not_in_time(deployment, wait_seconds) from None

    async def remove(self, deployment: str) -> None:
        """Stop all replicas and forget the deployment."""
        entry = self._deployments.get(deployment)
        if entry is None:
            return
        if entry.starting is not None:
            entry.starting.cancel()
        async with self._room:
            self._deployments.pop(deployment, None)
            await self._end(entry, leave_kept=False)

    async def close(self) -> None:
        """Stop what must not outlive this process."""
        self._is_closed = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._end(each, leave_kept=True) for each in self._deployments.values()))

    async def tick(self) -> None:
        """Put idle replicas to sleep, end those of an old plan, and keep the least number running."""
        for entry in tuple(self._deployments.values()):
            for replica in tuple(entry.replicas):
                await self._put_to_sleep(entry, replica)
            if len(entry.current) < entry.spec.min_replicas and self._clock.monotonic() >= entry.retry_at:
                self._start(entry)

    async def _put_to_sleep(self, entry: _Deployment, replica: LiveReplica) -> None:
        async with self._room:
            if self._may_sleep(entry, replica):
                await self._stop(replica)

    def _may_sleep(self, entry: _Deployment, replica: LiveReplica) -> bool:
        if not replica.is_idle:
            return False
        if entry.is_stale(replica):
            return True
        idle_seconds = self._clock.monotonic() - replica.last_used_at
        return 0 < entry.spec.idle_seconds <= idle_seconds and len(entry.current) > entry.spec.min_replicas

    async def _lease(self, deployment: str, deadline: float) -> Lease:
        while True:
            entry = self._deployments.get(deployment)
            if entry is None or self._is_closed:
                raise EngineFailed(f'The deployment "{deployment}" is not known or is being removed.')
            lease = self._ready_lease(entry)
            if lease is not None:
                return lease
            await self._await_start(entry, deadline)

    def _ready_lease(self, entry: _Deployment) -> Lease | None:
        ready = [each for each in entry.current if each.state is ReplicaState.READY]
        if not ready:
            return None
        replica = min(ready, key=lambda each: each.leases)
        may_grow = len(entry.current) < entry.spec.max_replicas and self._clock.monotonic() >= entry.retry_at
        if replica.leases >= entry.spec.slots and may_grow:
            self._start(entry)
        return replica.lease()

    async def _await_start(self, entry: _Deployment, deadline: float) -> None:
        starting = next((each for each in entry.current if each.state is ReplicaState.STARTING), None)
        if starting is None:
            await self._await_retry(entry, deadline)
            await asyncio.shield(self._start(entry))
            return
        await starting.settled.wait()
        if starting.state is ReplicaState.FAILED:
            raise self._failed(entry, starting.reason)

    async def _await_retry(self, entry: _Deployment, deadline: float) -> None:
        wait = entry.retry_at - self._clock.monotonic()
        if wait <= 0:
            return
        if wait > deadline - asyncio.get_running_loop().time():
            last = next((each.reason for each in entry.replicas if each.reason), "it failed")
            raise self._failed(entry, last)
        await asyncio.sleep(wait)

    def _failed(self, entry: _Deployment, reason: str) -> EngineFailed:
        wait = max(1.0, entry.retry_at - self._clock.monotonic())
        return EngineFailed(self._with_retry(entry, reason), retry_after_seconds=wait)

    def _with_retry(self, entry: _Deployment, reason: str) -> str:
        wait = entry.retry_at - self._clock.monotonic()
        when = f"No new start before {wait:.0f} s." if wait >= 1 else "The next request starts it again."
        return f"{reason.rstrip('.')}. {when}"

    def _not_in_time(self, deployment: str, wait_seconds: float) -> EngineFailed:
        entry = self._deployments.get(deployment)
        unsettled = [each for each in entry.current if not each.settled.is_set()] if entry is not None else []
        state = "is still starting" if unsettled else "waits for another model to stop"
        line = f"; its last line: {unsettled[0].last_line}" if unsettled and unsettled[0].last_line else ""
        return EngineFailed(
            f'The engine of "{deployment}" {state} after {wait_seconds:g} s{line}. Retry in a moment.',
            retry_after_seconds=2.0,
        )

    def _start(self, entry: _Deployment) -> asyncio.Task[None]:
        """Begin one start, or return the one that is making room now."""
        if entry.starting is None or entry.starting.done():
            entry.starting = self._keep(self._make_replica(entry), f"start {entry.spec.id}")
        return entry.starting

    async def _make_replica(self, entry: _Deployment) -> None:
        async with self._room:
            await self._make_room(entry)
            if self._is_closed or self._deployments.get(entry.spec.id) is not entry:
                return
            entry.replicas = entry.live
            replica = LiveReplica(self._free_name(entry.spec.id), entry.spec, entry.engine, self._machine)
            entry.replicas.append(replica)
            replica.begin(self._ended)

    async def _make_room(self, entry: _Deployment) -> None:
        limit, need = self._policy.memory_bytes, entry.spec.memory_bytes
        if limit is None:
            return
        if need > limit:
            raise EngineFailed(
                f'"{entry.spec.id}" needs {need / GIB:.2f} GiB; all local models together may take'
                f" {limit / GIB:.2f} GiB. Raise the memory limit."
            )
        while self._used_bytes() + need > limit:
            idle = self._longest_idle()
            if idle is None:
                busy = ", ".join(sorted({each.spec.id for each in self._all_live()}))
                raise EngineFailed(
                    f'There is no room for "{entry.spec.id}" ({need / GIB:.2f} GiB) within the memory limit'
                    f" of {limit / GIB:.2f} GiB: {busy} may not be put to sleep now. Retry when idle.",
                    retry_after_seconds=5.0,
                )
            await self._stop(idle)

    def _all_live(self) -> list[LiveReplica]:
        return [each for entry in self._deployments.values() for each in entry.live]

    def _used_bytes(self) -> int:
        return sum(each.spec.memory_bytes for each in self._all_live())

    def _free_name(self, deployment: str) -> str:
        """Return the lowest free replica name, so that logs stay few and are found again after a restart."""
        taken = {each.name for entry in self._deployments.values() for each in entry.live}
        taken.update(each.replica for several in self._adopted.values() for each in several)
        base = re.sub(r"[^A-Za-z0-9._-]", "-", deployment).strip("-.")[:100] or "model"
        return next(name for number in range(len(taken) + 1) if (name := f"{base}-{number}") not in taken)

    def _longest_idle(self) -> LiveReplica | None:
        spare = [
            replica
            for entry in self._deployments.values()
            for replica in entry.live
            if replica.is_idle and len(entry.live) > entry.spec.min_replicas
        ]
        return min(spare, key=lambda each: each.last_used_at, default=None)

    async def _stop(self, replica: LiveReplica) -> None:
        await replica.stop()
        self._forget(replica)

    async def _end(self, entry: _Deployment, *, leave_kept: bool) -> None:
        await asyncio.gather(*(each.stop(leave_kept=leave_kept) for each in entry.live))
        entry.replicas.clear()

    def _forget(self, replica: LiveReplica) -> None:
        entry = self._deployments.get(replica.spec.id)
        if entry is not None and replica in entry.replicas:
            entry.replicas.remove(replica)

    def _ended(self, replica: LiveReplica) -> None:
        """Note a crash or a failed start and when the next one may be tried."""
        entry = self._deployments.get(replica.spec.id)
        if entry is None:
            return
        now = self._clock.monotonic()
        if replica.was_ready_at is not None and now - replica.was_ready_at >= self._policy.stable_seconds:
            entry.failures = 0
        entry.failures += 1
        wait = 0.0
        if entry.failures > 1:
            wait = self._policy.backoff_seconds * 2.0 ** min(entry.failures - 2, 32)
        entry.retry_at = now + min(wait, self._policy.backoff_max_seconds)

    def _keep(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not isinstance(failure, EngineFailed):
            task.get_loop().call_exception_handler(
                {"message": f"{task.get_name()} failed", "exception": failure, "task": task}
            )

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(self._policy.tick_seconds)
            await self.tick()


def _ignore(_replica: Replica) -> None:
    return None
