"""Autoscaling as a service: what it remembers, whom it asks, when it only wakes."""

from __future__ import annotations

import pytest

from headrace.domain.dedicated import Deployment, Standing
from headrace.domain.errors import EngineFailed
from headrace.services.autoscaling import Autoscaling, ScalingPatience
from headrace.services.deployment_specs import DeploymentSpecs, SpecProblem
from headrace.testing.clock import FakeClock
from tests.fakes.compute import FakeCompute
from tests.fakes.reconciled import CATALOG, MemoryWeights, a_deployment, a_wanted

pytestmark = pytest.mark.anyio


def autoscaling(compute: FakeCompute, patience: ScalingPatience | None = None) -> Autoscaling:
    return Autoscaling(compute, compute.clock, lambda _driver: compute.scales_itself, patience=patience)


async def applied(compute: FakeCompute, deployment: Deployment) -> None:
    spec = DeploymentSpecs(lambda: CATALOG, MemoryWeights()).make(deployment)
    assert not isinstance(spec, SpecProblem)
    await compute.apply(spec)


async def test_a_driver_that_does_not_know_the_deployment_is_asked_for_nothing() -> None:
    compute = FakeCompute()
    assert await autoscaling(compute).follow(a_deployment()) is None
    assert compute.calls == []


class Fresh(FakeCompute):
    """A driver that was just started: two replicas run, and nobody has asked for any yet."""

    def standing(self, deployment: str) -> Standing | None:
        seen = super().standing(deployment)
        return seen if seen is None or seen.wanted else Standing(wanted=0, ready=1, starting=1)


async def test_what_runs_when_it_first_looks_counts_as_wanted() -> None:
    compute, deployment = Fresh(), a_deployment(a_wanted(0, 3))
    await applied(compute, deployment)
    service = autoscaling(compute)
    followed = await service.follow(deployment)
    assert followed is not None
    assert followed.replicas == 2
    assert compute.calls[-1] == ("scale", "dep", 2)


async def test_a_failed_driver_is_asked_again() -> None:
    compute, deployment = FakeCompute(), a_deployment(a_wanted(1))
    await applied(compute, deployment)
    compute.errors["scale"] = [EngineFailed("no room")]
    service = autoscaling(compute)
    with pytest.raises(EngineFailed):
        await service.follow(deployment)
    followed = await service.follow(deployment)
    assert followed is not None
    assert (followed.replicas, followed.reason) == (1, "The bounds are 1 to 2 replicas.")


async def test_the_patience_is_the_operators_and_forgotten_with_the_deployment() -> None:
    compute, deployment = FakeCompute(FakeClock()), a_deployment(a_wanted(1, 3))
    await applied(compute, deployment)
    service = autoscaling(compute, ScalingPatience(up_seconds=10.0))
    await service.follow(deployment)
    compute.deployments["dep"].waiting = 6
    await service.follow(deployment)
    compute.clock.advance(9.0)
    service.keep_only({"dep"})
    await service.follow(deployment)
    assert len(compute.ready("dep")) == 1
    service.keep_only(())
    compute.clock.advance(1.0)
    await service.follow(deployment)
    assert len(compute.ready("dep")) == 1
    compute.clock.advance(10.0)
    await service.follow(deployment)
    assert len(compute.ready("dep")) == 3


async def test_an_obstacle_keeps_it_from_growing_and_not_from_shrinking() -> None:
    compute, deployment = FakeCompute(), a_deployment(a_wanted(0, 3))
    await applied(compute, deployment)
    service = autoscaling(compute)
    compute.deployments["dep"].waiting = 1
    followed = await service.follow(deployment, "The weights are gone.")
    assert followed is not None
    assert (followed.replicas, followed.objection) == (0, "The weights are gone.")
    await service.follow(deployment)
    compute.deployments["dep"].waiting = 0
    compute.clock.advance(61.0)
    followed = await service.follow(deployment, "The weights are gone.")
    assert followed is not None
    assert (followed.replicas, followed.objection) == (0, None)


async def test_a_cluster_is_woken_with_its_least_number_and_never_when_it_may_have_none() -> None:
    compute = FakeCompute(scales_itself=True)
    deployment, none = a_deployment(a_wanted(0, 3)), a_deployment(a_wanted(0, 0), "none")
    service = autoscaling(compute)
    for each in (deployment, none):
        await applied(compute, each)
        compute.deployments[each.id].waiting = 2
        await service.follow(each)
    assert [each for each in compute.calls if each[0] == "scale"] == [("scale", "dep", 1)]
