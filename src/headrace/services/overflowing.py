"""Overflow: in which order a deployment and the model that helps it out are asked, by how the deployment stands now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from enum import Enum

from headrace.domain.dedicated import Deployment, Standing, WhenAsleep
from headrace.domain.errors import DeploymentAsleep
from headrace.domain.plan import Excluded, Plan, Target
from headrace.domain.snapshot import Snapshot
from headrace.services.fitness import models_of
from headrace.services.marginal_cost import beyond_slots

BUSY = "deployment_busy"


class Order(Enum):
    """Who is asked first; `ALONE` leaves the overflow out: who sleeps and refuses wants no help."""

    DEPLOYMENT = 1
    OVERFLOW = 2
    ALONE = 3


def is_asleep(standing: Standing | None) -> bool:
    """Whether no replica of a deployment can be sent to now."""
    return standing is None or standing.ready == 0


def unknown(deployment: str) -> Standing | None:
    """Return that nothing is known of a deployment."""
    del deployment


def not_woken(deployment: Deployment) -> None:
    """Wake nobody."""
    del deployment


class Overflowing:
    """Puts plans with deployments in order; `wake` starts one that sleeps while its overflow answers."""

    def __init__(
        self,
        standing: Callable[[str], Standing | None] = unknown,
        wake: Callable[[Deployment], None] = not_woken,
    ) -> None:
        self.standing = standing
        self._wake = wake

    def helps(self, deployment: Deployment) -> bool:
        """Whether its overflow may answer for a deployment now."""
        return deployment.wanted.when_asleep is not WhenAsleep.REFUSE or not is_asleep(self.standing(deployment.id))

    def arranged(self, plan: Plan, snapshot: Snapshot) -> Plan:
        """Return the plan with each deployment and its overflow in order; what a router has ranked stays as it is."""
        ranked = () if plan.decision is None else plan.decision.targets
        routed = frozenset(each.model_id for each in ranked if each.rank is not None)
        for target in plan.targets:
            deployment = target.model.deployment
            if deployment is not None and target.model.id not in routed:
                plan = self._arranged(plan, target, deployment, snapshot)
        return plan

    def _arranged(self, plan: Plan, target: Target, deployment: Deployment, snapshot: Snapshot) -> Plan:
        overflow = deployment.wanted.overflow
        if overflow is None:
            return plan
        named = models_of(overflow.model, snapshot)
        helpers = frozenset(named) - {target.model.id}
        standing = self.standing(deployment.id)
        order = order_of(deployment, standing)
        if order is Order.ALONE:
            return _alone(plan, deployment, [each for each in named if each in helpers], snapshot)
        if order is Order.DEPLOYMENT or not any(each.model.id in helpers for each in plan.targets):
            return plan
        if is_asleep(standing):
            self._wake(deployment)
        passed_over = _passed_over(target, deployment, standing)
        return replace(plan, targets=_helped(plan.targets, target, helpers), excluded=(*plan.excluded, passed_over))


def order_of(deployment: Deployment, standing: Standing | None) -> Order:
    """Return who is asked first: the overflow for who does not wait, and where too many wait for each replica.

    Those that wait while none is ready wait for the one that wakes.
    """
    wanted, overflow = deployment.wanted, deployment.wanted.overflow
    if is_asleep(standing) and wanted.when_asleep is not WhenAsleep.WAIT:
        return Order.OVERFLOW if wanted.when_asleep is WhenAsleep.OVERFLOW else Order.ALONE
    if standing is None or overflow is None:
        return Order.DEPLOYMENT
    is_over = beyond_slots(deployment, standing) >= overflow.limit * max(standing.ready, 1)
    return Order.OVERFLOW if is_over else Order.DEPLOYMENT


def _passed_over(target: Target, deployment: Deployment, standing: Standing | None) -> Excluded:
    """Return why a deployment is not the first that is asked, for the receipt to tell."""
    code, why = DeploymentAsleep.default_code, "It sleeps"
    if standing is not None and standing.ready:
        queue = beyond_slots(deployment, standing)
        code, why = BUSY, f"Its slots are taken and {queue} requests wait for {standing.ready} of its replicas"
    return Excluded(target.model.id, target.provider.name, code, f"{why}; its overflow is asked first.")


def _helped(targets: tuple[Target, ...], target: Target, helpers: Collection[str]) -> tuple[Target, ...]:
    """Return the targets with the overflow where the deployment stood, and the deployment right behind it."""
    at = targets.index(target)
    first = [each for each in targets[at:] if each.model.id in helpers]
    rest = [each for each in targets[at:] if each.model.id not in helpers]
    return (*targets[:at], *first, *rest)


def _alone(plan: Plan, deployment: Deployment, helpers: Sequence[str], snapshot: Snapshot) -> Plan:
    """Return the plan with the overflow among the excluded, but for what was named by itself too."""
    reason = f'The deployment "{deployment.name}" sleeps and refuses; its overflow helps only while it is awake.'
    present = {each.model.id for each in plan.targets}
    entries = [entry for name in helpers if name not in present for entry in snapshot.models.get(name, ())]
    code = DeploymentAsleep.default_code
    excluded = [Excluded(each.model.id, each.model.provider, code, reason) for each in entries]
    return replace(plan, excluded=(*plan.excluded, *excluded))
