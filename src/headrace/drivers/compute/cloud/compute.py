"""The `cloud` compute driver: our deployments as dedicated inferences of a cloud, asked in the background.

It deletes nothing but what carries this installation's name. Which replica answers is the cloud's choice: all stand
behind one endpoint. What the public contract has no words for (logs, which replica is silent) is not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Collection, Mapping, Sequence

from headrace.domain.dedicated import Standing
from headrace.domain.deployment import DeploymentSpec, Replica
from headrace.domain.errors import EngineFailed, HeadraceError
from headrace.drivers.compute.cloud.deployment import DELETING, CloudDeployment
from headrace.drivers.compute.cloud.parts import CloudParts
from headrace.drivers.compute.cloud.spec_json import public_plan
from headrace.ports.fleet import Lease, ReadyReplica

PREFIX = "headrace"
SHORTEST_WAIT_SECONDS = 0.01


class CloudCompute:
    """Runs deployments at a cloud; call `open` once before the first `acquire`.

    `installation` tells this home's deployments from those of others at the same cloud, in letters and digits.
    """

    scales_itself = False

    def __init__(self, parts: CloudParts, installation: str) -> None:
        self._parts = parts
        self._prefix = f"{PREFIX}-{installation}-"
        self._clock = parts.clock
        self._deployments: dict[str, CloudDeployment] = {}
        self._poked = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to ask the cloud in the background."""
        self._polling = asyncio.get_running_loop().create_task(self._poll_forever(), name="cloud polling")
        self._polling.add_done_callback(_report)

    async def end_unknown(self, known: Collection[str]) -> None:
        """Delete what carries this installation's name and belongs to no deployment that is known."""
        if not self._parts.client.access.is_set:
            return
        for each in await self._parts.client.named(self._prefix):
            if each.name.removeprefix(self._prefix) not in known and each.status != DELETING:
                await self._parts.client.delete(each.id)

    async def apply(self, spec: DeploymentSpec) -> None:
        """Make the deployment known, take over what is at the cloud of it, and have changes rolled out there.

        Raises DriverUnusable naming what to set, EngineFailed for what the cloud does not take.
        """
        self._parts.client.access.check()
        public_plan(spec, 1)
        entry = self._deployments.get(spec.id)
        if entry is None:
            entry = self._deployments[spec.id] = CloudDeployment(spec, self._name(spec.id), self._parts, self._poke)
        elif entry.spec == spec and (entry.is_looked_at or entry.failure is not None):
            self._repeat_failure(entry)
            return
        entry.spec = spec
        await self._step(entry)

    async def scale(self, deployment: str, replicas: int) -> None:
        """Ask for so many replicas; with none the dedicated inference is deleted once it has no request of ours."""
        entry = self._known(deployment)
        if entry.want(replicas):
            await self._step(entry)
        else:
            self._repeat_failure(entry)

    def observe(self) -> Sequence[Replica]:
        """Return all replicas as last seen."""
        return [replica for entry in self._deployments.values() for replica in entry.observed()]

    def standing(self, deployment: str) -> Standing | None:
        """Return how a deployment stands; None when it is not known, or the cloud was not asked yet."""
        entry = self._deployments.get(deployment)
        return None if entry is None else entry.standing()

    def ready(self, deployment: str) -> Sequence[ReadyReplica]:
        """Return the replicas that can be sent to now, from memory."""
        entry = self._deployments.get(deployment)
        return [] if entry is None else [ReadyReplica(each.name, each.leases) for each in entry.ready()]

    def lease(self, deployment: str, replica: str) -> Lease | None:
        """Return the right to send one request to the endpoint in the name of that replica."""
        entry = self._deployments.get(deployment)
        found = None if entry is None else entry.replica(replica)
        return None if entry is None or found is None else entry.lease(found)

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        """Return a lease on a ready replica, asking the cloud for one when there is none; raises EngineFailed."""
        entry = self._known(deployment)
        entry.waiting += 1
        try:
            async with asyncio.timeout(wait_seconds):
                return await self._lease(entry)
        except TimeoutError:
            raise entry.refusal(wait_seconds) from None
        finally:
            entry.waiting -= 1

    def report(self, deployment: str, replica: str, *, is_well: bool) -> None:
        """Leave a replica that did not answer out for a while, and ask the cloud what it has."""
        entry = self._deployments.get(deployment)
        found = None if entry is None else entry.replica(replica)
        if entry is None or found is None:
            return
        if is_well:
            found.answered()
        else:
            found.failed(self._parts.policy.rest_seconds)
            entry.doubt()

    async def figures(self, deployment: str) -> Mapping[str, Mapping[str, float]]:
        """Return nothing: the public contract has no words for it."""
        del deployment
        return {}

    async def logs(self, deployment: str, replica: str | None, lines: int) -> Mapping[str, Sequence[str]]:
        """Return nothing: the public contract gives no logs."""
        del deployment, replica, lines
        return {}

    async def remove(self, deployment: str) -> None:
        """Have everything of the deployment deleted, wait until it is gone, and forget it; raises EngineFailed."""
        entry = self._deployments.get(deployment)
        if entry is not None and await self._may_exist(deployment):
            entry.leave()
            await self._until_gone(entry)
        elif entry is None and self._parts.client.access.is_set:
            found = await self._parts.client.find(self._name(deployment))
            if found is not None:
                await self._parts.client.delete(found.id)
        self._deployments.pop(deployment, None)
        await self._parts.notes.drop(deployment)

    async def close(self) -> None:
        """Stop asking; whatever runs at the cloud goes on."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        await self._parts.client.close()

    async def tick(self) -> None:
        """Take the next step of every deployment whose time has come."""
        now = self._clock.monotonic()
        due = [each for each in self._deployments.values() if each.next_at <= now]
        await asyncio.gather(*(self._quiet_step(each) for each in due))

    async def _may_exist(self, deployment: str) -> bool:
        """Whether something of it can be at the cloud: without address and token only a note could say so."""
        return self._parts.client.access.is_set or await self._parts.notes.recall(deployment) is not None

    async def _until_gone(self, entry: CloudDeployment) -> None:
        policy = self._parts.policy
        try:
            async with asyncio.timeout(policy.remove_seconds):
                await self._step(entry)
                while not entry.is_gone:
                    await asyncio.sleep(policy.busy_seconds)
                    await self._step(entry)
        except TimeoutError:
            raise EngineFailed(
                f'"{entry.spec.name or entry.spec.id}" is still being deleted at the cloud.',
                retry_after_seconds=policy.busy_seconds,
            ) from None

    async def _lease(self, entry: CloudDeployment) -> Lease:
        while True:
            if entry.is_leaving:
                raise _unknown(entry.spec.id)
            changed = entry.changed
            replica = min(entry.ready(), key=lambda each: each.leases, default=None)
            lease = None if replica is None else entry.lease(replica)
            if lease is not None:
                return lease
            if entry.is_hopeless:
                raise entry.refusal(0.0)
            if not entry.wanted and entry.want(1):
                self._poke()
            await changed.wait()

    async def _step(self, entry: CloudDeployment) -> None:
        try:
            await entry.step()
        finally:
            self._poke()

    async def _quiet_step(self, entry: CloudDeployment) -> None:
        with contextlib.suppress(HeadraceError):
            await entry.step()

    def _repeat_failure(self, entry: CloudDeployment) -> None:
        failure = entry.again()
        if failure is not None:
            raise failure

    def _known(self, deployment: str) -> CloudDeployment:
        entry = self._deployments.get(deployment)
        if entry is None or entry.is_leaving:
            raise _unknown(deployment)
        return entry

    def _name(self, deployment: str) -> str:
        return f"{self._prefix}{deployment}"

    def _poke(self) -> None:
        self._poked.set()

    async def _poll_forever(self) -> None:
        while True:
            self._poked.clear()
            await self.tick()
            next_at = min((each.next_at for each in self._deployments.values()), default=math.inf)
            wait = None if next_at == math.inf else max(SHORTEST_WAIT_SECONDS, next_at - self._clock.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._poked.wait()


def _unknown(deployment: str) -> EngineFailed:
    return EngineFailed(f'The deployment "{deployment}" is not known or is being removed.')


def _report(task: asyncio.Task[None]) -> None:
    failure = None if task.cancelled() else task.exception()
    if failure is not None:
        task.get_loop().call_exception_handler({"message": "cloud polling failed", "exception": failure, "task": task})
