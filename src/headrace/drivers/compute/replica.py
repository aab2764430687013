"""One replica's life: start the process, wait for a real answer, watch it to its end; it restarts nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from headrace.domain.deployment import DeploymentSpec, LaunchPlan, OwnerLoss, Replica, ReplicaState
from headrace.domain.errors import EngineFailed
from headrace.domain.plan import Endpoint
from headrace.domain.sharing import SharedTime
from headrace.drivers.compute.liveness import Sign, sign_of_life, speaks
from headrace.drivers.compute.replica_file import plan_mark
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Engine, Lease, Running, Supervisor

FIRST_POLL_SECONDS = 0.05
POLL_GROWTH = 1.5
PORT_TRIES = 3
FIGURES_SECONDS = 3.0
MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a replica's steps may take, in seconds.

    An embedded model has `ready_seconds` to its first token, a replica of a scaled deployment `load_seconds`: its
    weights may have to be fetched first. One of those that nothing was heard of for `pulse_seconds` is asked whether it
    lives, and has `probe_seconds` to show it. Its word that it is busy is taken for `word_seconds` without a token or a
    request that ended well. One that drains has `drain_seconds` to end its requests.
    """

    ready_seconds: float = 180.0
    load_seconds: float = 1800.0
    poll_seconds: float = 0.5
    grace_seconds: float = 3.0
    pulse_seconds: float = 10.0
    probe_seconds: float = 10.0
    word_seconds: float = 300.0
    drain_seconds: float = 120.0


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
        given: Running | tuple[int, ...] = (),
    ) -> None:
        """Make it; `given` is what runs already, or the numbers of its devices."""
        adopted = given if isinstance(given, Running) else None
        self.name = name
        self.spec = spec
        self.plan: LaunchPlan = engine.launch(spec, name)
        self.mark = adopted.plan if adopted is not None and adopted.plan else plan_mark(self.plan)
        self.devices = given.devices if isinstance(given, Running) else given
        self.state = ReplicaState.STARTING
        self.reason = ""
        self.was_ready_at: float | None = None
        self.last_used_at = self.heard_at = machine.clock.monotonic()
        self.is_suspect = False
        self.settled = asyncio.Event()
        if adopted is not None and adopted.ready_at_micros is not None:
            # It has answered before: it counts as ready, and gets requests once it has shown that it lives.
            self.state, self.is_suspect = ReplicaState.READY, True
        self._engine = engine
        self._machine = machine
        self._running = adopted
        self._created_at_micros = machine.clock.unix_micros()
        self._ready_at_micros = adopted.ready_at_micros if adopted is not None else None
        self._ended_at_micros: int | None = None
        self._shared = SharedTime(self._now_micros())
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._doom: asyncio.Future[str] | None = None
        self._is_asked = False
        self._word_since: float | None = None

    @property
    def leases(self) -> int:
        """How many requests it has of us."""
        return self._shared.requests

    @property
    def is_idle(self) -> bool:
        """Whether it is ready and nobody holds a lease."""
        return self.state is ReplicaState.READY and self.leases == 0

    @property
    def takes_requests(self) -> bool:
        """Whether it can be sent to now."""
        return self.state is ReplicaState.READY and not self.is_suspect

    @property
    def has_shown_itself(self) -> bool:
        """Whether it is ready and has answered this process, be it suspected since or not."""
        return self.state is ReplicaState.READY and self.was_ready_at is not None

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
            started_at_micros=(running.started_at_micros if running else 0) or self._created_at_micros,
            reason=self.reason,
            ready_at_micros=self._ready_at_micros,
            ended_at_micros=self._ended_at_micros,
        )

    def begin(self, on_end: Callable[[LiveReplica], None]) -> None:
        """Start living in the background; `on_end` is called when it has failed or ended by itself."""
        self._machine.on_change(self.seen())
        loop = asyncio.get_running_loop()
        self._doom = loop.create_future()
        self._task = loop.create_task(self._live(self._doom), name=f"replica {self.name}")
        self._task.add_done_callback(lambda task: self._ended(task, on_end))

    def lease(self, on_release: Callable[[], None]) -> Lease:
        """Return the right to send one request; only for a ready replica."""
        running = self._running
        if running is None:
            raise EngineFailed(f'The engine of "{self.spec.called}" is not running.')
        self._shared = self._shared.with_one_more(self._now_micros())
        self._idle.clear()
        since, share = self._shared.served_picos, None

        def release() -> None:
            nonlocal share
            if share is not None:
                return
            self._shared = self._shared.with_one_less(self._now_micros())
            share = self._shared.share_micros(since)
            self.last_used_at = self._machine.clock.monotonic()
            if not self.leases:
                self._idle.set()
            on_release()

        def share_micros() -> int:
            return share if share is not None else self._shared.until(self._now_micros()).share_micros(since)

        return Lease(running.endpoint, release, share_micros)

    async def figures(self) -> Mapping[str, float]:
        """Return what its engine says of its load; empty when it says nothing in time."""
        if self._running is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIGURES_SECONDS):
                    return await self._engine.load(self._running.endpoint)
        return {}

    async def check(self) -> None:
        """Ask whether it lives, and end it when it does not; it takes no new requests where it is suspected."""
        running, doom = self._running, self._doom
        if running is None or doom is None or self._is_asked:
            return
        self._is_asked = True
        try:
            problem = await self._problem(running.endpoint)
        finally:
            self._is_asked = False
        if problem and self.state is ReplicaState.READY and not doom.done():
            self.is_suspect = True
            doom.set_result(f'The engine of "{self.spec.called}" {problem}.')

    def hear(self) -> None:
        """Note that it gave a token or ended a request well."""
        self.is_suspect, self._word_since = False, None
        self.heard_at = self._machine.clock.monotonic()

    async def _problem(self, endpoint: Endpoint) -> str:
        """Ask it; returns what proves that it is of no use, an empty text when nothing does."""
        seconds = self._machine.patience.probe_seconds
        silence = f"was silent: it gave no answer within {seconds:g} s"
        if self.leases and not self.is_suspect:
            # A token would wait behind its requests: any reply is enough.
            problem = "" if await speaks(endpoint, seconds) else silence
        else:
            sign = await sign_of_life(self._engine, endpoint, seconds, has_requests=self.leases > 0)
            problem = silence if sign is Sign.NONE else self._judged(sign)
        self.heard_at = self._machine.clock.monotonic()
        return problem

    def _judged(self, sign: Sign) -> str:
        if sign is Sign.WORD:
            return self._take_word()
        if sign is Sign.TOKEN:
            self.hear()
            return ""
        # One that refuses may still end well what it has; a suspect gets no new requests until then.
        return "" if self.leases else "refused: it replied, but gave no token"

    def _take_word(self) -> str:
        """Believe that it is only busy, unless that has been all that it said for too long."""
        now, limit = self._machine.clock.monotonic(), self._machine.patience.word_seconds
        since = self._word_since if self._word_since is not None else now
        if now - since >= limit:
            return f"was of no use: for {limit:g} s it gave no token and ended no request well"
        self.is_suspect, self._word_since = False, since
        return ""

    def begin_drain(self) -> None:
        """Take no new requests from now on."""
        if self.state is not ReplicaState.STOPPING:
            self._change(ReplicaState.STOPPING)
            self.settled.set()

    async def drain(self) -> None:
        """End when its last request is over or its time is, and return when it is gone."""
        self.begin_drain()
        seconds = self._machine.patience.drain_seconds
        idle = asyncio.get_running_loop().create_task(self._idle.wait())
        ends = (idle,) if self._task is None else (idle, self._task)
        try:
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            idle.cancel()
        if self.leases and not self._has_ended:
            requests = "1 request" if self.leases == 1 else f"{self.leases} requests"
            self.reason = f"It still had {requests} after {seconds:g} s of draining, cut off then."
        await self.stop()

    async def stop(self, *, leave_kept: bool = False) -> None:
        """End it and return when it is gone; `leave_kept` spares a replica that outlives its owner."""
        is_left = leave_kept and self.plan.on_owner_loss is OwnerLoss.KEEP
        task, self._task = self._task, None
        if not is_left:
            self.begin_drain()
        self.settled.set()
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        if self._running is None or is_left:
            return
        await self._machine.supervisor.stop(self._running, self._machine.patience.grace_seconds)
        if not self._has_ended:
            self._note_end(self._running)
            self._machine.on_change(self.seen())

    @property
    def _has_ended(self) -> bool:
        return self._ended_at_micros is not None

    async def _live(self, doom: asyncio.Future[str]) -> None:
        try:
            how = await self._lived(doom)
            phase = "while starting" if self.was_ready_at is None else "while running"
            self.reason = f'The engine of "{self.spec.called}" ended {phase}: {how}'
        except (EngineFailed, OSError) as failure:
            known = failure.message if isinstance(failure, EngineFailed) else ""
            self.reason = known or f'The engine of "{self.spec.called}" could not be watched: {failure}.'
            if self._running is not None:
                grace_seconds = 0.0 if doom.done() else self._machine.patience.grace_seconds
                await self._machine.supervisor.stop(self._running, grace_seconds)
        if self._running is not None:
            self._note_end(self._running)

    async def _lived(self, doom: asyncio.Future[str]) -> str:
        """Run the process, again where another program took its port before it; returns how it ended."""
        supervisor = self._machine.supervisor
        how = ""
        for _ in range(PORT_TRIES):
            if self._running is None:
                self._running = await supervisor.start(replace(self.plan, devices=self.devices))
                self._machine.on_change(self.seen())
            running = self._running
            how = await self._run(running, doom)
            if self.was_ready_at is not None or not supervisor.lost_its_port(running):
                break
            how = f"{how}; another program has taken its port"
            self._running = None
        return how

    def _ended(self, task: asyncio.Task[None], on_end: Callable[[LiveReplica], None]) -> None:
        if task.cancelled():
            return
        if self.state is ReplicaState.STOPPING:
            if self._has_ended:
                self._machine.on_change(self.seen())
            return
        failure = task.exception()
        if failure is not None:
            self.reason = f'The engine of "{self.spec.called}" could not be watched: {failure!r}'
        on_end(self)
        self._change(ReplicaState.FAILED)
        self.settled.set()

    async def _run(self, running: Running, doom: asyncio.Future[str]) -> str:
        """Watch the process and, beside that, wait for its first answer; returns how the process ended."""
        watch = asyncio.get_running_loop().create_task(self._machine.supervisor.exited(running))
        try:
            if await self._is_ready(running, watch):
                self._note_ready(running)
            await asyncio.wait((watch, doom), return_when=asyncio.FIRST_COMPLETED)
            if not watch.done():
                raise EngineFailed(doom.result())
            return await watch
        finally:
            watch.cancel()

    async def _is_ready(self, running: Running, watch: asyncio.Task[str]) -> bool:
        is_ready = False
        poll_seconds = FIRST_POLL_SECONDS
        patience = self._machine.patience
        limit = patience.load_seconds if self.spec.is_scaled else patience.ready_seconds
        if running.ready_at_micros is not None:
            limit = 2 * patience.probe_seconds
        try:
            async with asyncio.timeout(limit):
                while not watch.done() and not (is_ready := await self._answers(running, watch)):
                    await asyncio.wait((watch,), timeout=poll_seconds)
                    poll_seconds = min(poll_seconds * POLL_GROWTH, patience.poll_seconds)
        except TimeoutError:
            raise EngineFailed(
                f'The engine of "{self.spec.called}" gave no answer within {limit:g} s;'
                f" its last line: {self.last_line or 'none'}"
            ) from None
        return is_ready

    async def _answers(self, running: Running, watch: asyncio.Task[str]) -> bool:
        """Ask it once; its end is an answer too, for what listens there afterwards is another program."""
        probe = asyncio.get_running_loop().create_task(self._probe(running))
        try:
            await asyncio.wait((probe, watch), return_when=asyncio.FIRST_COMPLETED)
            return not watch.done() and await probe
        finally:
            probe.cancel()

    async def _probe(self, running: Running) -> bool:
        if running.ready_at_micros is None:
            return await self._engine.ready(running.endpoint)
        seconds = self._machine.patience.probe_seconds
        return await sign_of_life(self._engine, running.endpoint, seconds) in (Sign.TOKEN, Sign.WORD)

    def _note_ready(self, running: Running) -> None:
        self.was_ready_at = self.last_used_at = self.heard_at = self._machine.clock.monotonic()
        if self._ready_at_micros is None:
            self._ready_at_micros = self._machine.clock.unix_micros()
            self._machine.supervisor.note_ready(running, self._ready_at_micros)
        self._shared = SharedTime(self._now_micros())
        self.is_suspect = False
        self._change(ReplicaState.READY)
        self.settled.set()

    def _note_end(self, running: Running) -> None:
        self._shared = self._shared.until(self._now_micros())
        self._ended_at_micros = self._machine.supervisor.ended_at(running)

    def _now_micros(self) -> int:
        """Return microseconds of the clock that never goes back, those of the end once it has ended."""
        return self._shared.at_micros if self._has_ended else round(self._machine.clock.monotonic() * MICROS)

    def _change(self, state: ReplicaState) -> None:
        self.state = state
        self._machine.on_change(self.seen())
