"""One door to every endpoint."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest

from headrace.domain.deployment import DeploymentSpec, Replica
from headrace.domain.errors import UpstreamAuthFailed
from headrace.domain.plan import Endpoint, Target
from headrace.ports.fleet import Lease
from headrace.services.fleet import TargetFleet
from tests.fakes.nouns import LOCAL, PROVIDER, a_credential, a_model, a_target

pytestmark = pytest.mark.anyio


class FakeCompute:
    """Knows one replica of every deployment."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []

    async def apply(self, spec: DeploymentSpec) -> None: ...

    def observe(self) -> Sequence[Replica]:
        return ()

    async def acquire(self, deployment: str, wait_seconds: float) -> Lease:
        self.asked.append((deployment, wait_seconds))
        return Lease(Endpoint("http://127.0.0.1:1"), lambda: None)

    async def remove(self, deployment: str) -> None: ...

    async def close(self) -> None: ...


def of_provider(auth: Literal["none", "bearer", "header"], credential: str | None) -> Target:
    found = None if credential is None else a_credential(credential)
    return replace(a_target(), provider=replace(PROVIDER, auth=auth, auth_header="x-key"), credential=found)


@pytest.mark.parametrize(("auth", "value"), [("bearer", "Bearer sk-1"), ("header", "sk-1")])
async def test_a_providers_endpoint_carries_its_credential(auth: Literal["bearer", "header"], value: str) -> None:
    compute = FakeCompute()
    lease = await TargetFleet(compute, frozenset()).acquire(of_provider(auth, "sk-1"), 1.0)
    assert (lease.endpoint.base_url, lease.endpoint.auth_header) == (PROVIDER.base_url, "x-key")
    assert lease.endpoint.auth_value is not None
    assert lease.endpoint.auth_value.reveal() == value
    assert "sk-1" not in repr(lease)
    lease.release()
    assert compute.asked == []


async def test_a_provider_without_authentication_gets_none() -> None:
    lease = await TargetFleet(FakeCompute(), frozenset()).acquire(of_provider("none", "sk-1"), 1.0)
    assert lease.endpoint == Endpoint(PROVIDER.base_url)


async def test_a_missing_credential_is_not_the_callers_fault() -> None:
    with pytest.raises(UpstreamAuthFailed) as caught:
        await TargetFleet(FakeCompute(), frozenset()).acquire(of_provider("bearer", None), 1.0)
    assert caught.value.code == "upstream_auth_failed"


async def test_a_deployments_endpoint_comes_from_its_driver() -> None:
    compute = FakeCompute()
    lease = await TargetFleet(compute, frozenset()).acquire(a_target(a_model("here", local=LOCAL)), 7.0)
    assert lease.endpoint.base_url == "http://127.0.0.1:1"
    assert compute.asked == [("here", 7.0)]


async def test_what_runs_in_this_process_has_no_endpoint_to_wait_for() -> None:
    compute = FakeCompute()
    fleet = TargetFleet(compute, frozenset({LOCAL.engine}))
    lease = await fleet.acquire(a_target(a_model("here", local=LOCAL)), 7.0)
    assert lease.endpoint == Endpoint(PROVIDER.base_url)
    assert compute.asked == []
