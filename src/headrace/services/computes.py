"""One compute driver made of several: each deployment goes on to the driver that its specification names."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from headrace.domain.dedicated import Standing
from headrace.domain.deployment import DeploymentSpec, Replica
from headrace.domain.errors import DriverUnusable, EngineFailed
from headrace.domain.names import did_you_mean
from headrace.domain.picking import ReadyReplica
from headrace.ports.fleet import Compute, Lease

FIRST_LOOK_SECONDS = 10.0


def unmeasured(deployment: str) -> float | None:
    """Return that nobody measured a deployment."""
    del deployment


class Computes:
    """Passes everything on to the driver of each deployment, as it was last applied.

    `first_token_ms` says how long the last answers of a deployment took to their first event, which no driver sees. A
    request for what has not been looked at yet waits `first_look_seconds` for that to begin.
    Whether a deployment's cluster scales by itself is asked of its own driver: see `driver`.
    """

    scales_itself = False

    def __init__(
        self,
        drivers: Mapping[str, Compute],
        first_token_ms: Callable[[str], float | None] = unmeasured,
        first_look_seconds: float = FIRST_LOOK_SECONDS,
    ) -> None:
        self._drivers = drivers
        self._first_token_ms = first_token_ms
        self._first_look_seconds = first_look_seconds
        self._by_deployment: dict[str, Compute] = {}
        self._asked: set[str] = set()
        self._changed = asyncio.Event()

    def driver(self, name: str) -> Compute:
        """Return the driver of a name; raises DriverUnusable naming those that there are."""
        driver = self._drivers.get(name)
        if driver is None:
            hint = did_you_mean(name, self._drivers)
            raise DriverUnusable(
                f'No compute driver is named "{name[:80]}". {hint}'.rstrip()
                + f" There are: {', '.join(sorted(self._drivers)) or 'none'}."
            )
        return driver

    async def apply(self, spec: DeploymentSpec) -> None:
        """Make the deployment known to its driver; raises DriverUnusable for a driver that there is not."""
        driver = self.driver(spec.driver)
        self._by_deployment[spec.id] = driver
        is_first = spec.id not in self._asked
        if is_first:
            self._pulse()
        try:
            await driver.apply(spec)
        finally:
            self._asked.add(spec.id)
            if is_first:
                self._pulse()

    async def scale(self, deployment: str, replicas: int) -> None:
        """Ask for so many replicas; raises EngineFailed for a deployment that was not applied."""
        await self._of(deployment).scale(deployment, replicas)

    def observe(self) -> Sequence[Replica]:
        """Return the replicas of all drivers."""
        return [replica for driver in self._drivers.values() for replica in driver.observe()]

    def standing(self, deployment: str) -> Standing | None:
        """Return how a deployment stands, with the time to its first token."""
        driver = self._by_deployment.get(deployment)
        standing = None if driver is None else driver.standing(deployment)
        if standing is None or standing.first_token_ms is not None:
            return standing
        first_token_ms = self._first_token_ms(deployment)
        return standing if first_token_ms is None else replace(standing, first_token_ms=first_token_ms)

    def ready(self, deployment: str) -> Sequence[ReadyReplica]:
        """Return the replicas that can be sent to now."""
        driver = self._by_deployment.get(deployment)
        return () if driver is None else driver.ready(deployment)

    def lease(self, deployment: str, replica: str) -> Lease | None:
        """Return the right to send one request to that replica, or None."""
        driver = self._by_deployment.get(deployment)
        return None if driver is None else driver.lease(deployment, replica)

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        """Return a ready replica's endpoint, starting one when there is none; raises EngineFailed.

        Who comes before the first look at a deployment, at a start or right after it was made, waits for that.
        """
        if deployment not in self._asked:
            await self._first_look(deployment, wait_seconds)
        return await self._of(deployment).acquire(deployment, wait_seconds)

    def report(self, deployment: str, replica: str, *, is_well: bool) -> None:
        """Say whether a replica answered."""
        driver = self._by_deployment.get(deployment)
        if driver is not None:
            driver.report(deployment, replica, is_well=is_well)

    async def figures(self, deployment: str) -> Mapping[str, Mapping[str, float]]:
        """Return what the engines of its replicas say of themselves."""
        driver = self._by_deployment.get(deployment)
        return {} if driver is None else await driver.figures(deployment)

    async def logs(self, deployment: str, replica: str | None, lines: int) -> Mapping[str, Sequence[str]]:
        """Return the last lines of each replica's log; none for a deployment that was not applied."""
        driver = self._by_deployment.get(deployment)
        return {} if driver is None else await driver.logs(deployment, replica, lines)

    async def remove(self, deployment: str) -> None:
        """Stop all replicas and forget the deployment; one that was not applied is removed wherever it may be."""
        driver = self._by_deployment.get(deployment)
        for each in self._drivers.values() if driver is None else (driver,):
            await each.remove(deployment)
        self._by_deployment.pop(deployment, None)
        self._asked.discard(deployment)

    async def close(self) -> None:
        """Stop what must not outlive this process, in every driver."""
        await asyncio.gather(*(each.close() for each in self._drivers.values()))

    async def _first_look(self, deployment: str, wait_seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        limit = asyncio.timeout_at(now + min(wait_seconds, self._first_look_seconds))
        with contextlib.suppress(TimeoutError):
            async with limit:
                await self._looked(deployment, limit, now + wait_seconds)

    async def _looked(self, deployment: str, limit: asyncio.Timeout, until: float) -> None:
        while deployment not in self._asked:
            if deployment in self._by_deployment:
                # Its driver is being asked: an engine may be looked for, which takes its time.
                limit.reschedule(until)
            await self._changed.wait()

    def _pulse(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _of(self, deployment: str) -> Compute:
        driver = self._by_deployment.get(deployment)
        if driver is None:
            raise EngineFailed(
                f'Nothing runs of the deployment "{deployment}" yet, or no more; its status says why.',
                retry_after_seconds=5.0,
            )
        return driver
