"""The ray driver under the contract suite of all compute drivers, over a cluster in memory; real nodes: `make ray`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import httpx2
import pytest

from headrace.domain.deployment import ReplicaState
from headrace.domain.errors import DriverUnusable, EngineFailed
from headrace.domain.plan import Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.ambient import SystemClock
from headrace.drivers.compute.ray.compute import RayCompute
from headrace.drivers.compute.ray.config import Naming, ServePolicy
from headrace.drivers.compute.ray.parts import RayPace, RayParts
from headrace.ports.fleet import Compute
from tests.contract.compute_contract import NAME, ComputeContract, LogContract
from tests.contract.compute_world import ComputeWorld, bounded
from tests.fakes.ray_answers import HEAD, OTHER
from tests.fakes.ray_api import STARTED, FakeApplication, FakeRay, FakeReplica

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

PACE = RayPace(
    busy_seconds=0.01,
    settled_seconds=0.05,
    troubled_seconds=0.02,
    wake_seconds=5.0,
    removal_seconds=2.0,
    retry_seconds=0.05,
    facts_seconds=0.5,
)
POLICY = ServePolicy(http_port=28_000, drain_seconds=2.0)


class HeldRequest:
    """A request that a replica has begun to answer."""

    def __init__(self, ray: FakeRay, task: asyncio.Task[int]) -> None:
        self._ray, self._task = ray, task

    async def finish(self) -> int:
        self._ray.release.set()
        return await self._task


class FakeRayWorld(ComputeWorld):
    """The driver over the cluster; nobody sees the processes behind it."""

    sees_processes = False

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.token_file = home / "token"
        self.token_file.write_text("token-of-ray\n")
        self.ray = FakeRay()
        self.callers = httpx2.AsyncClient(transport=self.ray.transport)
        self.open: list[RayCompute] = []

    async def make(self) -> RayCompute:
        parts = RayParts(
            serve=self.ray.serve(token_file=self.token_file),
            clock=SystemClock(),
            naming=Naming("headrace"),
            secret_of=lambda each: Secret(f"secret of {each}"),
            policy=POLICY,
            pace=PACE,
            on_change=self.seen.append,
        )
        compute = RayCompute(parts)
        await compute.open()
        await asyncio.sleep(0)
        self.open.append(compute)
        return compute

    async def restart(self, compute: Compute) -> RayCompute:
        await compute.close()
        return await self.make()

    async def end_unknown(self, compute: Compute, known: Collection[str]) -> None:
        assert isinstance(compute, RayCompute)
        await compute.end_unknown(known)

    async def ask(self, endpoint: Endpoint) -> int:
        # A network takes a moment. Answers in no time keep the loop and the interpreter lock from the driver's threads.
        await asyncio.sleep(0.002)
        return await self._get(endpoint, "v1/models")

    async def hold(self, endpoint: Endpoint) -> HeldRequest:
        served = len(self.ray.served)
        held = HeldRequest(self.ray, asyncio.get_running_loop().create_task(self._get(endpoint, "hold")))
        await self.until(lambda: len(self.ray.served) > served, "the request is held")
        return held

    async def close(self) -> None:
        for compute in self.open:
            await compute.close()
        await self.callers.aclose()

    async def up(self, replicas: int) -> RayCompute:
        """A driver with one deployment of so many replicas."""
        compute = await self.make()
        await compute.apply(bounded(self.spec(NAME), replicas, replicas))
        await self.until_ready(compute, NAME, replicas)
        return compute

    async def _get(self, endpoint: Endpoint, path: str) -> int:
        secret = "" if endpoint.auth_value is None else endpoint.auth_value.reveal()
        reply = await self.callers.get(f"{endpoint.base_url}/{path}", headers={"authorization": secret}, timeout=20.0)
        return reply.status_code


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FakeRayWorld]:
    world = FakeRayWorld(tmp_path)
    yield world
    await world.close()


class TestRayCompute(ComputeContract, LogContract):
    """The suite of all drivers."""


async def test_only_what_changes_is_written_and_others_are_kept(world: FakeRayWorld) -> None:
    world.ray.applications["theirs"] = FakeApplication({"name": "theirs", "args": {}, "deployments": [_small()]})
    compute = await world.up(1)
    assert [[each["name"] for each in put["applications"]] for put in world.ray.puts] == [
        ["theirs", f"headrace-{NAME}"]
    ]
    await compute.apply(bounded(world.spec(NAME), 1, 1))
    assert len(world.ray.puts) == 1
    await compute.remove(NAME)
    assert [each["name"] for each in world.ray.puts[-1]["applications"]] == ["theirs"]
    assert list(world.ray.applications) == ["theirs"]
    assert world.ray.token == "Bearer token-of-ray"


async def test_the_next_control_plane_writes_nothing_and_knows_since_when_replicas_were_ready(
    world: FakeRayWorld,
) -> None:
    compute = await world.up(2)
    successor = await world.restart(compute)
    await successor.apply(bounded(world.spec(NAME), 2, 2))
    assert len(world.ray.puts) == 1
    assert {each.ready_at_micros for each in successor.observe()} == {(STARTED + 3) * 1_000_000}
    assert {each.node for each in successor.observe()} == {HEAD, OTHER}


async def test_an_application_that_a_cluster_lost_is_told_and_written_again(world: FakeRayWorld) -> None:
    compute = await world.up(1)
    world.ray.applications.clear()
    await world.until(lambda: not compute.ready(NAME), "the loss is seen")
    assert [each.state for each in compute.observe()] == [ReplicaState.FAILED]
    await compute.apply(bounded(world.spec(NAME), 1, 1))
    await world.until_ready(compute, NAME, 1)
    assert len(world.ray.puts) == 2


async def test_requests_go_through_the_proxy_of_their_replicas_node_with_the_secret(world: FakeRayWorld) -> None:
    compute = await world.up(2)
    for replica in compute.observe():
        lease = compute.lease(NAME, replica.id)
        assert lease is not None
        await world.ask(lease.endpoint)
        lease.release()
        assert world.ray.served[-1] == (replica.node, "v1/models", f"Bearer secret of {NAME}")


async def test_a_dead_nodes_proxy_and_replica_are_left_out_before_ray_notices(world: FakeRayWorld) -> None:
    compute = await world.up(2)
    (dead,) = [each.id for each in compute.observe() if each.node == OTHER]
    lease = compute.lease(NAME, dead)
    assert lease is not None
    compute.report(NAME, dead, is_well=False)
    lease.release()
    assert dead not in world.ids(compute, NAME)
    again = compute.lease(NAME, dead)
    assert again is not None
    assert again.endpoint.base_url.startswith("http://192.0.2.2:28000/")
    again.release()
    (other,) = world.ids(compute, NAME)
    compute.report(NAME, other, is_well=False)
    assert world.ids(compute, NAME) == {dead, other}


async def test_after_failing_again_the_cluster_is_asked_before_the_next_request(world: FakeRayWorld) -> None:
    compute = await world.up(1)
    (replica,) = world.ids(compute, NAME)
    world.ray.holds_looks = asyncio.Event()
    compute.report(NAME, replica, is_well=False)
    assert world.ids(compute, NAME) == {replica}
    compute.report(NAME, replica, is_well=False)
    assert world.ids(compute, NAME) == set()
    waiting = asyncio.get_running_loop().create_task(compute.acquire(NAME, 10.0))
    await asyncio.sleep(0)
    # Meanwhile somebody ends all of Serve, and the control plane writes it anew.
    world.ray.applications.clear()
    world.ray.holds_looks.set()
    lease = await waiting
    assert lease.endpoint.replica != replica
    lease.release()


async def test_a_silent_dashboard_takes_nobody_away(world: FakeRayWorld) -> None:
    compute = await world.up(1)
    (replica,) = world.ids(compute, NAME)
    world.ray.refusal = httpx2.ConnectError("refused")
    for _ in range(2):
        compute.report(NAME, replica, is_well=False)
    (await compute.acquire(NAME, 5.0)).release()
    compute.report(NAME, replica, is_well=True)
    assert world.ids(compute, NAME) == {replica}


async def test_a_replica_that_is_gone_unasked_is_told_failed(world: FakeRayWorld) -> None:
    compute = await world.up(2)
    application = world.ray.applications[f"headrace-{NAME}"]
    lost = application.replicas.pop()
    await world.until(lambda: any(each.ended_at_micros for each in world.seen), "told")
    (told,) = [each for each in world.seen if each.ended_at_micros]
    assert (told.id, told.state, told.node) == (lost.tag, ReplicaState.FAILED, lost.node)
    assert "Ray reports no more of it" in told.reason
    await world.until_ready(compute, NAME, 2)


async def test_a_replica_that_ray_has_not_started_is_not_one_yet(world: FakeRayWorld) -> None:
    world.ray.is_stuck, world.ray.started = True, 0
    compute = await world.make()
    await compute.apply(bounded(world.spec(NAME), 1, 1))
    assert world.states(compute, NAME) == {}
    world.ray.started = STARTED
    await world.until(lambda: world.states(compute, NAME) != {}, "started")
    (replica,) = compute.observe()
    assert replica.started_at_micros == STARTED * 1_000_000


async def test_what_cannot_start_says_what_ray_says(world: FakeRayWorld) -> None:
    world.ray.is_stuck = True
    compute = await world.make()
    await compute.apply(bounded(world.spec(NAME), 1, 1))
    application = world.ray.applications[f"headrace-{NAME}"]
    with pytest.raises(EngineFailed, match=r"There was no replica after 0\.1 s"):
        await compute.acquire(NAME, 0.1)
    application.message = "No node has enough CPU."
    await world.until(lambda: any("enough CPU" in each.reason for each in compute.observe()), "the reason")
    application.status = "DEPLOY_FAILED"
    with pytest.raises(EngineFailed, match=r"Ray Serve could not start .* No node has enough CPU"):
        await compute.acquire(NAME, 5.0)


async def test_what_ray_has_given_up_is_begun_anew_after_a_while(world: FakeRayWorld) -> None:
    world.ray.is_stuck = True
    compute = await world.make()
    spec = bounded(world.spec(NAME), 1, 1)
    await compute.apply(spec)
    application = world.ray.applications[f"headrace-{NAME}"]
    application.status = "DEPLOY_FAILED"
    await compute.look()
    await compute.apply(spec)
    assert len(world.ray.puts) == 1
    while world.ray.applications:
        await compute.apply(spec)
        await compute.look()
    world.ray.is_stuck = False
    await compute.look()
    await compute.apply(spec)
    await world.until_ready(compute, NAME, 1)
    assert [len(each["applications"]) for each in world.ray.puts] == [1, 0, 1]


async def test_what_ray_is_mending_is_waited_for(world: FakeRayWorld) -> None:
    compute = await world.up(1)
    application = world.ray.applications[f"headrace-{NAME}"]
    world.ray.is_stuck, application.status = True, "UNHEALTHY"
    application.replicas.clear()
    await world.until(lambda: not compute.ready(NAME), "the crash is seen")
    waiting = asyncio.get_running_loop().create_task(compute.acquire(NAME, 10.0))
    await compute.look()
    world.ray.is_stuck, application.status = False, "RUNNING"
    (await waiting).release()


async def test_a_proxy_that_does_not_answer_keeps_nobody_asleep(world: FakeRayWorld) -> None:
    compute = await world.make()
    await compute.apply(world.spec(NAME))
    world.ray.silent.add(HEAD)
    lease = await compute.acquire(NAME, 5.0)
    assert await world.ask(lease.endpoint) == 200
    lease.release()
    assert {node for node, path, _ in world.ray.served if path == "-/wake"} == {OTHER}


async def test_what_stands_against_one_deployment_is_told_of_no_other(world: FakeRayWorld) -> None:
    compute = await world.up(1)
    await compute.apply(world.spec("dep-two"))
    world.ray.applications.pop("headrace-dep-two")
    await compute.look()
    world.ray.put_refusal = httpx2.Response(400, text="no such import path")
    with pytest.raises(EngineFailed, match="no such import path"):
        await compute.acquire("dep-two", 0.2)
    await compute.apply(bounded(world.spec(NAME), 1, 1))
    assert compute.trouble is None


async def test_a_node_that_gives_no_files_holds_up_nobody(world: FakeRayWorld) -> None:
    world.ray.is_silent_about_files = True
    compute = await world.up(2)
    assert all(each.ready_at_micros is not None for each in compute.observe())


async def test_who_is_told_to_end_is_woken_no_more(world: FakeRayWorld) -> None:
    world.ray.is_stuck = True
    compute = await world.make()
    await compute.apply(world.spec(NAME))
    await compute.scale(NAME, 1)
    await world.until(lambda: world.ray.waiting == 1, "it is being woken")
    await compute.scale(NAME, 0)
    await world.until(lambda: world.ray.waiting == 0, "it is asked no more")


async def test_a_silent_dashboard_stops_nothing_and_is_told(world: FakeRayWorld) -> None:
    compute = await world.up(1)
    spec = bounded(world.spec(NAME), 1, 1)
    world.ray.refusal = httpx2.ConnectError("refused")
    await world.until(lambda: compute.trouble is not None, "the silence is noticed")
    with pytest.raises(DriverUnusable, match="ray_address"):
        await compute.apply(spec)
    lease = await compute.acquire(NAME, 1.0)
    assert await world.ask(lease.endpoint) == 200
    lease.release()
    with pytest.raises(DriverUnusable, match="ray_address"):
        await compute.apply(world.spec("dep-two"))
    with pytest.raises(EngineFailed, match="cannot be asked now") as refused:
        await compute.acquire("dep-two", 0.1)
    assert "192.0.2.1" not in refused.value.message
    world.ray.refusal = None
    await world.until(lambda: len(compute.ready(NAME)) == 1, "still there")
    assert len(world.ray.puts) == 1


async def test_a_sleeping_one_is_woken_without_a_request_and_ended_by_asking_for_none(world: FakeRayWorld) -> None:
    compute = await world.make()
    await compute.apply(world.spec(NAME))
    assert world.states(compute, NAME) == {}
    await compute.scale(NAME, 1)
    await world.until_ready(compute, NAME, 1)
    standing = compute.standing(NAME)
    assert standing is not None
    assert standing.wake_seconds is not None
    await compute.scale(NAME, 0)
    await world.until(lambda: world.states(compute, NAME) == {}, "asleep")
    with pytest.raises(EngineFailed, match="not known"):
        await compute.scale("nobody", 1)


async def test_old_applications_of_this_installation_end_and_no_others(world: FakeRayWorld) -> None:
    compute = await world.up(1)
    theirs = FakeApplication({"name": "elsewhere-dep", "args": {}, "deployments": [_small()]})
    theirs.replicas.append(FakeReplica("theirs", HEAD, {}))
    world.ray.applications["elsewhere-dep"] = theirs
    successor = await world.restart(compute)
    await successor.end_unknown(())
    assert list(world.ray.applications) == ["elsewhere-dep"]


async def test_logs_of_replicas_that_ended_are_read_too(world: FakeRayWorld) -> None:
    compute = await world.up(2)
    world.ray.applications[f"headrace-{NAME}"].replicas.pop()
    await world.until(lambda: any(each.ended_at_micros for each in world.seen), "gone")
    await world.until_ready(compute, NAME, 2)
    logs = await compute.logs(NAME, None, 1)
    assert len(logs) == 3
    assert set(map(tuple, logs.values())) == {("listening",)}
    world.ray.files.clear()
    assert await compute.logs(NAME, None, 1) == {}


def _small() -> dict[str, object]:
    scaling = {"min_replicas": 0, "max_replicas": 1, "downscale_to_zero_delay_s": 1.0}
    return {"name": "replica", "autoscaling_config": scaling}
