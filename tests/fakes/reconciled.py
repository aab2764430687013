"""A reconciler over a driver in memory, with stored deployments that a test changes as an operator would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from headrace.domain.catalog import AVAILABLE, Listed, LocalRunning, WeightsFile
from headrace.domain.dedicated import Deployment, DeploymentStatus, Wanted
from headrace.domain.deployment_event import DeploymentEvent
from headrace.domain.errors import HeadraceError
from headrace.domain.snapshot import Snapshot
from headrace.services.autoscaling import Autoscaling
from headrace.services.deployment_specs import DeploymentSpecs
from headrace.services.deployment_steps import Pace
from headrace.services.reconciler import Reconciler, ReconcilerParts
from headrace.services.tasks import Tasks
from headrace.testing.clock import FakeClock
from tests.fakes.compute import FakeCompute
from tests.fakes.nouns import a_model

FILE = WeightsFile("tiny.gguf", "cd" * 32, 100, "Apache-2.0", ())
TINY = a_model("tiny", local=LocalRunning("llamacpp", (FILE,), 500, slots=4), provider="embedded")
CATALOG = Snapshot(1, models={"tiny": (Listed(TINY, None, AVAILABLE),)}, providers={}, keys={})


def a_wanted(low: int = 0, high: int = 2, *, slots: int = 2, idle_seconds: int = 60, driver: str = "local") -> Wanted:
    """A deployment of the tiny model on a CPU between two numbers of replicas."""
    return Wanted("prod", "tiny", driver, "llamacpp", "cpu", 0, low, high, slots, 512, idle_seconds)


def a_deployment(wanted: Wanted | None = None, deployment_id: str = "dep") -> Deployment:
    """A deployment for which nothing was tried yet."""
    wanted = wanted or a_wanted()
    return Deployment(deployment_id, "shop", wanted, DeploymentStatus.NEW, 1, 1, "mod", 1_000, "test")


class MemoryWeights:
    """Weights of which a test says whether they are here."""

    def __init__(self, *, is_here: bool = True) -> None:
        self.is_here = is_here

    def path(self, file: WeightsFile) -> Path | None:
        return Path("/weights") / file.sha256 if self.is_here else None

    async def pull(self, file: WeightsFile, report: object) -> Path:
        raise NotImplementedError

    async def remove(self, file: WeightsFile) -> int:
        raise NotImplementedError


@dataclass(slots=True)
class MemoryDeployments:
    """Stored deployments; `writes` is how often the reconciler changed one, `failure` what its next writes raise."""

    stored: dict[str, Deployment] = field(default_factory=dict[str, Deployment])
    writes: int = 0
    failure: HeadraceError | None = None

    def all(self) -> tuple[Deployment, ...]:
        return tuple(self.stored.values())

    async def settle_state(
        self,
        deployment_id: str,
        *,
        status: DeploymentStatus,
        reason: str = "",
        retry_at_micros: int | None = None,
        wanted: Wanted | None = None,
        clear_pending: bool = False,
    ) -> None:
        if self.failure is not None:
            raise self.failure
        self.writes += 1
        present = self.stored[deployment_id]
        changed = replace(present, status=status, reason=reason, retry_at_micros=retry_at_micros)
        if present.status is DeploymentStatus.DELETING:
            changed = replace(changed, status=DeploymentStatus.DELETING)
        self.stored[deployment_id] = replace(
            changed, wanted=wanted or present.wanted, pending=None if clear_pending else present.pending
        )

    async def forget(self, deployment_id: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.writes += 1
        del self.stored[deployment_id]

    def add(self, deployment: Deployment) -> None:
        self.stored[deployment.id] = deployment

    def change(self, deployment_id: str, wanted: Wanted) -> None:
        """Ask for something else, as an operator does."""
        present = self.stored[deployment_id]
        self.stored[deployment_id] = replace(present, pending=wanted, status=DeploymentStatus.UPDATING)

    def delete(self, deployment_id: str) -> None:
        """Ask for its end, as an operator does."""
        present = self.stored[deployment_id]
        self.stored[deployment_id] = replace(present, status=DeploymentStatus.DELETING, reason="")


class Reconciled:
    """A control plane whose clock a test moves; `restart` makes the next one over the same replicas."""

    def __init__(self, *deployments: Deployment, compute: FakeCompute | None = None, pace: Pace | None = None) -> None:
        self.clock = FakeClock() if compute is None else compute.clock
        self.compute = compute or FakeCompute(self.clock)
        self.pace = pace or Pace()
        self.deployments = MemoryDeployments({each.id: each for each in deployments})
        self.weights = MemoryWeights()
        self.events: list[DeploymentEvent] = []
        self.defects: list[tuple[str, BaseException]] = []
        self.snapshot = CATALOG
        self.objection: str | None = None
        self.reconciler = self._reconciler()

    def _reconciler(self) -> Reconciler:
        compute = self.compute

        async def objection(_deployment: Deployment) -> str | None:
            return self.objection

        autoscaling = Autoscaling(compute, self.clock, lambda _driver: compute.scales_itself, objection)
        return Reconciler(
            ReconcilerParts(
                deployments=self.deployments,
                compute=compute,
                specs=DeploymentSpecs(lambda: self.snapshot, self.weights),
                autoscaling=autoscaling,
                tasks=Tasks(lambda name, error: self.defects.append((name, error))),
                clock=self.clock,
                report=self.events.append,
                end_unknown=[compute.end_unknown],
                pace=self.pace,
            )
        )

    def restart(self) -> None:
        """Let the control plane die without a word, and start the next one."""
        self.compute = self.compute.restarted()
        self.reconciler = self._reconciler()

    async def tick(self, times: int = 1, seconds: float = 2.0) -> None:
        """Let time pass and the reconciler look, so many times."""
        for _ in range(times):
            self.clock.advance(seconds)
            await self.reconciler.tick()

    @property
    def first(self) -> Deployment:
        return self.deployments.all()[0]

    def said(self) -> Sequence[tuple[str, int, int]]:
        """The status and the wanted and ready replicas of every event."""
        return [(each.status.value, each.wanted, each.ready) for each in self.events]
