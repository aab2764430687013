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
    return len({run.process for run in runs if run.ready_at_micros is not None})


def _named(snapshot: Snapshot, name: str) -> Deployment | None:
    by_id = snapshot.deployments.get(name)
    if by_id is not None:
        return by_id
    return next((each for each in snapshot.deployments.values() if each.name == name), None)


def _twin(snapshot: Snapshot, deployment: Deployment, served: Served) -> Twin | None:
    """Return what stands for the deployment where tokens are paid: its overflow, else the model that it runs."""
    overflow = deployment.wanted.overflow
    names = (*(() if overflow is None else ((overflow.model, True),)), (deployment.wanted.model, False))
    for name, is_overflow in names:
        alias = None if name in snapshot.models else snapshot.aliases.get(name)
        entry = _priced(snapshot.models.get(name if alias is None else alias.points_to, ()))
        if entry is not None and entry.price is not None:
            amount = tokens_nano(served, entry.price)
            return Twin(entry.model.id, entry.model.provider, entry.price.id, is_overflow, amount)
    return None


def _priced(entries: Sequence[Listed]) -> Listed | None:
    """Return the first entry that is paid by the token."""
    paid = (each for each in entries if each.model.deployment is None and each.price is not None)
    return next((each for each in paid if each.price is not None and not each.price.is_free), None)


def _unknown(snapshot: Snapshot, name: str) -> NotFound:
    known = [word for each in snapshot.deployments.values() for word in (each.name, each.id)]
    hint = did_you_mean(name, known) or (
        "`headrace deployments list` lists them. Of a removed one give the id, which `headrace usage --by deployment` "
        "shows."
    )
    return NotFound(
        f'No deployment "{name[:128]}" is there, nor is it the id of one that had a replica in that time. {hint}',
        code="deployment_not_found",
    )
