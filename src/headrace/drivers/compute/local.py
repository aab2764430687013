"""The `local` compute driver: deployments as child processes of this machine.

An embedded model is awake only on demand; a scaled deployment has as many replicas as was asked for. Decides when
replicas start, drain and are asked whether they live; the processes themselves are the supervisor's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.domain.dedicated import Standing
from headrace.domain.deployment import DeploymentSpec, Replica, ReplicaState
from headrace.domain.errors import EngineFailed
from headrace.drivers.compute.devices import DeviceBook
from headrace.drivers.compute.leftovers import Leftovers
from headrace.drivers.compute.local_deployment import Backoff, LocalDeployment
from headrace.drivers.compute.replica import LiveReplica, Machine, Patience
from headrace.drivers.compute.replica_log import lowest_name
from headrace.drivers.compute.room import Room
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.ports.ambient import Clock
from headrace.ports.fleet import CheckedEngine, Engine, Lease, ReadyReplica


@dataclass(frozen=True, slots=True)
class LocalPolicy:
    """What this driver may use and how it waits.

    `memory_bytes` is what all replicas together may be expected to take, None for no limit. `devices` says which
    accelerators there are.
    """

    memory_bytes: int | None = None
    patience: Patience = field(default_factory=Patience)
    backoff: Backoff = field(default_factory=Backoff)
    tick_seconds: float = 1.0
    devices: DeviceBook = field(default_factory=DeviceBook)


class LocalCompute:
    """Runs deployments of every given engine on this machine; call `open` once before the first `acquire`."""

    scales_itself = False

    def __init__(
        self,
        engines: Mapping[str, Engine],
        supervisor: ProcessSupervisor,
        clock: Clock,
        policy: LocalPolicy,
        on_change: Callable[[Replica], None] | None = None,
    ) -> None:
        self._engines = engines
        self._supervisor = supervisor
        self._clock = clock
        self._policy = policy
        self._on_change: Callable[[Replica], None] = on_change or (lambda _: None)
        self._machine = Machine(supervisor, clock, policy.patience, self._hear)
        self._deployments: dict[str, LocalDeployment] = {}
        self._leftovers = Leftovers(supervisor, policy.devices, policy.patience.grace_seconds, self._on_change)
        self._room = Room(policy.memory_bytes, policy.devices, self._deployments.values)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def open(self) -> None:
        """Take over replicas of an earlier process, tell of those that ended since, and begin the periodic tick."""
        self._leftovers.find()
        self._keep(self._tick_forever(), "compute ticks")

    async def apply(self, spec: DeploymentSpec) -> None:
        """Make the deployment known, or change it to this; replicas of another plan are replaced or end when idle."""
        entry = self._deployments.get(spec.id)
        if entry is not None and entry.spec == spec:
            return
        engine = self._engines.get(spec.engine)
        if engine is None:
            known = ", ".join(sorted(self._engines)) or "none"
            raise EngineFailed(f'No engine is named "{spec.engine}"; there are: {known}.')
        # What runs already goes on, whatever has become of the means to start another.
        if not self._leftovers.has(spec.id):
            await self._check_means(spec, engine)
        entry = self._deployments.get(spec.id)
        if entry is None:
            entry = self._deployments[spec.id] = LocalDeployment(spec, engine, self._clock, self._policy.backoff)
        else:
            entry.change(spec, engine)
        self._take_over(entry)
        self._settle_soon(entry)

    async def scale(self, deployment: str, replicas: int) -> None:
        """Ask for so many replicas; more are started as room allows, fewer drain. Embedded models follow demand."""
        entry = self._known(deployment)
        if not entry.spec.is_scaled or entry.wanted == replicas:
            return
        entry.want(replicas)
        self._settle_soon(entry)

    def observe(self) -> Sequence[Replica]:
        """Return all replicas as last seen; a failed one says when the next start is tried."""
        known = (each for entry in self._deployments.values() for each in entry.seen())
        return [*self._leftovers.lost(), *known]

    def standing(self, deployment: str) -> Standing | None:
        """Return how a deployment stands now, from memory; None when it is not known."""
        entry = self._deployments.get(deployment)
        return entry.standing() if entry is not None else None

    def ready(self, deployment: str) -> Sequence[ReadyReplica]:
        """Return the replicas that can be sent to now, from memory; none while others wait for a free slot."""
        entry = self._open_one(deployment)
        return () if entry is None else entry.ready()

    def lease(self, deployment: str, replica: str) -> Lease | None:
        """Return the right to send one request to that replica, None when it cannot take one any more."""
        entry = self._open_one(deployment)
        found = entry.find(replica) if entry is not None else None
        if entry is None or found is None or found not in entry.serving:
            return None
        return self._leased(entry, found)

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        """Return a ready replica's endpoint, starting one when there is none; raises EngineFailed."""
        entry = self._known(deployment)
        request, deadline = object(), asyncio.get_running_loop().time() + wait_seconds
        entry.line.append(request)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._lease_in_time(deployment, request, deadline)
        except TimeoutError:
            if entry.serving:
                return self._least_used(entry)
            raise entry.not_in_time(wait_seconds) from None
        finally:
            entry.leave(request)

    def report(self, deployment: str, replica: str, *, is_well: bool) -> None:
        """Say whether a replica answered; one that did not gets no requests until it has shown that it lives."""
        entry = self._open_one(deployment)
        found = entry.find(replica) if entry is not None else None
        if entry is None or found is None or found.state is not ReplicaState.READY:
            return
        if is_well:
            found.hear()
            return
        found.is_suspect = True
        self._keep(self._check(entry, found), f"check {replica}")

    async def logs(self, deployment: str, replica: str | None, lines: int) -> Mapping[str, Sequence[str]]:
        """Return the last lines of each replica's log, of those that ended too, the oldest first."""
        kept = self._supervisor.logs
        names = await asyncio.to_thread(kept.names, deployment)
        return {name: await asyncio.to_thread(kept.tail, name, lines) for name in names if replica in (None, name)}

    async def figures(self, deployment: str) -> Mapping[str, Mapping[str, float]]:
        """Return what the engine of each replica that can be sent to says of its load and its cache."""
        entry = self._deployments.get(deployment)
        serving = entry.serving if entry is not None else []
        figures = await asyncio.gather(*(each.figures() for each in serving))
        return {each.name: found for each, found in zip(serving, figures, strict=True)}

    async def remove(self, deployment: str) -> None:
        """Stop all replicas and forget the deployment, with its logs."""
        entry = self._deployments.get(deployment)
        async with self._room.lock:
            self._deployments.pop(deployment, None)
            if entry is not None:
                entry.pulse()
                await self._end(entry, leave_kept=False)
        await self._leftovers.end(deployment)
        if entry is None or entry.spec.is_scaled:
            await asyncio.to_thread(self._supervisor.logs.prune, deployment, (), 0)

    async def end_unknown(self, known: Collection[str]) -> None:
        """End what an earlier process left running of deployments that are not among these; nothing else is touched."""
        await self._leftovers.end_unknown(known)

    async def close(self) -> None:
        """Stop what must not outlive this process."""
        self._is_closed = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for entry in self._deployments.values():
            entry.pulse()
        await asyncio.gather(*(self._end(each, leave_kept=True) for each in self._deployments.values()))

    async def tick(self) -> None:
        """Put idle replicas to sleep, keep the wanted number running, and ask the silent ones whether they live."""
        for entry in tuple(self._deployments.values()):
            if entry.spec.is_scaled:
                self._settle(entry)
                self._ask_silent(entry)
                continue
            for replica in tuple(entry.replicas):
                await self._put_to_sleep(entry, replica)
            if len(entry.current) < entry.spec.min_replicas and entry.may_start:
                self._start(entry)

    async def _check_means(self, spec: DeploymentSpec, engine: Engine) -> None:
        if isinstance(engine, CheckedEngine):
            await engine.check()
        if spec.is_scaled:
            await self._room.check(spec)

    def _open_one(self, deployment: str) -> LocalDeployment | None:
        return None if self._is_closed else self._deployments.get(deployment)

    def _known(self, deployment: str) -> LocalDeployment:
        entry = self._open_one(deployment)
        if entry is None:
            raise EngineFailed(f'Nothing runs of the deployment "{deployment}" yet, or no more; its status says why.')
        return entry

    def _take_over(self, entry: LocalDeployment) -> None:
        running_already, lost = self._leftovers.take(entry.spec.id)
        entry.lost = [*entry.lost, *lost]
        if running_already:
            entry.wanted = min(max(entry.wanted, len(running_already)), entry.spec.max_replicas)
        for running in running_already:
            replica = LiveReplica(running.replica, entry.spec, entry.engine, self._machine, running)
            entry.replicas.append(replica)
            replica.begin(self._ended)

    def _leased(self, entry: LocalDeployment, replica: LiveReplica) -> Lease:
        if replica.leases >= entry.spec.slots and entry.grows:
            self._start(entry)
        return replica.lease(entry.note_release)

    def _least_used(self, entry: LocalDeployment) -> Lease:
        return self._leased(entry, min(entry.serving, key=lambda each: each.leases))

    async def _lease_in_time(self, deployment: str, request: object, deadline: float) -> Lease:
        while True:
            entry = self._known(deployment)
            if entry.is_turn_of(request):
                return self._least_used(entry)
            if entry.spec.is_scaled:
                await self._await_wake(entry, deadline)
            else:
                await self._await_start(entry, deadline)

    async def _await_wake(self, entry: LocalDeployment, deadline: float) -> None:
        """Wait for any change of a scaled deployment, of which one replica at least is wanted now."""
        changed = entry.changed
        if entry.wanted == 0:
            entry.wanted = 1
        self._settle(entry)
        is_started = any(each.state in (ReplicaState.STARTING, ReplicaState.READY) for each in entry.replicas)
        wait = entry.retry_at - self._clock.monotonic()
        if not is_started and entry.trouble_reason and wait > deadline - asyncio.get_running_loop().time():
            raise entry.failed(entry.trouble_reason)
        await changed.wait()

    async def _await_start(self, entry: LocalDeployment, deadline: float) -> None:
        current = entry.current
        starting = next((each for each in current if each.state is ReplicaState.STARTING), None)
        if starting is not None:
            await starting.settled.wait()
            if starting.state is ReplicaState.FAILED:
                raise entry.failed(starting.reason)
        elif current:
            # A replica that is asked whether it lives.
            await entry.changed.wait()
        else:
            await self._await_retry(entry, deadline)
            await asyncio.shield(self._start(entry))

    async def _await_retry(self, entry: LocalDeployment, deadline: float) -> None:
        wait = entry.retry_at - self._clock.monotonic()
        if wait <= 0:
            return
        if wait > deadline - asyncio.get_running_loop().time():
            raise entry.failed(entry.trouble_reason or "it failed")
        await asyncio.sleep(wait)

    def _settle_soon(self, entry: LocalDeployment) -> None:
        """Settle after whatever changes now has changed."""
        if entry.spec.is_scaled and not entry.is_due:
            entry.is_due = True
            asyncio.get_running_loop().call_soon(self._settle, entry)

    def _settle(self, entry: LocalDeployment) -> None:
        """Begin what brings a scaled deployment nearer to what is wanted."""
        entry.is_due = False
        if self._is_closed or self._deployments.get(entry.spec.id) is not entry or not entry.spec.is_scaled:
            return
        steps = entry.steps()
        for replica in steps.drains:
            replica.begin_drain()
            self._keep(self._drain(entry, replica), f"drain {replica.name}")
        if steps.starts and entry.may_start:
            self._start(entry, steps.starts)

    def _ask_silent(self, entry: LocalDeployment) -> None:
        for replica in entry.silent(self._policy.patience.pulse_seconds):
            self._keep(self._check(entry, replica), f"check {replica.name}")

    async def _check(self, entry: LocalDeployment, replica: LiveReplica) -> None:
        await replica.check()
        entry.pulse()

    async def _drain(self, entry: LocalDeployment, replica: LiveReplica) -> None:
        await replica.drain()
        self._room.devices.give_back(replica.name)
        entry.forget(replica)
        if entry.trouble is not None:
            entry.retry_at = 0.0
        entry.pulse()
        self._settle_soon(entry)

    async def _put_to_sleep(self, entry: LocalDeployment, replica: LiveReplica) -> None:
        async with self._room.lock:
            if entry.may_sleep(replica):
                await self._room.end(replica)

    def _start(self, entry: LocalDeployment, count: int = 1) -> asyncio.Task[None]:
        """Begin so many starts, or return those that are making room now."""
        if entry.starting is None or entry.starting.done():
            entry.note_start()
            entry.starting = self._keep(self._make_replicas(entry, count), f"start {entry.spec.id}")
        return entry.starting

    async def _make_replicas(self, entry: LocalDeployment, count: int) -> None:
        for _ in range(count):
            try:
                await self._make_replica(entry)
            except EngineFailed as failure:
                if not entry.spec.is_scaled:
                    raise
                entry.note_no_room(failure)
                break
        entry.pulse()
        self._settle_soon(entry)

    async def _make_replica(self, entry: LocalDeployment) -> None:
        async with self._room.lock:
            name = await self._new_name(entry)
            devices = await self._room.make(entry.spec, name)
            if self._is_closed or self._deployments.get(entry.spec.id) is not entry:
                self._room.devices.give_back(name)
                return
            if not entry.spec.is_scaled:
                entry.replicas = entry.live
            entry.trouble = None
            replica = LiveReplica(name, entry.spec, entry.engine, self._machine, devices)
            entry.replicas.append(replica)
            replica.begin(self._ended)

    async def _new_name(self, entry: LocalDeployment) -> str:
        taken = {each.name for other in self._deployments.values() for each in other.replicas} | self._leftovers.names
        if entry.spec.is_scaled:
            return await asyncio.to_thread(self._supervisor.logs.new_name, entry.spec.id, taken)
        taken -= {each.name for each in entry.replicas if each.state is ReplicaState.FAILED}
        return lowest_name(entry.spec.id, taken)

    async def _end(self, entry: LocalDeployment, *, leave_kept: bool) -> None:
        live = entry.live
        await asyncio.gather(*(each.stop(leave_kept=leave_kept) for each in live))
        for replica in live:
            self._room.devices.give_back(replica.name)
        entry.replicas.clear()

    def _ended(self, replica: LiveReplica) -> None:
        self._room.devices.give_back(replica.name)
        entry = self._deployments.get(replica.spec.id)
        if entry is not None:
            entry.note_end(replica)

    def _hear(self, replica: Replica) -> None:
        """Pass a change on, and act on it."""
        self._on_change(replica)
        entry = self._deployments.get(replica.deployment)
        if entry is None or self._is_closed:
            return
        if replica.state is ReplicaState.READY:
            entry.note_ready()
        entry.pulse()
        self._settle_soon(entry)

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
            # A tick that fails is told of, and is not the last one.
            await asyncio.wait((self._keep(self.tick(), "compute tick"),))
