"""Owns telling what a deployment cost over some time, beside what its tokens cost elsewhere; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.catalog import Listed
from headrace.domain.dedicated import Deployment
from headrace.domain.deployment_costs import DeploymentCosts, Served, Twin, run_sums, tokens_nano
from headrace.domain.errors import NotFound
from headrace.domain.names import did_you_mean
from headrace.domain.replica_run import ReplicaRun
from headrace.domain.snapshot import Snapshot
from headrace.ports.ambient import Clock
from headrace.ports.dedicated import DeploymentUse, ReplicaRuns
from headrace.services.snapshots import Snapshots


class DeploymentCostReader:
    """Reads runs and requests from the books and compares them with the prices that are in force now."""

    def __init__(self, runs: ReplicaRuns, use: DeploymentUse, snapshots: Snapshots, clock: Clock) -> None:
        self._runs = runs
        self._use = use
        self._snapshots = snapshots
        self._clock = clock

    async def report(self, name: str, since_micros: int, until_micros: int) -> DeploymentCosts:
        """Return the costs of a deployment, given by its id or name; of one that was removed by its id only.

        A replica that runs counts up to now, though its newest minutes may not be in the books yet. Raises NotFound.
        """
        snapshot = self._snapshots.current()
        deployment = _named(snapshot, name)
        deployment_id = name if deployment is None else deployment.id
        runs = await self._runs.of(deployment_id, since_micros, until_micros)
        if deployment is None and not runs:
            raise _unknown(snapshot, name)
        served = await self._use.served(deployment_id, since_micros, until_micros)
        until = min(until_micros, self._clock.unix_micros())
        micros, amount = run_sums(runs, since_micros, until)
        twin = None if deployment is None else _twin(snapshot, deployment, served)
        shown = runs[-1].deployment if deployment is None else deployment.name
        return DeploymentCosts(deployment_id, shown, since_micros, until, _paid(runs), micros, amount, served, twin)


def _paid(runs: Sequence[ReplicaRun]) -> int:
    return sum(run.ready_at_micros is not None for run in runs)


def _named(snapshot: Snapshot, name: str) -> Deployment | None:
    by_id = snapshot.deployments.get(name)
    if by_id is not None:
        return by_id
    return next((each for each in snapshot.deployments.values() if each.name == name), None)


def _twin(snapshot: Snapshot, deployment: Deployment, served: Served) -> Twin | None:
    """Return what stands for the deployment where tokens are paid: its overflow, else the model that it runs."""
    overflow = deployment.wanted.overflow
    for model_id in (None if overflow is None else overflow.model, deployment.wanted.model):
        entry = None if model_id is None else _priced(snapshot.models.get(model_id, ()))
        if entry is not None and entry.price is not None:
            is_overflow = overflow is not None and overflow.model == model_id
            amount = tokens_nano(served, entry.price)
            return Twin(entry.model.id, entry.model.provider, entry.price.id, is_overflow, amount)
    return None


def _priced(entries: Sequence[Listed]) -> Listed | None:
    """Return the first entry that is paid by the token."""
    paid = (each for each in entries if each.model.deployment is None and each.price is not None)
    return next((each for each in paid if each.price is not None and not each.price.is_free), None)


def _unknown(snapshot: Snapshot, name: str) -> NotFound:
    known = [word for each in snapshot.deployments.values() for word in (each.name, each.id)]
    hint = did_you_mean(name, known) or "`headrace deployments list` lists them; of a removed one, give the id."
    return NotFound(f'No deployment "{name[:128]}" has a replica in the books. {hint}', code="deployment_not_found")
