"""Replicas, their deployments and their runs as tests want them, and the books of runs in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from headrace.domain.dedicated import Deployment, DeploymentStatus, Wanted
from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.errors import Conflict, MeteringUnavailable
from headrace.domain.replica_run import ReplicaRun
from headrace.testing.waiting import Changes

STARTED_MICROS = 1_764_000_000_000_000


def a_run(run_id: str = "run_1", nano_per_hour: int = 2_590_000_000) -> ReplicaRun:
    """Return a run that has begun on one accelerator, of the deployment `dep_1` called `prod-llm`."""
    return ReplicaRun(
        id=run_id,
        deployment_id="dep_1",
        deployment="prod-llm",
        account="default",
        model_id="qwen",
        replica=f"prod-llm-{run_id}",
        driver="local",
        accelerator="mi300x",
        gpus=1,
        nano_per_hour=nano_per_hour,
        price_source="https://acme.example/prices",
        started_at_micros=STARTED_MICROS,
    )


def a_wanted(name: str = "prod-llm") -> Wanted:
    """Return what an operator asks for: one to four replicas on one accelerator each."""
    return Wanted(
        name=name,
        model="qwen",
        driver="local",
        engine="vllm",
        accelerator="mi300x",
        gpus=1,
        min_scale=0,
        max_scale=4,
        slots=8,
        context_length=8_192,
    )


def a_deployment(deployment_id: str = "dep_1", wanted: Wanted | None = None) -> Deployment:
    """Return an active deployment of the account `default` at $2.59 an hour."""
    return Deployment(
        id=deployment_id,
        account="default",
        wanted=wanted or a_wanted(),
        status=DeploymentStatus.ACTIVE,
        created_at_micros=STARTED_MICROS,
        updated_at_micros=STARTED_MICROS,
        model_deployment_id="md_1",
        nano_per_hour=2_590_000_000,
        price_source="https://acme.example/prices",
    )


def a_replica(name: str = "prod-llm-0", started_micros: int = STARTED_MICROS) -> Replica:
    """Return a replica of `dep_1` that is starting."""
    return Replica(name, "dep_1", ReplicaState.STARTING, None, 4_711, started_micros)


def ready(replica: Replica, at_micros: int) -> Replica:
    """Return the replica as it is when it gave its first token."""
    return replace(replica, state=ReplicaState.READY, ready_at_micros=at_micros)


def ended(replica: Replica, at_micros: int | None) -> Replica:
    """Return the replica as it is told of when it is gone; with None its driver does not know since when."""
    return replace(replica, state=ReplicaState.FAILED, ended_at_micros=at_micros)


@dataclass(slots=True)
class MemoryRuns:
    """The books of runs in memory; `is_away` makes them refuse, `booked` are the amounts with their scopes.

    After `begins_left` runs they refuse to begin another.
    """

    kept: dict[str, ReplicaRun] = field(default_factory=dict[str, ReplicaRun])
    booked: list[tuple[str, int, tuple[str, ...]]] = field(default_factory=list[tuple[str, int, tuple[str, ...]]])
    is_away: bool = False
    loses_answers: bool = False
    refused: str | None = None
    begins_left: int | None = None
    writes: int = 0
    changes: Changes = field(default_factory=Changes)

    async def begin(self, run: ReplicaRun) -> None:
        """Store a run that has started."""
        self._require()
        if self.begins_left == 0:
            raise MeteringUnavailable("The store is away.")
        self.kept.setdefault(run.id, run)
        self._answer()

    async def meter(self, run: ReplicaRun, scopes: Sequence[str]) -> int:
        """Store a run as it is and book what it owes up to `metered_to_micros`."""
        self._require()
        if run.id == self.refused:
            raise Conflict("This contradicts what is stored already.")
        until = run.metered_to_micros or 0
        amount = run.amount_nano(until) - self.owed(run.id)
        if amount:
            self.booked.append((run.id, amount, tuple(scopes)))
        self.kept[run.id] = run
        self._answer()
        return amount

    async def unfinished(self) -> tuple[ReplicaRun, ...]:
        """Return the runs that are not gone."""
        self._require()
        return tuple(each for each in self.kept.values() if each.gone_at_micros is None)

    async def of(self, deployment_id: str, since_micros: int, until_micros: int) -> tuple[ReplicaRun, ...]:
        """Return a deployment's runs that overlap a span of time."""
        return tuple(
            each
            for each in self.kept.values()
            if each.deployment_id == deployment_id
            and each.started_at_micros < until_micros
            and (each.gone_at_micros is None or each.gone_at_micros > since_micros)
        )

    def owed(self, run_id: str) -> int:
        """Return what is booked for a run."""
        return sum(amount for each, amount, _ in self.booked if each == run_id)

    def _require(self) -> None:
        self.changes.apply(self._count)
        if self.is_away:
            raise MeteringUnavailable("The store is away.")

    def _nothing(self) -> None:
        """What was written is seen by whoever waits."""

    def _count(self) -> None:
        self.writes += 1

    def _answer(self) -> None:
        self.changes.apply(self._nothing)
        if self.loses_answers:
            raise MeteringUnavailable("Nobody can tell whether it was written.")
