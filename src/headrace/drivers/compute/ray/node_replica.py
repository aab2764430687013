"""One replica on a node: its engine as a supervised child, from the order to the end; the cluster is not known here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from headrace.domain.deployment import LaunchPlan
from headrace.domain.errors import EngineFailed
from headrace.domain.plan import Endpoint
from headrace.drivers.compute.ray.order import ReplicaFacts, ReplicaOrder
from headrace.drivers.compute.ray.relay import Relay
from headrace.ports.ambient import Clock
from headrace.ports.fleet import CheckedEngine, Engine, Running, Supervisor

READY_SECONDS = 900.0
POLL_SECONDS = 0.25
GRACE_SECONDS = 5.0
# An engine that gave no sign of life for so long is asked for a token; with requests in it, it has longer.
QUIET_SECONDS = 5.0
BUSY_QUIET_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What a replica finds on its node: `facts` is the file that it tells of itself in."""

    name: str
    engines: Mapping[str, Engine]
    supervisor: Supervisor
    weights: Callable[[ReplicaOrder], Awaitable[tuple[Path, ...]]]
    clock: Clock
    facts: Path
    devices: tuple[int, ...] = ()


class NodeReplica:
    """An engine that is started, watched and ended with this process, and the relay in front of it."""

    def __init__(self, order: ReplicaOrder, parts: NodeParts) -> None:
        self._order = order
        self._parts = parts
        self._running: Running | None = None
        self._watch: asyncio.Task[str] | None = None
        self._active_at = parts.clock.monotonic()
        self._engine = self._known_engine()
        self.relay = Relay(order, self)

    @property
    def endpoint(self) -> Endpoint:
        """Where the engine listens on this node; raises EngineFailed before its start."""
        if self._running is None:
            raise EngineFailed(f'The engine of "{self._order.deployment}" is not running.')
        return self._running.endpoint

    def active(self) -> None:
        """Note a sign of life."""
        self._active_at = self._parts.clock.monotonic()

    async def start(self) -> None:
        """Start the engine and return when it made a real token; raises EngineFailed, DriverUnusable, UpstreamError."""
        if isinstance(self._engine, CheckedEngine):
            await self._engine.check()
        spec = self._order.spec(await self._parts.weights(self._order))
        plan: LaunchPlan = replace(self._engine.launch(spec, self._parts.name), devices=self._parts.devices)
        running = self._running = await self._parts.supervisor.start(plan)
        self._watch = asyncio.get_running_loop().create_task(self._parts.supervisor.exited(running))
        try:
            await self._until_ready(running, self._watch)
        except BaseException:
            await self.stop()
            raise
        self.active()
        self._tell(running)

    async def check(self) -> None:
        """Raise EngineFailed when the engine has ended, or lives and answers nothing."""
        if self._watch is None or self._watch.done():
            how = "it was not started" if self._watch is None else self._watch.result()
            raise EngineFailed(f'The engine of "{self._order.deployment}" has ended: {how}')
        quiet = self._parts.clock.monotonic() - self._active_at
        if quiet < (BUSY_QUIET_SECONDS if self.relay.in_flight else QUIET_SECONDS):
            return
        if not await self._engine.ready(self.endpoint):
            raise EngineFailed(f'The engine of "{self._order.deployment}" is silent: it gave no token when asked.')
        self.active()

    async def ended(self) -> str:
        """Return, when the engine has ended without being asked to, how it did."""
        if self._watch is None:
            raise EngineFailed(f'The engine of "{self._order.deployment}" is not running.')
        return await asyncio.shield(self._watch)

    async def stop(self) -> None:
        """End the engine and return when it is gone."""
        await self.relay.close()
        watch, self._watch = self._watch, None
        running, self._running = self._running, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait((watch,))
        if running is not None:
            await self._parts.supervisor.stop(running, GRACE_SECONDS)
        self._parts.facts.unlink(missing_ok=True)

    def _known_engine(self) -> Engine:
        engine = self._parts.engines.get(self._order.engine)
        if engine is None:
            known = ", ".join(sorted(self._parts.engines))
            raise EngineFailed(
                f'This node has no engine "{self._order.engine}"; it has: {known}. Put the engine\'s file into'
                " HOME/catalog/engines on every node."
            )
        return engine

    async def _until_ready(self, running: Running, watch: asyncio.Task[str]) -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not watch.done() and not await self._engine.ready(running.endpoint):
                    await asyncio.wait((watch,), timeout=POLL_SECONDS)
        except TimeoutError:
            last = self._parts.supervisor.tail(running) or "none"
            raise EngineFailed(
                f'The engine of "{self._order.deployment}" gave no token within {READY_SECONDS:g} s of its start;'
                f" its last line: {last}"
            ) from None
        if watch.done():
            raise EngineFailed(f'The engine of "{self._order.deployment}" ended while starting: {watch.result()}')

    def _tell(self, running: Running) -> None:
        facts = ReplicaFacts(self._parts.clock.unix_micros(), running.pid)
        self._parts.facts.parent.mkdir(parents=True, exist_ok=True)
        partial = self._parts.facts.with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(facts))
        partial.replace(self._parts.facts)
