"""Embedded models as deployments: what the compute driver is told when a snapshot says that weights are here."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.domain.catalog import Model
from headrace.domain.deployment import DeploymentSpec, OwnerLoss
from headrace.domain.snapshot import Snapshot
from headrace.ports.fleet import Compute, Weights
from headrace.services.tasks import Tasks

DRIVER = "local"


class EmbeddedDeployments:
    """Keeps the compute driver's deployments in step with the snapshot."""

    def __init__(self, compute: Compute, weights: Weights, engines: Iterable[str], tasks: Tasks) -> None:
        self._compute = compute
        self._weights = weights
        self._engines = frozenset(engines)
        self._tasks = tasks

    async def apply(self, snapshot: Snapshot) -> None:
        """Make every embedded model whose weights are here a deployment at scale 0:1."""
        for entries in snapshot.models.values():
            for entry in entries:
                spec = self._spec(entry.model)
                if spec is not None:
                    await self._compute.apply(spec)

    def follow(self, snapshot: Snapshot) -> None:
        """Apply a new snapshot in the background."""
        self._tasks.start("apply deployments", self.apply(snapshot))

    def _spec(self, model: Model) -> DeploymentSpec | None:
        local = model.local
        if local is None or not local.weights or model.deployment is not None or local.engine not in self._engines:
            return None
        paths = [self._weights.path(file) for file in local.weights]
        present = tuple(path for path in paths if path is not None)
        if len(present) < len(paths):
            return None
        return DeploymentSpec(
            id=model.id,
            model_id=model.id,
            engine=local.engine,
            driver=DRIVER,
            weights=present,
            memory_bytes=local.memory_bytes,
            context_length=model.context_length,
            slots=local.slots,
            min_replicas=0,
            max_replicas=1,
            idle_seconds=local.idle_seconds,
            on_owner_loss=OwnerLoss.STOP,
        )
