"""The fleet: one door to the endpoints of every target, whether a provider's or a deployment's.

Which replica of a deployment a request gets is the domain's to pick; replicas that failed lately are left out of it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace

from headrace.domain.call import Call
from headrace.domain.dedicated import Deployment, Standing, WhenAsleep
from headrace.domain.errors import DeploymentAsleep, HeadraceError, UpstreamAuthFailed
from headrace.domain.picking import pick
from headrace.domain.plan import Endpoint, Target
from headrace.domain.secret import Secret
from headrace.ports.fleet import Compute, Fleet, Lease
from headrace.services.autoscaling import Objection, no_objection
from headrace.services.closing import ANSWERED, CONNECTION_REUSED, blames_replica
from headrace.wire.prompt_prefix import prompt_prefix

EJECTED_SECONDS = 5.0
# What a start is taken to last before there was one.
DEFAULT_WAKE_SECONDS = 30.0
# Budgets are raised and windows begin anew; sooner there is nothing to hope for.
UNPAID_SECONDS = 60.0


def loop_seconds() -> float:
    """Return the time of the running event loop."""
    return asyncio.get_running_loop().time()


def _unknown(_deployment: str, _replica: str) -> None:
    """Know no price."""


class TargetFleet:
    """Gives providers' static endpoints out at once, picks among deployments' replicas, and wakes what sleeps.

    Targets of `in_process` adapters run in this process and have no endpoint to wait for. `wake` starts a deployment
    in the background, unless `objection` has something against it. `now` is in seconds and never goes back. `hourly`
    says what an hour of a deployment's replica costs, in nano-dollars, None while nobody knows.
    """

    def __init__(
        self,
        compute: Compute,
        in_process: frozenset[str] = frozenset(),
        wake: Callable[[Deployment], None] | None = None,
        now: Callable[[], float] = loop_seconds,
        objection: Objection = no_objection,
        hourly: Callable[[str, str], int | None] = _unknown,
    ) -> None:
        self._compute = compute
        self._in_process = in_process
        self._wake = wake
        self._now = now
        self._objection = objection
        self._hourly = hourly
        self._ejected: dict[tuple[str, str], float] = {}

    async def acquire(self, target: Target, wait_seconds: float, prefix: bytes = b"") -> Lease:
        """Return a lease on an endpoint of this target; raises EngineFailed, DeploymentAsleep, UpstreamAuthFailed.

        A deployment that its operator scales has its own bound of waiting.
        """
        if target.adapter in self._in_process:
            return Lease(Endpoint(target.provider.base_url), _nothing)
        if target.deployment is None:
            return Lease(_provider_endpoint(target), _nothing)
        deployment = target.model.deployment
        if deployment is None:
            return await self._compute.acquire(target.deployment, wait_seconds)
        lease = await self._of_deployment(deployment, prefix)
        hourly = self._hourly(deployment.id, lease.endpoint.replica or "")
        return replace(lease, deployment=deployment.id, nano_per_hour=hourly)

    def report(self, lease: Lease, *, is_well: bool) -> None:
        """Say whether a replica answered; one that did not is left out while others are there, and its driver looks."""
        replica = lease.endpoint.replica
        if lease.deployment is None or replica is None:
            return
        place = lease.deployment, replica
        if not is_well:
            now = self._now()
            kept = {each: until for each, until in self._ejected.items() if until > now}
            self._ejected = {**kept, place: now + EJECTED_SECONDS}
        elif self._ejected:
            self._ejected.pop(place, None)
        self._compute.report(*place, is_well=is_well)

    async def _of_deployment(self, deployment: Deployment, prefix: bytes) -> Lease:
        wanted = deployment.wanted
        lease = self._picked(deployment.id, prefix, wanted.slots)
        if lease is not None:
            return lease
        standing = self._compute.standing(deployment.id)
        if standing is None or standing.wanted == 0:
            await self._require_means(deployment)
        if wanted.when_asleep is WhenAsleep.WAIT or (standing is not None and standing.ready):
            return await self._compute.acquire(deployment.id, wanted.wait_seconds)
        if self._wake is not None:
            self._wake(deployment)
        raise asleep(deployment, standing)

    async def _require_means(self, deployment: Deployment) -> None:
        """Raise DeploymentAsleep where a replica would be started that nobody could pay."""
        objection = await self._objection(deployment)
        if objection is not None:
            raise DeploymentAsleep(
                f'The deployment "{deployment.name}" sleeps, and is not woken. {objection}',
                retry_after_seconds=UNPAID_SECONDS,
            )

    def _picked(self, deployment: str, prefix: bytes, slots: int) -> Lease | None:
        ready = self._compute.ready(deployment)
        if self._ejected:
            now, ejected = self._now(), self._ejected
            # Where every replica failed lately, asking one again is better than asking none.
            ready = [each for each in ready if ejected.get((deployment, each.id), 0.0) <= now] or ready
        while ready:
            picked = pick(prefix, ready, slots)
            lease = self._compute.lease(deployment, picked)
            if lease is not None:
                endpoint = lease.endpoint
                return lease if endpoint.replica else replace(lease, endpoint=replace(endpoint, replica=picked))
            ready = [each for each in ready if each.id != picked]
        return None


def prefix_of(call: Call, target: Target) -> bytes:
    """Return what a call's replica is picked by; empty where there is nothing to pick from."""
    deployment = target.model.deployment
    return b"" if deployment is None or deployment.wanted.max_scale < 2 else prompt_prefix(call)


def asleep(deployment: Deployment, standing: Standing | None) -> DeploymentAsleep:
    """Return the error for a request that does not wait for a replica: when to come back is how long a start takes."""
    wait = math.ceil(wake_seconds(standing))
    return DeploymentAsleep(
        f'The deployment "{deployment.name}" sleeps and its requests do not wait for it (when_asleep is'
        f' "{deployment.wanted.when_asleep.value}"). It is being woken; retry in {wait} s.',
        retry_after_seconds=wait,
    )


def wake_seconds(standing: Standing | None) -> float:
    """Return how long a start from nothing takes: the last one, or what is usual."""
    known = None if standing is None else standing.wake_seconds
    return DEFAULT_WAKE_SECONDS if known is None else known


def report_end(fleet: Fleet, lease: Lease | None, error: BaseException | None) -> None:
    """Tell the fleet how an attempt on a deployment's replica ended, where that says something of the replica.

    A connection that idled too long says nothing: if its replica is gone, the next one is refused.
    """
    if lease is None or lease.deployment is None:
        return
    if error is None or isinstance(error, ANSWERED):
        fleet.report(lease, is_well=True)
    elif blames_replica(error) and not (isinstance(error, HeadraceError) and error.code == CONNECTION_REUSED):
        fleet.report(lease, is_well=False)


def _provider_endpoint(target: Target) -> Endpoint:
    provider = target.provider
    if not provider.needs_credential:
        return Endpoint(provider.base_url)
    if target.credential is None:
        raise UpstreamAuthFailed(f"The provider {provider.name} has no credential.", code="upstream_auth_failed")
    secret = target.credential.secret.reveal()
    value = f"Bearer {secret}" if provider.auth == "bearer" else secret
    return Endpoint(provider.base_url, provider.auth_header, Secret(value))


def _nothing() -> None:
    """Release nothing: a provider's endpoint is not counted here."""
