"""Events of deployments: every change of a status or of a number of replicas, with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.dedicated import DeploymentStatus


@dataclass(frozen=True, slots=True)
class DeploymentEvent:
    """One change: how the deployment stands since then, and why; the time is microseconds since 1970 UTC.

    `wanted` replicas are asked for and `ready` ones can be sent to. `is_gone` says that it was deleted.
    """

    at_micros: int
    deployment_id: str
    name: str
    status: DeploymentStatus
    wanted: int
    ready: int
    reason: str
    is_gone: bool = False
