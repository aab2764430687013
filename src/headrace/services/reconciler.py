"""The reconciler: moves what runs towards what is stored, for every deployment, at each tick and when it is woken.

It looks at everything anew each time. What one step does is deployment_steps'; processes are the driver's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from headrace.domain.dedicated import Deployment, DeploymentStatus
from headrace.domain.deployment_event import DeploymentEvent
from headrace.domain.deployment_status import troubled
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Compute
from headrace.services.autoscaling import Autoscaling
from headrace.services.deployment_course import Course
from headrace.services.deployment_events import DeploymentEvents, Report
from headrace.services.deployment_specs import DeploymentSpecs
from headrace.services.deployment_steps import DeploymentSteps, Pace, StepParts, StoredDeployments
from headrace.services.tasks import Tasks
from headrace.services.unknown_replicas import EndUnknown, UnknownReplicas


@dataclass(frozen=True, slots=True)
class ReconcilerParts:
    """What the reconciler works with.

    `report` hears of every event. Each of `end_unknown` ends what an earlier process left, in one driver, of
    deployments that are not known any more. `woken` is set by whoever changes a deployment.
    """

    deployments: StoredDeployments
    compute: Compute
    specs: DeploymentSpecs
    autoscaling: Autoscaling
    tasks: Tasks
    clock: Clock
    report: Report
    end_unknown: Sequence[EndUnknown] = ()
    pace: Pace = field(default_factory=Pace)
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Reconciler:
    """Looks at every stored deployment at each tick and whenever it is woken.

    A step that does not end holds up nothing but its own deployment. Nothing is ended for want of an answer.
    """

    def __init__(self, parts: ReconcilerParts) -> None:
        self._parts = parts
        self._events = DeploymentEvents(parts.report)
        step = StepParts(parts.deployments, parts.compute, parts.specs, parts.autoscaling, parts.clock, parts.pace)
        self._steps = DeploymentSteps(step, self._events)
        self._courses: dict[str, Course] = {}
        self._woken = parts.woken
        self._unknown = UnknownReplicas(parts.end_unknown, parts.deployments, parts.tasks, parts.clock)

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            self._woken.clear()
            await self.tick()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._parts.pace.tick_seconds):
                    await self._woken.wait()

    def wake(self) -> None:
        """Look again at once: something was changed."""
        self._woken.set()

    def events(self, deployment_id: str) -> tuple[DeploymentEvent, ...]:
        """Return the last events of a deployment, oldest first."""
        return self._events.of(deployment_id)

    async def tick(self) -> None:
        """Take one step for each deployment, all at once."""
        stored = self._parts.deployments.all()
        self._keep_only(frozenset(each.id for each in stored))
        courses = [self._begin(each) for each in stored]
        under_way = [course.task for course in courses if course.task is not None]
        if under_way:
            await asyncio.wait(under_way, timeout=self._parts.pace.wait_seconds)
        for deployment, course in zip(stored, courses, strict=True):
            await self._look_after(deployment, course)
        if all(not course.is_busy or self._is_overdue(course) for course in courses):
            await self._unknown.end()

    def _keep_only(self, known: Collection[str]) -> None:
        self._courses = {each: course for each, course in self._courses.items() if each in known}
        self._parts.autoscaling.keep_only(known)

    def _begin(self, deployment: Deployment) -> Course:
        course = self._courses.get(deployment.id)
        if course is None:
            course = self._courses[deployment.id] = Course(is_new=deployment.status is DeploymentStatus.NEW)
        now = self._parts.clock.monotonic()
        if course.task is not None and course.is_asked_anew(deployment) and self._is_overdue(course):
            # A driver that is silent about what was asked before may answer to this.
            course.task.cancel()
            course.task = None
        if not course.is_busy and course.is_due(deployment, now):
            course.began_at = now
            step = self._steps.take(deployment, course)
            course.task = self._parts.tasks.start(f"reconcile {deployment.id}", step)
        return course

    def _is_overdue(self, course: Course) -> bool:
        """Whether a step is under way that will not end soon."""
        return course.is_busy and self._seconds_of(course) >= self._parts.pace.step_seconds

    def _seconds_of(self, course: Course) -> float:
        return self._parts.clock.monotonic() - course.began_at

    async def _look_after(self, deployment: Deployment, course: Course) -> None:
        """Say of a step that does not end, and of one that ended by a defect, that it did."""
        task = course.task
        if task is None:
            return
        standing = self._parts.compute.standing(deployment.id)
        if not task.done():
            if self._is_overdue(course):
                reason = f"Its driver has not answered for {self._seconds_of(course):.0f} s; it is still asked."
                await self._steps.settle(deployment, course, troubled(deployment, reason, standing))
            return
        course.task = None
        if course.is_gone and not course.was_applied:
            self._unknown.look_again()
        defect = None if task.cancelled() else task.exception()
        if defect is not None:
            reason = f"A step failed unexpectedly ({type(defect).__name__}); the log says more."
            await self._steps.postpone(deployment, course, troubled(deployment, reason, standing))
