"""Room for one more replica on this machine: memory and whole accelerators; who may be put to sleep for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from headrace.domain.deployment import DeploymentSpec
from headrace.domain.errors import EngineFailed
from headrace.drivers.compute.devices import DeviceBook
from headrace.drivers.compute.local_deployment import LocalDeployment
from headrace.drivers.compute.replica import LiveReplica

GIB = 1024**3


class Room:
    """What all replicas together may take; `memory_bytes` of None is no limit. Hold `lock` from looking to taking."""

    def __init__(
        self, memory_bytes: int | None, devices: DeviceBook, deployments: Callable[[], Iterable[LocalDeployment]]
    ) -> None:
        self.lock = asyncio.Lock()
        self.devices = devices
        self._memory_bytes = memory_bytes
        self._deployments = deployments

    async def check(self, spec: DeploymentSpec) -> None:
        """Raise EngineFailed when a replica can never have room here."""
        self._check_memory(spec)
        await self.devices.check(spec.gpus)

    async def make(self, spec: DeploymentSpec, replica: str) -> tuple[int, ...]:
        """Put idle embedded models to sleep until there is room, and return the replica's devices.

        Raises EngineFailed that says what is missing and who has it.
        """
        await self._make_memory(spec)
        return await self.devices.take(replica, spec.gpus)

    async def end(self, replica: LiveReplica) -> None:
        """Stop a replica and give back what it had."""
        await replica.stop()
        self.devices.give_back(replica.name)
        for entry in self._deployments():
            entry.forget(replica)

    def _check_memory(self, spec: DeploymentSpec) -> None:
        limit, need = self._memory_bytes, spec.memory_bytes
        if limit is not None and need > limit:
            raise EngineFailed(
                f'"{spec.called}" needs {need / GIB:.2f} GiB; all local models together may take'
                f" {limit / GIB:.2f} GiB. Raise the memory limit."
            )

    async def _make_memory(self, spec: DeploymentSpec) -> None:
        limit, need = self._memory_bytes, spec.memory_bytes
        if limit is None:
            return
        self._check_memory(spec)
        while self._used_bytes() + need > limit:
            idle = self._longest_idle()
            if idle is None:
                busy = ", ".join(sorted({each.spec.called for each in self._all_live()}))
                raise EngineFailed(
                    f'There is no room for "{spec.called}" ({need / GIB:.2f} GiB) within the memory limit'
                    f" of {limit / GIB:.2f} GiB: {busy} may not be put to sleep now. Retry when idle.",
                    retry_after_seconds=5.0,
                )
            await self.end(idle)

    def _all_live(self) -> list[LiveReplica]:
        return [each for entry in self._deployments() for each in entry.live]

    def _used_bytes(self) -> int:
        return sum(each.spec.memory_bytes for each in self._all_live())

    def _longest_idle(self) -> LiveReplica | None:
        spare = [
            replica
            for entry in self._deployments()
            if not entry.spec.is_scaled
            for replica in entry.live
            if replica.is_idle and len(entry.live) > entry.spec.min_replicas
        ]
        return min(spare, key=lambda each: each.last_used_at, default=None)
