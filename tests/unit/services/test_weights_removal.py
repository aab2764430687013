"""Removing weights: what goes, what stays because others need it, and what is refused while something runs on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.dedicated import Deployment, DeploymentStatus, Standing
from headrace.domain.errors import Conflict, HeadraceError, InvalidRequest, NotFound
from headrace.services.weights_removal import WeightsRemoval
from tests.control_world import LOCAL, SHA, OneReplica, World
from tests.fakes.deployed import a_deployment, a_wanted


class Stopped(OneReplica):
    """A compute driver that stops what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped: list[str] = []

    async def remove(self, deployment: str) -> None:
        self.stopped.append(deployment)


async def built(world: World, *deployments: Deployment) -> tuple[WeightsRemoval, Stopped]:
    compute = Stopped()
    world.compute = compute
    world.weights.here.add(SHA)
    for each in deployments:
        await world.deployments.put(each)
    parts = await world.build()
    return WeightsRemoval(parts.weights, parts.door.snapshots, parts.compute), compute


async def test_weights_that_nothing_needs_are_gone_and_the_model_says_so() -> None:
    world = World()
    removal, compute = await built(world)
    compute.standings["tiny"] = Standing(ready=1)
    found = await removal.remove("tiny")
    assert [each.name for each in found.removed] == ["tiny.gguf"]
    assert (found.kept, found.kept_for, found.freed_bytes) == ((), (), 100)
    assert world.weights.here == set()
    assert compute.stopped == ["tiny"]
    again = await removal.remove("tiny")
    assert (again.removed, again.freed_bytes) == ((), 0)


async def test_the_snapshot_in_force_learns_of_it_and_what_does_not_run_is_not_stopped() -> None:
    world = World()
    compute = world.compute = Stopped()
    world.weights.here.add(SHA)
    parts = await world.build()
    assert parts.door.snapshots.current().models["tiny"][0].availability.available
    await WeightsRemoval(parts.weights, parts.door.snapshots, parts.compute).remove("tiny")
    assert not parts.door.snapshots.current().models["tiny"][0].availability.available
    assert compute.stopped == []


async def test_a_file_that_another_model_needs_stays() -> None:
    world = World()
    world.files.texts["there"] = LOCAL.replace('"here"', '"there"').replace('id = "tiny"', 'id = "twin"')
    removal, compute = await built(world)
    found = await removal.remove("tiny")
    assert (found.removed, found.freed_bytes, found.kept_for) == ((), 0, ("twin",))
    assert [each.name for each in found.kept] == ["tiny.gguf"]
    assert (world.weights.here, compute.stopped) == ({SHA}, [])


async def test_what_a_deployment_runs_or_will_run_is_kept_until_it_is_deleted() -> None:
    wanted = replace(a_wanted(), name="prod", model="tiny", engine="e")
    other = replace(wanted, model="another")
    for runs in (a_deployment(wanted), a_deployment(other, pending=wanted)):
        world = World()
        removal, _ = await built(world, runs)
        with pytest.raises(Conflict, match="headrace deployments delete prod") as caught:
            await removal.remove("tiny")
        assert caught.value.code == "model_in_use"
        assert world.weights.here == {SHA}
    for runs in (
        a_deployment(wanted, status=DeploymentStatus.DELETING),
        a_deployment(replace(wanted, engine="elsewhere")),
    ):
        removal, _ = await built(World(), runs)
        assert (await removal.remove("tiny")).freed_bytes == 100


async def test_a_model_that_is_answering_is_left_alone() -> None:
    world = World()
    removal, compute = await built(world)
    for in_flight, waiting, words in ((1, 0, "a request"), (0, 1, "a request"), (1, 2, "3 requests")):
        compute.standings["tiny"] = Standing(ready=1, in_flight=in_flight, waiting=waiting)
        with pytest.raises(Conflict, match=words):
            await removal.remove("tiny")
    assert (world.weights.here, compute.stopped) == ({SHA}, [])


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("tinny", NotFound, 'Did you mean "tiny"'),
        ("unpriced", InvalidRequest, 'its provider is "acme"'),
        ("prod", InvalidRequest, "is a deployment of another"),
    ],
)
async def test_what_has_no_weights_here_is_named(name: str, kind: type[HeadraceError], words: str) -> None:
    removal, _ = await built(World(), a_deployment(replace(a_wanted(), name="prod", model="another", engine="e")))
    with pytest.raises(kind, match=words):
        await removal.remove(name)
