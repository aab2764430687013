"""Pulls are shared, followed and remembered."""

import asyncio

import pytest

from headrace.domain.errors import HeadraceError, NotFound, UpstreamUnavailable
from headrace.ports.fleet import Progress
from headrace.services.pulls import Pull, Pulls, PullState
from tests.control_world import SHA, World


async def begun(world: World) -> tuple[Pulls, Pull]:
    pulls = (await world.build()).pulls
    pull = pulls.start("tiny")
    async for state in pull.follow():
        if state.progress is not None:
            break
    return pulls, pull


async def collect(pull: Pull) -> list[PullState]:
    return [state async for state in pull.follow()]


async def test_everybody_shares_one_pull_and_hears_its_end() -> None:
    world = World()
    pulls, pull = await begun(world)
    assert pulls.start("tiny") is pull
    listeners = asyncio.gather(collect(pull), collect(pull))
    world.weights.go_on.set()
    heard = await listeners
    assert [each[-1].phase for each in heard] == ["done", "done"]
    assert world.weights.pulled == ["tiny.gguf"]
    assert pulls.states() == (heard[0][-1],)
    assert pulls.start("tiny") is not pull


async def test_a_slow_listener_sees_the_latest_state_only() -> None:
    world = World()
    _, pull = await begun(world)
    listener = pull.follow()
    assert (await anext(listener)).progress == Progress("tiny.gguf", 10, 100, "bytes")
    for done in (20, 30, 40):
        world.weights.reports[0](Progress("tiny.gguf", done, 100, "bytes"))
    assert (await anext(listener)).progress == Progress("tiny.gguf", 40, 100, "bytes")
    world.weights.go_on.set()
    assert (await anext(listener)).phase == "done"
    assert [state async for state in listener] == []


async def test_pulling_waits_reports_and_makes_the_model_available() -> None:
    world = World()
    parts = await world.build()
    world.weights.go_on.set()
    reports: list[Progress] = []
    await parts.pulls.pull("tiny", reports.append)
    assert [each.done for each in reports] == [10]
    assert parts.door.snapshots.current().models["tiny"][0].availability.available
    version = parts.door.snapshots.current().version
    await parts.pulls.pull("tiny", reports.append)
    assert (len(reports), parts.door.snapshots.current().version) == (1, version)


async def test_weights_that_came_another_way_are_noticed() -> None:
    world = World()
    parts = await world.build()
    world.weights.here.add(SHA)
    await parts.pulls.pull("tiny", lambda _: None)
    assert world.weights.pulled == []
    assert parts.door.snapshots.current().models["tiny"][0].availability.available


async def test_a_failed_pull_is_raised_and_can_be_tried_again() -> None:
    world = World()
    parts = await world.build()
    world.weights.go_on.set()
    world.weights.failure = UpstreamUnavailable("no source answered")
    with pytest.raises(UpstreamUnavailable):
        await parts.pulls.pull("tiny", lambda _: None)
    world.weights.failure = None
    await parts.pulls.pull("tiny", lambda _: None)
    assert parts.pulls.states()[0].phase == "done"
    assert world.failed_tasks == []


async def test_a_defect_ends_the_pull_for_its_listeners_too() -> None:
    world = World()
    parts = await world.build()
    world.weights.go_on.set()
    world.weights.failure = ZeroDivisionError("a defect")
    with pytest.raises(HeadraceError) as caught:
        await parts.pulls.pull("tiny", lambda _: None)
    assert caught.value.code == "pull_broken_off"
    assert [type(each) for each in world.failed_tasks] == [ZeroDivisionError]


@pytest.mark.parametrize(
    ("name", "next_step"), [("tinny", 'Did you mean "tiny"?'), ("zzz", "`headrace models --all` lists them.")]
)
async def test_what_is_no_model_says_where_to_look(name: str, next_step: str) -> None:
    pulls = (await World().build()).pulls
    with pytest.raises(NotFound) as refused:
        pulls.start(name)
    assert refused.value.message == f'No model named "{name}". {next_step}'
