"""What a compute driver is told to run: a deployment with its model's weights, or why it cannot run yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.catalog import LocalRunning, Model
from headrace.domain.dedicated import Deployment, Wanted
from headrace.domain.deployment import DeploymentSpec, OwnerLoss
from headrace.domain.snapshot import Snapshot
from headrace.ports.fleet import Weights

# What a process on a CPU takes beside weights and key/value cache, however few its slots.
LEAST_OVERHEAD_BYTES = 128 * 1024**2


@dataclass(frozen=True, slots=True)
class SpecProblem:
    """Why a deployment cannot be run as it is; `reason` says what to do about it."""

    reason: str


def no_repository(_model_id: str) -> str | None:
    """Return the public name of no model."""
    return None


class DeploymentSpecs:
    """Makes specifications from the snapshot and the weights that are here.

    `repository` returns the name under which a model is published, for engines that fetch their weights; where it
    knows none, the name that a provider has for the model is taken.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        weights: Weights,
        repository: Callable[[str], str | None] = no_repository,
    ) -> None:
        self._snapshot = snapshot
        self._weights = weights
        self._repository = repository

    def make(self, deployment: Deployment) -> DeploymentSpec | SpecProblem:
        """Return what should run for the deployment's goal, or what stands in its way."""
        wanted = deployment.goal
        entries = [each.model for each in self._snapshot().models.get(wanted.model, ()) if not each.model.deployment]
        if not entries:
            return SpecProblem(
                f'The catalogue has no model "{wanted.model}" any more: put it back, or delete the deployment.'
            )
        local = _local(entries, wanted.engine)
        source = local.source if local is not None and local.source else self._source(entries)
        if local is None:
            return self._spec(deployment, source=source)
        paths = [self._weights.path(file) for file in local.weights]
        present = tuple(path for path in paths if path is not None)
        if len(present) < len(paths):
            return SpecProblem(
                f'The weights of "{wanted.model}" are not on this machine: `headrace models pull {wanted.model}`.'
            )
        model = next(each for each in entries if each.local is local)
        memory_bytes = 0 if wanted.gpus else memory_of_replica(local, model.context_length, wanted)
        return self._spec(
            deployment, weights=present, memory_bytes=memory_bytes, source=local.source or self._source(entries)
        )

    def _source(self, entries: Sequence[Model]) -> str:
        published = self._repository(entries[0].id)
        if published is not None:
            return published
        names = [each.upstream_name for each in entries]
        return next((each for each in names if "/" in each), names[0])

    def _spec(
        self, deployment: Deployment, *, source: str, weights: tuple[Path, ...] = (), memory_bytes: int = 0
    ) -> DeploymentSpec:
        wanted = deployment.goal
        return DeploymentSpec(
            id=deployment.id,
            model_id=wanted.model,
            engine=wanted.engine,
            driver=wanted.driver,
            weights=weights,
            memory_bytes=memory_bytes,
            context_length=wanted.context_length,
            slots=wanted.slots,
            min_replicas=wanted.min_scale,
            max_replicas=wanted.max_scale,
            idle_seconds=wanted.idle_seconds,
            on_owner_loss=OwnerLoss.KEEP,
            source=source,
            accelerator=wanted.accelerator,
            gpus=wanted.gpus,
            name=wanted.name,
            wanted=wanted,
        )


def memory_of_replica(local: LocalRunning, context_length: int, wanted: Wanted) -> int:
    """Return the bytes that one replica is expected to take on a CPU.

    The catalogue's figure is for its own slots at the model's whole context, `context_length`: weights stay, the rest
    goes with the tokens that all slots together hold.
    """
    weight_bytes = sum(file.size_bytes for file in local.weights)
    rest = max(0, local.memory_bytes - weight_bytes)
    tokens, measured_tokens = wanted.slots * wanted.context_length, local.slots * context_length
    return weight_bytes + max(min(rest, LEAST_OVERHEAD_BYTES), rest * tokens // max(1, measured_tokens))


def _local(entries: Sequence[Model], engine: str) -> LocalRunning | None:
    """Return how the catalogue runs the model by this engine, None where the engine fetches weights by itself."""
    return next((each.local for each in entries if each.local is not None and each.local.engine == engine), None)
