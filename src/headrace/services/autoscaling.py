"""Autoscaling: remembers what each deployment needed and asks its driver for replicas; the rules are the domain's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import TypeAlias

from headrace.domain.dedicated import Deployment, Standing, Wanted
from headrace.domain.scaling import Scaling, ScalingMemory, ScalingRules, scaled
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Compute

Objection: TypeAlias = Callable[[Deployment], Awaitable[str | None]]


async def no_objection(_deployment: Deployment) -> str | None:
    """Let every deployment grow."""
    return None


@dataclass(frozen=True, slots=True)
class ScalingPatience:
    """How long a need lasts before it is followed, in seconds."""

    up_seconds: float = 2.0
    down_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Followed:
    """How many replicas are asked for now and why; `objection` says why there are not more."""

    replicas: int
    reason: str
    objection: str | None = None


class Autoscaling:
    """Follows the load of one deployment at each call.

    Drivers whose clusters scale by themselves, as `scales_itself` says by the driver's name, are only woken. Before a
    deployment grows, `objection` is asked whether something speaks against it.
    """

    def __init__(
        self,
        compute: Compute,
        clock: Clock,
        scales_itself: Callable[[str], bool],
        objection: Objection = no_objection,
        patience: ScalingPatience | None = None,
    ) -> None:
        self._compute = compute
        self._clock = clock
        self._scales_itself = scales_itself
        self.objection = objection
        self._patience = patience or ScalingPatience()
        self._memories: dict[str, ScalingMemory] = {}

    async def follow(self, deployment: Deployment, obstacle: str | None = None) -> Followed | None:
        """Ask for as many replicas as the load needs; None when the driver does not know the deployment.

        An `obstacle` stands against more replicas. Raises what the driver raises.
        """
        standing = self._compute.standing(deployment.id)
        if standing is None:
            return None
        current = self._current(deployment, standing)
        found, objection = self._look(deployment, current), None
        if found.replicas > current.wanted:
            objection = obstacle or await self.objection(deployment)
        if objection is not None:
            found = Scaling(current.wanted, objection, self._memory(deployment.id))
        if found.replicas != standing.wanted:
            await self._compute.scale(deployment.id, found.replicas)
        self._memories[deployment.id] = found.memory
        return Followed(found.replicas, found.reason, objection)

    def keep_only(self, deployments: Collection[str]) -> None:
        """Forget every other deployment."""
        self._memories = {each: memory for each, memory in self._memories.items() if each in deployments}

    def _current(self, deployment: Deployment, standing: Standing) -> Standing:
        """A driver that was just started may not say how many were asked for: at first those count that run."""
        if deployment.id in self._memories or self._scales_itself(deployment.goal.driver):
            return standing
        return replace(standing, wanted=max(standing.wanted, standing.ready + standing.starting))

    def _look(self, deployment: Deployment, standing: Standing) -> Scaling:
        if self._scales_itself(deployment.goal.driver):
            return _woken(deployment.goal, standing)
        rules = rules_of(deployment.goal, self._patience)
        return scaled(rules, standing, self._memory(deployment.id), self._clock.monotonic())

    def _memory(self, deployment_id: str) -> ScalingMemory:
        return self._memories.get(deployment_id, ScalingMemory())


def rules_of(wanted: Wanted, patience: ScalingPatience) -> ScalingRules:
    """Return the rules that a specification asks for."""
    return ScalingRules(
        min_replicas=wanted.min_scale,
        max_replicas=wanted.max_scale,
        slots=wanted.slots,
        idle_seconds=wanted.idle_seconds,
        target=wanted.target,
        up_seconds=patience.up_seconds,
        down_seconds=patience.down_seconds,
    )


def _woken(wanted: Wanted, standing: Standing) -> Scaling:
    """One replica for what waits at a cluster that has none; all else is the cluster's."""
    if standing.wanted == 0 and standing.waiting and wanted.max_scale:
        return Scaling(max(1, wanted.min_scale), "A request woke it.", ScalingMemory())
    return Scaling(standing.wanted, "The cluster decides how many replicas run.", ScalingMemory())
