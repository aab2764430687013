"""The cloud driver with our own control plane in the cloud's place: the public contract, spoken from both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest

from headrace.domain.dedicated import Deployment, DeploymentStatus
from headrace.domain.deployment import DeploymentSpec, Replica, ReplicaState
from headrace.domain.errors import DriverUnusable, EngineFailed
from headrace.drivers.compute.cloud.client import CloudAccess, CloudClient
from headrace.drivers.compute.cloud.compute import CloudCompute
from headrace.drivers.compute.cloud.notes import CloudNotes
from headrace.drivers.compute.cloud.parts import CloudParts, CloudPolicy
from headrace.http.control.app import control_app
from headrace.testing.clock import FakeClock
from tests.contract.compute_world import scaled_spec
from tests.control_world import NOON_MICROS, SHA, Plane, World, open_plane
from tests.fakes.blobs import MemoryBlobs

pytestmark = pytest.mark.anyio

ID = "dep-one"
NAME = f"headrace-home1-{ID}"


def spec(**wanted: str) -> DeploymentSpec:
    """A deployment of the model that the other control plane has too."""
    made = scaled_spec(ID)
    assert made.wanted is not None
    asked = replace(made.wanted, model="tiny", region="atl1", asked_accelerator="cpu", vpc_uuid="net-1")
    return replace(made, source="tiny", wanted=replace(asked, **wanted))


@dataclass
class Both:
    """The driver, and the control plane that it takes for a cloud."""

    plane: Plane
    clock: FakeClock
    token_file: Path
    compute: CloudCompute

    async def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance(20.0)
            await self.compute.tick()

    def there(self) -> Deployment:
        (found,) = self.plane.parts.deployments.all()
        return found

    async def runs(self, *replicas: str) -> None:
        """Let the other side bring these up."""
        found = self.there()
        self.plane.world.compute.replicas = [
            Replica(each, found.id, ReplicaState.READY, None, 7, NOON_MICROS, ready_at_micros=NOON_MICROS + 5_000_000)
            for each in replicas
        ]
        await self.plane.parts.deployments.settle_state(found.id, status=DeploymentStatus.ACTIVE)
        await self.tick(2)


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    world = World()
    world.weights.here.add(SHA)
    async with open_plane(world) as plane:
        token_file = tmp_path / "token"
        token_file.write_text(world.tokens["admin"])
        transport = httpx2.ASGITransport(control_app(plane.parts))
        clock = FakeClock(NOON_MICROS)
        client = CloudClient(CloudAccess("https://gate", token_file), clock, transport)
        parts = CloudParts(client, CloudNotes(MemoryBlobs(clock)), clock, CloudPolicy(remove_seconds=0.1))
        compute = CloudCompute(parts, "home1")
        yield Both(plane, clock, token_file, compute)
        await compute.close()


async def test_a_deployment_is_made_once_and_reached_at_its_own_endpoint(both: Both) -> None:
    await both.compute.apply(spec())
    await both.compute.scale(ID, 1)
    wanted = both.there().wanted
    assert (wanted.name, wanted.model, wanted.min_scale, wanted.max_scale) == (NAME, "tiny", 1, 1)
    assert (wanted.region, wanted.vpc_uuid, wanted.asked_accelerator) == ("atl1", "net-1", "cpu")
    await both.runs("there-0")
    lease = await both.compute.acquire(ID, 1.0)
    assert lease.endpoint.base_url == f"https://gate/dedicated/{both.there().id}/v1"
    assert lease.endpoint.auth_value is not None
    token = lease.endpoint.auth_value.reveal().removeprefix("Bearer ")
    door = both.plane.parts.door
    caller = door.identity.identify(token, door.snapshots.current().keys)
    assert caller.deployment == both.there().id
    (seen,) = both.compute.observe()
    assert (seen.id, seen.started_at_micros, seen.ready_at_micros) == ("there-0", NOON_MICROS, NOON_MICROS + 5_000_000)


async def test_scaling_changes_both_bounds_and_asks_once(both: Both) -> None:
    await both.compute.apply(spec())
    await both.compute.scale(ID, 1)
    await both.runs("there-0")
    before = both.there()
    await both.compute.scale(ID, 3)
    changed = both.there()
    assert (changed.goal.min_scale, changed.goal.max_scale) == (3, 3)
    assert changed.updated_at_micros >= before.updated_at_micros
    await both.runs("there-0", "there-1", "there-2")
    assert len(both.compute.ready(ID)) == 3
    settled = both.there()
    await both.tick(5)
    assert both.there() == settled


async def test_none_wanted_deletes_it_there(both: Both) -> None:
    await both.compute.apply(spec())
    await both.compute.scale(ID, 1)
    await both.runs("there-0")
    await both.compute.scale(ID, 0)
    assert both.there().status is DeploymentStatus.DELETING
    assert [each.state for each in both.compute.observe()] == [ReplicaState.STOPPING]
    await both.plane.parts.deployments.forget(both.there().id)
    await both.tick()
    assert both.compute.observe() == []
    await both.compute.remove(ID)


async def test_what_is_refused_there_is_said_here(both: Both) -> None:
    await both.compute.apply(spec(model="nobody"))
    with pytest.raises(EngineFailed, match=r'gate answered 4\d\d: ".*nobody'):
        await both.compute.apply(replace(spec(), source="nobody"))
        await both.compute.scale(ID, 1)
    both.token_file.write_text(both.plane.world.tokens["key"])
    with pytest.raises(DriverUnusable, match="refuses the token"):
        await both.compute.remove(ID)


async def test_another_name_of_the_model_is_not_sent_again_and_again(both: Both) -> None:
    await both.compute.apply(spec(model_provider="hugging_face"))
    await both.compute.scale(ID, 1)
    await both.runs("there-0")
    settled = both.there()
    await both.tick(5)
    assert both.there() == settled
