"""Ports of deployments: what is stored of them, and what the books have of their replicas' seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.domain.dedicated import Deployment
from headrace.domain.deployment_costs import Served
from headrace.domain.replica_run import ReplicaRun


class DeploymentStore(Protocol):
    """Stored deployments: desired state with what the reconciler last said of it."""

    async def put(self, deployment: Deployment) -> None:
        """Store a deployment, or replace the one of its id; raises Conflict when another has its name."""
        ...

    async def remove(self, deployment_id: str) -> bool:
        """Forget a deployment; returns whether there was one."""
        ...

    async def list(self) -> tuple[Deployment, ...]:
        """Return every deployment, oldest first."""
        ...


class ReplicaRuns(Protocol):
    """Runs of replicas with their ledger lines; each method is one commit, and may be repeated."""

    async def begin(self, run: ReplicaRun) -> None:
        """Store a run that has started; one of its id that is there already stays as it is."""
        ...

    async def meter(self, run: ReplicaRun, scopes: Sequence[str]) -> int:
        """Store the run as it is now and book what it owes since it was last metered.

        The amount is what is owed up to `metered_to_micros` less what the books have, so that the sum of a run's lines
        is exact. Every scope's spending grows by it. Returns the nano-dollars booked.
        """
        ...

    async def unfinished(self) -> tuple[ReplicaRun, ...]:
        """Return the runs that are not gone, oldest first."""
        ...

    async def of(self, deployment_id: str, since_micros: int, until_micros: int) -> tuple[ReplicaRun, ...]:
        """Return a deployment's runs that overlap a span of time, oldest first."""
        ...


class DeploymentUse(Protocol):
    """What the books have of a deployment's requests."""

    async def served(self, deployment_id: str, since_micros: int, until_micros: int) -> Served:
        """Return the sums of its attempts that were settled and ended from then up to then."""
        ...
