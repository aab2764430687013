"""One driver made of several."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.domain.deployment import DeploymentSpec
from headrace.domain.errors import DriverUnusable, EngineFailed
from headrace.ports.fleet import Compute
from headrace.services.computes import Computes
from tests.fakes.compute import FakeCompute
from tests.fakes.deployed import a_deployment, a_wanted, spec_of

pytestmark = pytest.mark.anyio
HERE = spec_of(a_deployment())
THERE = spec_of(a_deployment(a_wanted(name="far", driver="ray"), "dep_2"))


class World:
    """Two drivers in one, with a deployment at each."""

    def __init__(self) -> None:
        self.local, self.ray = FakeCompute(), FakeCompute(scales_itself=True)
        self.first_tokens: dict[str, float] = {}
        self.computes = Computes({"local": self.local, "ray": self.ray}, self.first_tokens.get)

    async def __aenter__(self) -> World:
        await self.computes.apply(HERE)
        await self.computes.apply(THERE)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.computes.close()


async def test_each_deployment_is_its_own_drivers() -> None:
    async with World() as world:
        computes: Compute = world.computes
        await computes.scale("dep_1", 1)
        await computes.scale("dep_2", 2)
        assert (len(world.local.replicas), len(world.ray.replicas)) == (1, 2)
        assert [each.deployment for each in computes.observe()] == ["dep_1", "dep_2", "dep_2"]
        [replica] = computes.ready("dep_1")
        lease = computes.lease("dep_1", replica.id)
        assert lease is not None
        assert lease.endpoint.replica == replica.id
        assert (await computes.acquire("dep_2", 1.0)).endpoint.replica in {each.id for each in computes.ready("dep_2")}
        computes.report("dep_2", "r", is_well=False)
        assert (world.local.reports, world.ray.reports) == ([], [("dep_2", "r", False)])
        world.ray.lines = {"dep_2-1": ["a", "b"]}
        assert (await computes.logs("dep_2", None, 1))["dep_2-1"] == ["b"]
        await computes.remove("dep_1")
        assert computes.standing("dep_1") is None
        assert "dep_2" in world.ray.deployments
        assert (world.computes.driver("ray").scales_itself, world.computes.driver("local").scales_itself) == (
            True,
            False,
        )


async def test_the_time_to_the_first_token_is_added_where_the_driver_has_none() -> None:
    async with World() as world:
        standing = world.computes.standing("dep_1")
        assert standing is not None
        assert standing.first_token_ms is None
        world.first_tokens.update({"dep_1": 120.0, "dep_2": 80.0})
        assert world.computes.standing("dep_1") == replace(standing, first_token_ms=120.0)
        world.ray.deployments["dep_2"].first_token_ms = 30.0
        known = world.computes.standing("dep_2")
        assert known is not None
        assert known.first_token_ms == 30.0
        unwatched = Computes({"local": world.local})
        await unwatched.apply(HERE)
        assert unwatched.standing("dep_1") == standing


async def test_a_driver_that_there_is_not_is_told_with_those_that_there_are() -> None:
    async with World() as world:
        with pytest.raises(DriverUnusable) as caught:
            await world.computes.apply(replace(HERE, id="dep_3", driver="rai"))
        assert caught.value.message == ('No compute driver is named "rai". Did you mean "ray"? There are: local, ray.')
        with pytest.raises(DriverUnusable, match="There are: none"):
            Computes({}).driver("local")


async def test_nobody_knows_a_deployment_that_was_not_applied() -> None:
    async with World() as world:
        computes = world.computes
        assert computes.standing("nobody") is None
        assert list(computes.ready("nobody")) == []
        assert computes.lease("nobody", "r") is None
        assert await computes.logs("nobody", None, 1) == {}
        computes.report("nobody", "r", is_well=True)
        with pytest.raises(EngineFailed, match='"nobody"'):
            await computes.acquire("nobody", 0.001)
        with pytest.raises(EngineFailed):
            await computes.scale("nobody", 1)


async def test_who_comes_before_the_first_look_waits_for_it() -> None:
    local = FakeCompute()
    computes = Computes({"local": local})
    loop = asyncio.get_running_loop()
    early = loop.create_task(computes.acquire("dep_1", 1.0))
    await asyncio.sleep(0)
    await computes.apply(replace(HERE, id="dep_3"))
    await asyncio.sleep(0)
    assert not early.done()
    await computes.apply(HERE)
    await computes.apply(HERE)
    lease = await early
    assert lease.endpoint.replica == local.replicas[0].id
    lease.release()
    await computes.remove("dep_1")
    with pytest.raises(EngineFailed, match='"dep_1" yet, or no more'):
        await computes.acquire("dep_1", 0.001)


async def test_who_waits_while_the_driver_is_asked_waits_for_its_answer() -> None:
    answered = asyncio.Event()

    class Slow(FakeCompute):
        async def apply(self, spec: DeploymentSpec) -> None:
            await answered.wait()
            await super().apply(spec)

    computes, loop = Computes({"local": Slow()}, first_look_seconds=0.0), asyncio.get_running_loop()
    asking = loop.create_task(computes.apply(HERE))
    await asyncio.sleep(0)
    early = loop.create_task(computes.acquire("dep_1", 1.0))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not early.done()
    answered.set()
    await asking
    (await early).release()


async def test_who_waits_for_what_cannot_be_applied_is_told_at_once() -> None:
    local = FakeCompute(errors={"apply": [EngineFailed("No engine is named so.")]})
    computes = Computes({"local": local})
    early = asyncio.get_running_loop().create_task(computes.acquire("dep_1", 1.0))
    await asyncio.sleep(0)
    with pytest.raises(EngineFailed, match="named so"):
        await computes.apply(HERE)
    with pytest.raises(EngineFailed, match="not known"):
        await early


async def test_what_an_earlier_process_left_is_removed_wherever_it_is() -> None:
    async with World() as world:
        successor = Computes({"local": world.local, "ray": world.ray})
        await successor.remove("dep_2")
        assert "dep_2" not in world.ray.deployments
    assert world.local.calls[-1][0] == world.ray.calls[-1][0] == "close"
