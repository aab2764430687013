"""One door to every endpoint."""

from dataclasses import dataclass, field, replace
from typing import Literal

import pytest

from headrace.domain.dedicated import Deployment, WhenAsleep
from headrace.domain.errors import (
    DeploymentAsleep,
    EngineFailed,
    HeadraceError,
    MeteringUnavailable,
    UpstreamAuthFailed,
    UpstreamRefused,
    UpstreamUnavailable,
)
from headrace.domain.plan import Endpoint, Target
from headrace.ports.fleet import Lease
from headrace.services.closing import CONNECTION_REUSED
from headrace.services.fleet import EJECTED_SECONDS, TargetFleet, prefix_of, report_end
from headrace.testing.clock import FakeClock
from tests.fakes.compute import FakeCompute
from tests.fakes.deployed import a_deployed_target, a_deployment, a_wanted, spec_of
from tests.fakes.nouns import LOCAL, PROVIDER, a_call, a_credential, a_model, a_target

pytestmark = pytest.mark.anyio


class OneEndpoint(FakeCompute):
    """Knows one endpoint of every deployment, and notes who waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, float]] = []

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        self.asked.append((deployment, wait_seconds))
        return Lease(Endpoint("http://127.0.0.1:1"), lambda: None)


def of_provider(auth: Literal["none", "bearer", "header"], credential: str | None) -> Target:
    found = None if credential is None else a_credential(credential)
    return replace(a_target(), provider=replace(PROVIDER, auth=auth, auth_header="x-key"), credential=found)


@pytest.mark.parametrize(("auth", "value"), [("bearer", "Bearer sk-1"), ("header", "sk-1")])
async def test_a_providers_endpoint_carries_its_credential(auth: Literal["bearer", "header"], value: str) -> None:
    compute = OneEndpoint()
    lease = await TargetFleet(compute, frozenset()).acquire(of_provider(auth, "sk-1"), 1.0)
    assert (lease.endpoint.base_url, lease.endpoint.auth_header) == (PROVIDER.base_url, "x-key")
    assert lease.endpoint.auth_value is not None
    assert lease.endpoint.auth_value.reveal() == value
    assert "sk-1" not in repr(lease)
    lease.release()
    assert compute.asked == []


async def test_a_provider_without_authentication_gets_none() -> None:
    lease = await TargetFleet(OneEndpoint(), frozenset()).acquire(of_provider("none", "sk-1"), 1.0)
    assert lease.endpoint == Endpoint(PROVIDER.base_url)


async def test_a_missing_credential_is_not_the_callers_fault() -> None:
    with pytest.raises(UpstreamAuthFailed) as caught:
        await TargetFleet(OneEndpoint(), frozenset()).acquire(of_provider("bearer", None), 1.0)
    assert caught.value.code == "upstream_auth_failed"


async def test_a_deployments_endpoint_comes_from_its_driver() -> None:
    compute = OneEndpoint()
    lease = await TargetFleet(compute, frozenset()).acquire(a_target(a_model("here", local=LOCAL)), 7.0)
    assert lease.endpoint.base_url == "http://127.0.0.1:1"
    assert compute.asked == [("here", 7.0)]


async def test_what_runs_in_this_process_has_no_endpoint_to_wait_for() -> None:
    compute = OneEndpoint()
    fleet = TargetFleet(compute, frozenset({LOCAL.engine}))
    lease = await fleet.acquire(a_target(a_model("here", local=LOCAL)), 7.0)
    assert lease.endpoint == Endpoint(PROVIDER.base_url)
    assert compute.asked == []


@dataclass(slots=True)
class OddCompute(FakeCompute):
    """Leases nothing of the replicas in `gone`; with `is_silent` its leases do not name their replica."""

    gone: set[str | None] = field(default_factory=set[str | None])
    is_silent: bool = False

    def lease(self, deployment: str, replica: str) -> Lease | None:
        found = None if replica in self.gone else FakeCompute.lease(self, deployment, replica)
        if found is None or not self.is_silent:
            return found
        return replace(found, endpoint=replace(found.endpoint, replica=None))


class Deployed:
    """A fleet over a deployment with so many ready replicas."""

    def __init__(self, deployment: Deployment | None = None) -> None:
        self.deployment = deployment or a_deployment()
        self.target = a_deployed_target(self.deployment)
        self.compute = OddCompute()
        self.clock = FakeClock()
        self.woken: list[Deployment] = []
        self.fleet = TargetFleet(self.compute, frozenset(), self.woken.append, self.clock.monotonic)

    async def scaled(self, replicas: int) -> "Deployed":
        await self.compute.apply(spec_of(self.deployment))
        await self.compute.scale(self.deployment.id, replicas)
        return self

    async def acquire(self, prefix: bytes = b"") -> Lease:
        return await self.fleet.acquire(self.target, 99.0, prefix)

    async def replica(self, prefix: bytes = b"") -> str | None:
        """Which replica an idle deployment's request goes to."""
        lease = await self.acquire(prefix)
        lease.release()
        return lease.endpoint.replica


