"""Removes the weights of a model from this machine: what still needs them, and what is told of what is gone."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.catalog import LocalRunning, WeightsFile
from headrace.domain.dedicated import DeploymentStatus
from headrace.domain.errors import Conflict, InvalidRequest
from headrace.domain.snapshot import Snapshot
from headrace.ports.fleet import Compute, Weights
from headrace.services.local_models import find_local
from headrace.services.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class RemovedWeights:
    """What became of a model's weights; `kept` are files that other models, `kept_for`, need too."""

    model_id: str
    removed: tuple[WeightsFile, ...]
    kept: tuple[WeightsFile, ...]
    kept_for: tuple[str, ...]
    freed_bytes: int


class WeightsRemoval:
    """Removes weights while nothing runs on them; the engine that has them loaded is stopped."""

    def __init__(self, weights: Weights, snapshots: Snapshots, compute: Compute) -> None:
        self._weights = weights
        self._snapshots = snapshots
        self._compute = compute

    async def remove(self, model_id: str) -> RemovedWeights:
        """Delete what no other model needs, whole or begun; raises NotFound, InvalidRequest, Conflict, HomeUnusable."""
        snapshot = self._snapshots.current()
        _require_no_deployment(model_id, snapshot)
        _, local = find_local(model_id, snapshot.models, "remove")
        _require_undeployed(model_id, local, snapshot)
        self._require_quiet(model_id)
        others = {each: _users(each, model_id, snapshot) for each in local.weights}
        removed: list[WeightsFile] = []
        freed_bytes = 0
        for each in (each for each, users in others.items() if not users):
            was_here = self._weights.path(each) is not None
            taken = await self._weights.remove(each)
            freed_bytes += taken
            removed += [each] if was_here or taken else []
        if removed:
            await self._snapshots.refresh()
            if self._compute.standing(model_id) is not None:
                await self._compute.remove(model_id)
        kept = tuple(each for each, users in others.items() if users)
        kept_for = tuple(sorted({name for users in others.values() for name in users}))
        return RemovedWeights(model_id, tuple(removed), kept, kept_for, freed_bytes)

    def _require_quiet(self, model_id: str) -> None:
        standing = self._compute.standing(model_id)
        busy = 0 if standing is None else standing.in_flight + standing.waiting
        if busy:
            requests = "a request" if busy == 1 else f"{busy} requests"
            raise Conflict(f'"{model_id}" is answering {requests} now; try again when it is done.', code="model_in_use")


def _require_no_deployment(model_id: str, snapshot: Snapshot) -> None:
    for entry in snapshot.models.get(model_id, ()):
        if entry.model.deployment is not None:
            raise InvalidRequest(
                f'"{model_id}" is a deployment of {entry.model.deployment.wanted.model}; it ends by'
                f" `headrace deployments delete {model_id}`.",
                code="nothing_to_remove",
            )


def _require_undeployed(model_id: str, local: LocalRunning, snapshot: Snapshot) -> None:
    for each in snapshot.deployments.values():
        runs_it = any(w.model == model_id and w.engine == local.engine for w in (each.wanted, each.goal))
        if runs_it and each.status is not DeploymentStatus.DELETING:
            raise Conflict(
                f'The deployment "{each.name}" runs "{model_id}": `headrace deployments delete {each.name}` first.',
                code="model_in_use",
            )


def _users(file: WeightsFile, model_id: str, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the other models that need a file, too."""
    return tuple(
        name
        for name, entries in snapshot.models.items()
        if name != model_id and any(_has(each.model.local, file.sha256) for each in entries)
    )


def _has(local: LocalRunning | None, sha256: str) -> bool:
    return local is not None and any(each.sha256 == sha256 for each in local.weights)
