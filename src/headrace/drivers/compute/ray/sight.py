"""Takes what Ray reports of an application into what is known of its deployment, and tells of every change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

import msgspec

from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.errors import HeadraceError
from headrace.drivers.compute.ray.cluster import SeenApplication, SeenReplica
from headrace.drivers.compute.ray.deployment import RayDeployment, RayReplica
from headrace.drivers.compute.ray.order import LOG_FOLDER, ReplicaFacts, replica_name
from headrace.ports.ambient import Clock

FACTS_LINES, FACTS_PAUSE_SECONDS = 10, 0.2
KEPT_GONE = 8
_FACTS = msgspec.json.Decoder(ReplicaFacts)


class Sight:
    """Sees replicas come, become ready and go; `log` reads the end of a file in a node's Ray logs.

    `facts_seconds` is how long a node is waited for that does not say since when its replica is ready.
    """

    def __init__(
        self,
        log: Callable[[str, str, int], Awaitable[bytes | None]],
        clock: Clock,
        on_change: Callable[[Replica], None] | None,
        facts_seconds: float,
    ) -> None:
        self._log = log
        self._facts_seconds = facts_seconds
        self._clock = clock
        self._on_change = on_change

    async def take(self, entry: RayDeployment, application: SeenApplication | None) -> None:
        """Take in what is seen now; None is an application that is not there."""
        entry.application = application
        replicas = () if application is None else application.replicas
        # One that has no time yet is not started.
        seen = {each.replica_id: each for each in replicas if each.start_time_s}
        await asyncio.gather(*(self._take_replica(entry, each) for each in seen.values()))
        is_wanted = entry.is_ending or (application is not None and not application.target)
        self.end(entry, [each for each in entry.replicas if each not in seen], is_wanted=is_wanted)
        if entry.ready:
            entry.failed = None
            if entry.woken_at is not None:
                entry.wake_seconds = self._clock.monotonic() - entry.woken_at
                entry.woken_at = None
        entry.notify()

    def end(self, entry: RayDeployment, replicas: Collection[str], *, is_wanted: bool) -> None:
        """Note that replicas are gone; one that nobody wanted to end has failed."""
        for each in replicas:
            mine = entry.replicas.pop(each)
            mine.ended_at_micros = self._clock.unix_micros()
            has_failed = not is_wanted and (mine.ready_at_micros is None or mine.state is ReplicaState.READY)
            mine.state = ReplicaState.FAILED if has_failed else ReplicaState.STOPPING
            if has_failed:
                mine.reason = (
                    _reason(entry) or mine.reason or f"Ray reports no more of it; it ran on node {mine.node[:12]}."
                )
                entry.failed = mine
            entry.gone = [*entry.gone, mine][-KEPT_GONE:]
            self._tell(mine)

    async def file(self, node: str, name: str, lines: int) -> bytes | None:
        """Return the end of one of our files in the Ray logs of a node, None where it cannot be read."""
        try:
            return await self._log(node, f"{LOG_FOLDER}/{name}", lines)
        except HeadraceError:
            return None

    async def _take_replica(self, entry: RayDeployment, seen: SeenReplica) -> None:
        mine = entry.replicas.get(seen.replica_id)
        before = None if mine is None else mine.told()
        mine = mine or RayReplica(entry.spec.id, seen, self._clock)
        state = mine.state_in(seen)
        mine.node, mine.pid = seen.node_id or mine.node, seen.pid or mine.pid
        if state is ReplicaState.READY and mine.ready_at_micros is None:
            mine.ready_at_micros = await self._ready_at(mine)
        mine.state = state
        mine.reason = _reason(entry) if state is ReplicaState.STARTING else ""
        entry.replicas[mine.id] = mine
        if mine.told() != before:
            self._tell(mine)

    async def _ready_at(self, replica: RayReplica) -> int:
        """Return when a replica says that it was ready, at worst when it was first seen to be."""
        seen_at = self._clock.unix_micros()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._facts_seconds):
                return max(await self._told_ready_at(replica), replica.started_at_micros)
        return seen_at

    async def _told_ready_at(self, replica: RayReplica) -> int:
        while True:
            text = await self.file(replica.node, f"{replica_name(replica.id)}.json", FACTS_LINES)
            with suppress(msgspec.DecodeError):
                return _FACTS.decode(text or b"").ready_at_micros
            await asyncio.sleep(FACTS_PAUSE_SECONDS)

    def _tell(self, replica: RayReplica) -> None:
        if self._on_change is not None:
            self._on_change(replica.told())


def _reason(entry: RayDeployment) -> str:
    return "" if entry.application is None else entry.application.reason
