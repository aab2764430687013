"""The fleet: one door to the endpoints of every target, whether a provider's or a deployment's."""

from __future__ import annotations

from headrace.domain.errors import UpstreamAuthFailed
from headrace.domain.plan import Endpoint, Target
from headrace.domain.secret import Secret
from headrace.ports.fleet import Compute, Lease


class TargetFleet:
    """Gives providers' static endpoints out at once and asks the compute driver for deployments'.

    Targets of `in_process` adapters run in this process and have no endpoint to wait for.
    """

    def __init__(self, compute: Compute, in_process: frozenset[str] = frozenset()) -> None:
        self._compute = compute
        self._in_process = in_process

    async def acquire(self, target: Target, wait_seconds: float) -> Lease:
        """Return a lease on an endpoint of this target; raises EngineFailed, UpstreamAuthFailed."""
        if target.adapter in self._in_process:
            return Lease(Endpoint(target.provider.base_url), _nothing)
        if target.deployment is not None:
            return await self._compute.acquire(target.deployment, wait_seconds)
        return Lease(_provider_endpoint(target), _nothing)


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
