"""What the reconciler remembers of one deployment from step to step; losing it costs time and never a replica."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from headrace.domain.dedicated import Deployment, DeploymentStatus, Standing, Wanted
from headrace.domain.deployment import DeploymentSpec, Replica
from headrace.domain.deployment_status import failure, live
from headrace.ports.ambient import Clock

MICROS = 1_000_000


@dataclass(slots=True)
class Course:
    """Failures and their back-off, what is being replaced, and since when replicas are missing.

    `is_new` says that it was first seen before anything was tried for it, `was_applied` that its driver took it.
    `runs` has what each replica, by name and start, runs as far as is known, `seen` are the replicas of the last look.
    `has_looked` says that a step was whole: only then does a driver know all replicas that it took over.
    """

    is_new: bool
    was_applied: bool = False
    task: asyncio.Task[None] | None = None
    began_at: float = 0.0
    failures: int = 0
    retry_at: float = 0.0
    asked: tuple[Wanted, bool] | None = None
    plan: DeploymentSpec | None = None
    runs: Mapping[tuple[str, int], DeploymentSpec | None] = field(
        default_factory=dict[tuple[str, int], "DeploymentSpec | None"]
    )
    seen: Sequence[Replica] = ()
    missing_since: tuple[float, int] | None = None
    calm_since: float | None = None
    written_at: float = 0.0
    has_looked: bool = False
    is_gone: bool = False

    @property
    def is_busy(self) -> bool:
        """Whether a step is under way."""
        return self.task is not None and not self.task.done()

    def is_asked_anew(self, deployment: Deployment) -> bool:
        """Whether something else is asked for than at the last step."""
        return self.asked != _asked(deployment)

    def is_due(self, deployment: Deployment, now: float) -> bool:
        """Whether a step may begin; what was changed is tried at once."""
        if self.is_asked_anew(deployment):
            self.asked, self.failures, self.retry_at = _asked(deployment), 0, 0.0
        return now >= self.retry_at

    def failed(self, retry_at: float) -> None:
        """Note one more failure in a row."""
        self.failures += 1
        self.retry_at = retry_at

    def applied(self, spec: DeploymentSpec) -> None:
        """Note what the driver was told to run: of it, how a replica runs, apart from how many do."""
        self.was_applied, before = True, self.plan
        self.plan = replace(spec, min_replicas=0, max_replicas=0, idle_seconds=0, name="", wanted=None)
        self.calm_since = self.calm_since if self.plan == before else None

    def saw(self, replicas: Sequence[Replica]) -> None:
        """Note which replicas there are; a new one runs what was applied last."""
        self.seen = live(replicas)
        self.runs = {run: self.runs.get(run, self.plan) for run in map(_run, self.seen)}

    @property
    def is_replaced(self) -> bool:
        """Whether no replica is left that runs something else than what was applied last.

        A driver that can tell is believed: what was seen from step to step is lost with a restart.
        """
        return all(
            self.runs[_run(each)] in (None, self.plan) if each.is_current is None else each.is_current
            for each in self.seen
        )

    @property
    def is_behind(self) -> bool:
        """Whether a driver says that a replica runs something else."""
        return any(each.is_current is False for each in self.seen)

    def calm_seconds(self, now: float, *, is_calm: bool) -> float:
        """Return for how long nothing has moved; 0 while something does."""
        since = self.calm_since if self.calm_since is not None else now
        self.calm_since = since if is_calm else None
        return now - since if is_calm else 0.0

    def stuck(self, standing: Standing, replicas: Sequence[Replica], clock: Clock, seconds: float) -> str:
        """Return what is said of replicas that are missing for so long without a failure; empty when none is."""
        missing = standing.wanted - standing.ready
        if missing <= 0:
            self.missing_since = None
            return ""
        since, since_micros = self.missing_since or (clock.monotonic(), clock.unix_micros())
        self.missing_since = since, since_micros
        if clock.monotonic() - since < seconds or failure(replicas):
            return ""
        when = datetime.datetime.fromtimestamp(since_micros // MICROS, datetime.UTC).strftime("%H:%M")
        if standing.ready + standing.starting < standing.wanted:
            return f"Since {when} UTC its driver has had no room for more; it goes on trying."
        return f"Starting since {when} UTC; its log says how far it is."


def _run(replica: Replica) -> tuple[str, int]:
    return replica.id, replica.started_at_micros


def _asked(deployment: Deployment) -> tuple[Wanted, bool]:
    return deployment.goal, deployment.status is DeploymentStatus.DELETING
