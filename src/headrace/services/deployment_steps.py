"""One step for one deployment: tell its driver what should run, see what does, and store how it stands.

Every step may be repeated, and begins from what is stored and seen now. When steps are taken is the reconciler's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from headrace.domain.dedicated import Deployment, DeploymentStatus, Standing, Wanted
from headrace.domain.deployment import DeploymentSpec, Replica
from headrace.domain.deployment_event import DeploymentEvent
from headrace.domain.deployment_status import (
    Sighting,
    Verdict,
    draining,
    failure,
    is_rolled_out,
    judged,
    live,
    troubled,
)
from headrace.domain.errors import DriverUnusable, EngineFailed, HeadraceError
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Compute
from headrace.services.autoscaling import Autoscaling
from headrace.services.deployment_course import MICROS, Course
from headrace.services.deployment_events import DeploymentEvents
from headrace.services.deployment_specs import DeploymentSpecs, SpecProblem


class StoredDeployments(Protocol):
    """The stored deployments, as far as the reconciler reads and changes them."""

    def all(self) -> tuple[Deployment, ...]:
        """Return every deployment as it is stored now."""
        ...

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
        """Store how a deployment stands; with `wanted`, what is in force from now on."""
        ...

    async def forget(self, deployment_id: str) -> None:
        """Remove a deployment and its tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long, in seconds.

    A tick waits `wait_seconds` for its steps; what takes longer goes on, and after `step_seconds` that is said. A step
    that fails is tried again after `retry_seconds`, then after twice as long each time, up to
    `retry_max_seconds`. What has not come after `stuck_seconds` is said to be stuck. A change after which nothing has
    moved for `calm_seconds` is done. A reason of which only figures change is stored every `refresh_seconds` at most.
    """

    tick_seconds: float = 2.0
    wait_seconds: float = 1.0
    step_seconds: float = 30.0
    retry_seconds: float = 2.0
    retry_max_seconds: float = 60.0
    stuck_seconds: float = 60.0
    calm_seconds: float = 30.0
    refresh_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class StepParts:
    """What a step works with."""

    deployments: StoredDeployments
    compute: Compute
    specs: DeploymentSpecs
    autoscaling: Autoscaling
    clock: Clock
    pace: Pace


class DeploymentSteps:
    """Takes steps; what a driver fails at is stored as the reason, with the time of the next try."""

    def __init__(self, parts: StepParts, events: DeploymentEvents) -> None:
        self._parts = parts
        self._events = events

    async def take(self, deployment: Deployment, course: Course) -> None:
        """Take one step; raises nothing that a driver or the store may fail with."""
        try:
            if deployment.status is DeploymentStatus.DELETING:
                await self._delete(deployment, course)
            else:
                await self._keep(deployment, course)
        except HeadraceError as error:
            is_lost = isinstance(error, DriverUnusable)
            verdict = troubled(deployment, error.message, self._standing(deployment), is_lost=is_lost)
            await self.postpone(deployment, course, verdict, error.retry_after_seconds or 0.0)
        else:
            course.failures = 0

    async def postpone(
        self, deployment: Deployment, course: Course, verdict: Verdict, least_seconds: float = 0.0
    ) -> None:
        """Note a failed step and when the next one may begin."""
        pace, clock = self._parts.pace, self._parts.clock
        wait = max(least_seconds, pace.retry_seconds * 2.0 ** min(course.failures, 32))
        wait = min(wait, pace.retry_max_seconds)
        course.failed(clock.monotonic() + wait)
        await self.settle(deployment, course, verdict, clock.unix_micros() + round(wait * MICROS))

    async def settle(
        self, deployment: Deployment, course: Course, verdict: Verdict, retry_at_micros: int | None = None
    ) -> None:
        """Store what is new about a deployment; a store that fails is tried again at the next step."""
        self._note(deployment, verdict)
        if retry_at_micros == deployment.retry_at_micros and self._is_told(deployment, course, verdict):
            return
        with contextlib.suppress(HeadraceError):
            await self._parts.deployments.settle_state(
                deployment.id, status=verdict.status, reason=verdict.reason, retry_at_micros=retry_at_micros
            )
            course.written_at = self._parts.clock.monotonic()

    def _is_told(self, deployment: Deployment, course: Course, verdict: Verdict) -> bool:
        """Whether what is stored says it already; mere figures are stored anew once in a while."""
        if (deployment.status, deployment.reason) == (verdict.status, verdict.reason):
            return True
        is_fresh = self._parts.clock.monotonic() - course.written_at < self._parts.pace.refresh_seconds
        return is_fresh and verdict.is_told_by(deployment.status, deployment.reason)

    async def _keep(self, deployment: Deployment, course: Course) -> None:
        """Let the driver know what should run and how much of it, then say how it stands."""
        parts = self._parts
        spec = parts.specs.make(deployment)
        if isinstance(spec, SpecProblem):
            obstacle = problem = spec.reason
        else:
            obstacle, problem = await self._apply(deployment, course, spec), None
        followed = await parts.autoscaling.follow(deployment, obstacle)
        standing = self._standing(deployment)
        if followed is None or standing is None:
            status = DeploymentStatus.PROVISIONING if problem is None else DeploymentStatus.ERROR
            await self.settle(deployment, course, Verdict(status, problem or "Its driver has not seen it yet."))
            return
        replicas = self._replicas(deployment)
        course.saw(replicas)
        stuck = course.stuck(standing, replicas, parts.clock, parts.pace.stuck_seconds)
        is_done = problem is None and self._is_rolled_out(course, standing, replicas)
        verdict = judged(deployment, Sighting(standing, replicas, is_done, problem or followed.objection or stuck))
        if deployment.pending is not None and is_done:
            await self._put_in_force(deployment, deployment.pending, verdict)
        else:
            await self.settle(deployment, course, verdict)

    async def _apply(self, deployment: Deployment, course: Course, spec: DeploymentSpec) -> str | None:
        """Tell the driver what should run; returns what speaks against as many replicas as there should be at least."""
        standing, objection = self._standing(deployment), None
        if (standing.wanted if standing is not None else 0) < spec.min_replicas:
            objection = await self._parts.autoscaling.objection(deployment)
        course.saw(self._replicas(deployment))
        await self._parts.compute.apply(spec if objection is None else replace(spec, min_replicas=0))
        course.applied(spec)
        return objection

    def _is_rolled_out(self, course: Course, standing: Standing, replicas: Sequence[Replica]) -> bool:
        """Whether only replicas of what was applied last run, all of them ready.

        A cloud keeps its replicas where what was changed means nothing to it: when nothing moves any more, it is done.
        """
        now = self._parts.clock.monotonic()
        is_whole = is_rolled_out(standing, replicas)
        is_calm = course.calm_seconds(now, is_calm=is_whole and not failure(replicas)) >= self._parts.pace.calm_seconds
        is_first, course.has_looked = not course.has_looked, True
        return is_whole and not is_first and (course.is_replaced or (is_calm and not course.is_behind))

    async def _put_in_force(self, deployment: Deployment, rolled_out: Wanted, verdict: Verdict) -> None:
        """What was rolled out is in force from now on, unless something else was asked for meanwhile."""
        now = next((each for each in self._parts.deployments.all() if each.id == deployment.id), None)
        if now is None or now.pending != rolled_out or now.status is DeploymentStatus.DELETING:
            return
        self._note(deployment, verdict)
        with contextlib.suppress(HeadraceError):
            await self._parts.deployments.settle_state(
                deployment.id, status=verdict.status, reason=verdict.reason, wanted=rolled_out, clear_pending=True
            )

    async def _delete(self, deployment: Deployment, course: Course) -> None:
        """Drain all replicas; when none is left, let the driver and then the store forget the deployment."""
        try:
            await self._drain(deployment, course)
            left = live(self._replicas(deployment))
            if left:
                await self.settle(deployment, course, draining(self._standing(deployment) or Standing(), len(left)))
                return
            await self._parts.compute.remove(deployment.id)
        except DriverUnusable:
            # What no driver ever took has left nothing anywhere.
            if course.was_applied or not course.is_new:
                raise
        await self._parts.deployments.forget(deployment.id)
        course.is_gone = True
        self._note(deployment, Verdict(DeploymentStatus.DELETING, "It was deleted."), is_gone=True)

    async def _drain(self, deployment: Deployment, course: Course) -> None:
        """Ask for no replica; a driver that does not know the deployment yet takes over first what is left of it."""
        compute, spec = self._parts.compute, self._parts.specs.make(deployment)
        is_known = compute.standing(deployment.id) is not None
        # What cannot run any more can still be ended; whether there is anything is the driver's to say.
        ignored = (EngineFailed,) if is_known else (EngineFailed, DriverUnusable)
        with contextlib.suppress(*ignored):
            if isinstance(spec, DeploymentSpec):
                await compute.apply(replace(spec, min_replicas=0))
                course.applied(spec)
        if compute.standing(deployment.id) is not None:
            await compute.scale(deployment.id, 0)

    def _standing(self, deployment: Deployment) -> Standing | None:
        return self._parts.compute.standing(deployment.id)

    def _replicas(self, deployment: Deployment) -> Sequence[Replica]:
        return [each for each in self._parts.compute.observe() if each.deployment == deployment.id]

    def _note(self, deployment: Deployment, verdict: Verdict, *, is_gone: bool = False) -> None:
        standing = self._standing(deployment) or Standing()
        self._events.note(
            DeploymentEvent(
                at_micros=self._parts.clock.unix_micros(),
                deployment_id=deployment.id,
                name=deployment.name,
                status=verdict.status,
                wanted=standing.wanted,
                ready=standing.ready,
                reason=verdict.reason,
                is_gone=is_gone,
            )
        )
