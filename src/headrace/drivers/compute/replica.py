"""One replica's life: start the process, wait for a real answer, watch it to its end; it restarts nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from headrace.domain.deployment import DeploymentSpec, LaunchPlan, OwnerLoss, Replica, ReplicaState
from headrace.domain.errors import EngineFailed
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Engine, Lease, Running, Supervisor

FIRST_POLL_SECONDS = 0.05
POLL_GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a replica's steps may take, in seconds."""

    ready_seconds: float = 180.0
    poll_seconds: float = 0.5
    grace_seconds: float = 3.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What every replica of this driver needs."""

    supervisor: Supervisor
    clock: Clock
    patience: Patience
    on_change: Callable[[Replica], None]


class LiveReplica:
    """A replica from its start to its end; `settled` is set once it is ready or has failed."""

    def __init__(
        self,
        name: str,
        spec: DeploymentSpec,
        engine: Engine,
        machine: Machine,
        adopted: Running | None = None,
    ) -> None:
        self.name = name
        self.spec = spec
        self.plan: LaunchPlan = engine.launch(spec, name)
        self.state = ReplicaState.STARTING
        self.reason = ""
        self.leases = 0
        self.was_ready_at: float | None = None
        self.last_used_at = machine.clock.monotonic()
        self.settled = asyncio.Event()
        self._engine = engine
        self._machine = machine
        self._running = adopted
        self._started_at_micros = machine.clock.unix_micros()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it is ready and nobody holds a lease."""
        return self.state is ReplicaState.READY and self.leases == 0

    @property
    def last_line(self) -> str:
        """The last line that its process wrote, or an empty text."""
        return self._machine.supervisor.tail(self._running) if self._running is not None else ""

    def seen(self) -> Replica:
        """Return this replica as it is now."""
        running = self._running
        return Replica(
            id=self.name,
            deployment=self.spec.id,
            state=self.state,
            base_url=running.endpoint.base_url if running else None,
            pid=running.pid if running else None,
            started_at_micros=self._started_at_micros,
            reason=self.reason,
        )

    def begin(self, on_end: Callable[[LiveReplica], None]) -> None:
        """Start living in the background; `on_end` is called when it has failed or ended by itself."""
        self._machine.on_change(self.seen())
        self._task = asyncio.get_running_loop().create_task(self._live(), name=f"replica {self.name}")
        self._task.add_done_callback(lambda task: self._ended(task, on_end))

    def lease(self) -> Lease:
        """Return the right to send one request; only for a ready replica."""
        running = self._running
        if running is None:
            raise EngineFailed(f'The engine of "{self.spec.id}" is not running.')
        self.leases += 1
        is_held = True

        def release() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self.leases -= 1
                self.last_used_at = self._machine.clock.monotonic()

        return Lease(running.endpoint, release)

    async def stop(self, *, leave_kept: bool = False) -> None:
        """End it and return when it is gone; `leave_kept` spares a replica that outlives its owner."""
        task, self._task = self._task, None
        self._change(ReplicaState.STOPPING)
        self.settled.set()
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        if self._running is None or (leave_kept and self.plan.on_owner_loss is OwnerLoss.KEEP):
            return
        await self._machine.supervisor.stop(self._running, self._machine.patience.grace_seconds)

    async def _live(self) -> None:
        try:
            if self._running is None:
                self._running = await self._machine.supervisor.start(self.plan)
                self._machine.on_change(self.seen())
            how = await self._run(self._running)
            phase = "while starting" if self.was_ready_at is None else "while running"
            self.reason = f'The engine of "{self.spec.id}" ended {phase}: {how}'
        except EngineFailed as failure:
            self.reason = failure.message
            if self._running is not None:
                await self._machine.supervisor.stop(self._running, self._machine.patience.grace_seconds)

    def _ended(self, task: asyncio.Task[None], on_end: Callable[[LiveReplica], None]) -> None:
        if task.cancelled():
            return
        failure = task.exception()
        if failure is not None:
            self.reason = f'The engine of "{self.spec.id}" could not be watched: {failure!r}'
        on_end(self)
        self._change(ReplicaState.FAILED)
        self.settled.set()

    async def _run(self, running: Running) -> str:
        """Watch the process and, beside that, wait for its first answer; returns how the process ended."""
        watch = asyncio.get_running_loop().create_task(self._machine.supervisor.exited(running))
        try:
            if await self._is_ready(running, watch):
                self.was_ready_at = self.last_used_at = self._machine.clock.monotonic()
                self._change(ReplicaState.READY)
                self.settled.set()
            return await watch
        finally:
            watch.cancel()

    async def _is_ready(self, running: Running, watch: asyncio.Task[str]) -> bool:
        is_ready = False
        poll_seconds = FIRST_POLL_SECONDS
        patience = self._machine.patience
        try:
            async with asyncio.timeout(patience.ready_seconds):
                while not watch.done() and not (is_ready := await self._engine.ready(running.endpoint)):
                    await asyncio.wait((watch,), timeout=poll_seconds)
                    poll_seconds = min(poll_seconds * POLL_GROWTH, patience.poll_seconds)
        except TimeoutError:
            raise EngineFailed(
                f'The engine of "{self.spec.id}" gave no answer within {patience.ready_seconds:g} s of its'
                f" start; its last line: {self.last_line or 'none'}"
            ) from None
        return is_ready

    def _change(self, state: ReplicaState) -> None:
        self.state = state
        self._machine.on_change(self.seen())