async def test_a_lease_has_the_price_of_its_replicas_run_where_one_is_known() -> None:
    world = await Deployed().scaled(1)
    assert (await world.acquire()).nano_per_hour is None
    known = {("dep_1", "dep_1-1"): 7}
    world.fleet = TargetFleet(world.compute, hourly=lambda deployment, replica: known.get((deployment, replica)))
    assert (await world.acquire()).nano_per_hour == 7


async def test_the_same_prefix_goes_to_the_same_replica_and_load_spreads() -> None:
    world = await Deployed().scaled(3)
    first = await world.replica(b"support")
    assert {await world.replica(b"support") for _ in range(5)} == {first}
    assert {(await world.acquire()).endpoint.replica for _ in range(3)} == {f"dep_1-{number}" for number in (1, 2, 3)}
    assert (await world.acquire()).deployment == "dep_1"


async def test_a_replica_that_cannot_take_it_any_more_is_passed_over() -> None:
    world = await Deployed().scaled(2)
    prefix = b"support"
    first = await world.replica(prefix)
    world.compute.gone = {first}
    assert await world.replica(prefix) not in (None, first)
    world.compute.gone = {"dep_1-1", "dep_1-2"}
    assert await world.acquire(prefix), "the driver is asked to find one"


async def test_a_replica_that_failed_is_left_out_for_a_while() -> None:
    world = await Deployed().scaled(2)
    failed = await world.acquire(b"p")
    failed.release()
    world.fleet.report(failed, is_well=False)
    assert world.compute.reports == [("dep_1", failed.endpoint.replica, False)]
    assert await world.replica(b"p") != failed.endpoint.replica
    world.clock.advance(EJECTED_SECONDS)
    assert await world.replica(b"p") == failed.endpoint.replica


async def test_a_replica_that_answers_again_is_back_at_once() -> None:
    world = await Deployed().scaled(2)
    failed = await world.acquire(b"p")
    failed.release()
    world.fleet.report(failed, is_well=False)
    world.fleet.report(failed, is_well=True)
    assert await world.replica(b"p") == failed.endpoint.replica
    world.fleet.report(failed, is_well=True)
    assert [is_well for _, _, is_well in world.compute.reports] == [False, True, True]


async def test_where_every_replica_failed_one_is_asked_all_the_same() -> None:
    world = await Deployed().scaled(1)
    world.fleet = TargetFleet(world.compute)
    failed = await world.acquire()
    world.fleet.report(failed, is_well=False)
    assert (await world.acquire()).endpoint.replica == failed.endpoint.replica


async def test_a_sleeping_deployment_is_waited_for_as_long_as_its_operator_says() -> None:
    world = await Deployed().scaled(0)
    lease = await world.acquire()
    assert (lease.endpoint.replica, lease.deployment) == ("dep_1-1", "dep_1")
    never = Deployed(a_deployment(a_wanted(wait_seconds=0)))
    never.compute.is_prompt = False
    await never.scaled(0)
    with pytest.raises(EngineFailed):
        await never.acquire()
    assert world.woken == never.woken == []


@pytest.mark.parametrize("when_asleep", list(WhenAsleep))
async def test_nothing_is_woken_that_nobody_can_pay(when_asleep: WhenAsleep) -> None:
    world = await Deployed(a_deployment(a_wanted(when_asleep=when_asleep))).scaled(0)

    async def used_up(deployment: Deployment) -> str | None:
        return f"The budget of {deployment.account} is used up."

    poor = TargetFleet(world.compute, wake=world.woken.append, objection=used_up)
    with pytest.raises(DeploymentAsleep, match=r"is not woken\. The budget of .* is used up") as caught:
        await poor.acquire(world.target, 1.0)
    assert caught.value.retry_after_seconds == 60
    assert (world.woken, world.compute.ready("dep_1")) == ([], [])
    await world.compute.scale("dep_1", 1)
    assert (await poor.acquire(world.target, 1.0)).endpoint.replica is not None


@pytest.mark.parametrize("when_asleep", [WhenAsleep.OVERFLOW, WhenAsleep.REFUSE])
async def test_who_does_not_wait_is_told_when_to_come_back_and_it_is_woken(when_asleep: WhenAsleep) -> None:
    world = await Deployed(a_deployment(a_wanted(when_asleep=when_asleep))).scaled(0)
    with pytest.raises(DeploymentAsleep) as caught:
        await world.acquire()
    assert caught.value.retry_after_seconds == 30
    assert f'"{when_asleep.value}"' in caught.value.message
    assert world.woken == [world.deployment]
    world.compute.deployments["dep_1"].wake_seconds = 4.2
    with pytest.raises(DeploymentAsleep) as caught:
        await world.acquire()
    assert caught.value.retry_after_seconds == 5
    with pytest.raises(DeploymentAsleep):
        await TargetFleet(world.compute).acquire(world.target, 1.0)


@pytest.mark.parametrize("when_asleep", list(WhenAsleep))
async def test_who_is_awake_and_full_is_waited_for_whatever_it_does_asleep(when_asleep: WhenAsleep) -> None:
    world = await Deployed(a_deployment(a_wanted(when_asleep=when_asleep))).scaled(1)
    world.compute.gone = {"dep_1-1"}
    assert (await world.acquire()).endpoint.replica == "dep_1-1"
    assert world.woken == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, [True]),
        (UpstreamRefused("x"), [True]),
        (UpstreamUnavailable("x"), [False]),
        (EngineFailed("x"), [False]),
        (UpstreamUnavailable("x", code=CONNECTION_REUSED), []),
        (MeteringUnavailable("x"), []),
    ],
)
async def test_what_an_end_says_of_the_replica(error: HeadraceError | None, told: list[bool]) -> None:
    world = await Deployed().scaled(1)
    report_end(world.fleet, await world.acquire(), error)
    assert [is_well for _, _, is_well in world.compute.reports] == told


async def test_nothing_is_reported_of_a_provider_or_of_who_was_never_there() -> None:
    world = await Deployed().scaled(1)
    lease = await world.fleet.acquire(of_provider("none", None), 1.0)
    report_end(world.fleet, lease, None)
    report_end(world.fleet, None, EngineFailed("x"))
    world.fleet.report(lease, is_well=False)
    world.fleet.report(replace(lease, deployment="dep_1"), is_well=False)
    assert world.compute.reports == []


async def test_a_driver_that_does_not_name_its_replicas_in_leases_is_helped_out() -> None:
    world = await Deployed().scaled(1)
    world.compute.is_silent = True
    assert (await world.acquire()).endpoint.replica == "dep_1-1"


def test_only_deployments_of_several_replicas_have_a_prefix() -> None:
    alone = a_deployed_target(a_deployment(a_wanted(max_scale=1)))
    assert prefix_of(a_call(), a_target()) == prefix_of(a_call(), alone) == b""
    assert prefix_of(a_call(), a_deployed_target()) == prefix_of(a_call(), a_deployed_target()) != b""
