"""Turns on deployments: another replica before anybody else, no request lost before its first byte, shares of time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.dedicated import Deployment, WhenAsleep
from headrace.domain.errors import (
    DeploymentAsleep,
    EngineFailed,
    HeadraceError,
    UpstreamAuthFailed,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from headrace.domain.health import BreakerState
from headrace.domain.plan import Plan
from headrace.services.closing import CONNECTION_REUSED
from headrace.services.fleet import TargetFleet
from headrace.services.retries import RetryBudget
from headrace.services.turn import run_turn
from headrace.testing.openai_replies import chat_reply, error_reply, sse_frame
from tests.fakes.compute import FakeCompute
from tests.fakes.deployed import a_deployed_target, a_deployment, a_wanted, spec_of
from tests.fakes.nouns import a_call, a_model, a_target
from tests.fakes.turn_world import World

pytestmark = pytest.mark.anyio
OVERFLOW = a_target(a_model("two"))
HELLO = sse_frame({"id": "c", "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]})
DOWN = UpstreamUnavailable("no", code="upstream_unreachable")


class DedicatedWorld(World):
    """A turn's surroundings with a real fleet over a driver in memory; the retry budget is empty."""

    def __init__(self, deployment: Deployment | None = None) -> None:
        super().__init__()
        self.deployment = deployment or a_deployment()
        self.compute = FakeCompute()
        self.woken: list[str] = []
        fleet = TargetFleet(self.compute, frozenset(), lambda each: self.woken.append(each.name), self.clock.monotonic)
        self.parts = replace(self.parts, fleet=fleet, retries=RetryBudget(floor=0))

    async def turn(self, replicas: int, *, is_alone: bool = False, stream: bool = False) -> HeadraceError | None:
        """Run one call with so many replicas; returns what it failed with."""
        await self.compute.apply(spec_of(self.deployment))
        await self.compute.scale(self.deployment.id, replicas)
        target = a_deployed_target(self.deployment)
        plan = Plan("prod-llm", (target,) if is_alone else (target, OVERFLOW))
        try:
            await run_turn(self.parts, a_call(stream=stream), plan, self.sink)
        except HeadraceError as error:
            return error
        finally:
            self.check_books()
            assert all(each.in_flight == 0 for each in self.compute.ready(self.deployment.id))
        return None

    @property
    def asked(self) -> list[str | None]:
        """Which replica, or provider, each attempt was sent to."""
        return [endpoint.replica or endpoint.base_url for endpoint, _ in self.transport.sent]


async def test_a_dead_replicas_request_goes_to_another_one_without_a_retry() -> None:
    world = DedicatedWorld()
    world.refuse(DOWN)
    world.answer_reply(chat_reply("x"))
    assert await world.turn(2) is None
    first, second = world.asked
    assert {first, second} == {"dep_1-1", "dep_1-2"}
    assert (world.sink.headers["x-headrace-model"], world.sink.headers["x-headrace-attempts"]) == ("prod-llm", "2")
    assert [(replica, is_well) for _, replica, is_well in world.compute.reports] == [(first, False), (second, True)]
    assert [each.deployment for each in world.ledger.openings] == ["dep_1", "dep_1"]


@pytest.mark.parametrize("error", [DOWN, UpstreamTruncated("x"), UpstreamAuthFailed("x"), EngineFailed("x")])
async def test_after_another_replica_the_overflow_is_asked_out_of_the_retry_budget(error: HeadraceError) -> None:
    for floor, served in ((1, "two"), (0, None)):
        world = DedicatedWorld()
        world.parts = replace(world.parts, retries=RetryBudget(floor=floor))
        world.refuse(error, type(error)("again"))
        world.answer_reply(chat_reply("x"))
        await world.turn(3)
        assert world.sink.headers.get("x-headrace-model") == served
        assert len(set(world.asked[:2])) == 2
        assert world.asked[2:] == ([] if served is None else [OVERFLOW.provider.base_url])


async def test_with_nobody_else_the_driver_is_given_a_moment_to_bring_a_replica_back() -> None:
    world = DedicatedWorld()
    world.refuse(*(UpstreamUnavailable(str(number)) for number in range(3)))
    world.answer_reply(chat_reply("x"))
    assert await world.turn(1, is_alone=True) is None
    assert [each for each in world.events if each.startswith("wait")] == ["wait 1", "wait 1"]
    hopeless = DedicatedWorld()
    hopeless.refuse(*(UpstreamUnavailable(str(number)) for number in range(4)))
    assert isinstance(await hopeless.turn(1, is_alone=True), UpstreamUnavailable)


async def test_a_silent_replica_is_not_waited_for_twice_while_the_overflow_is_there() -> None:
    silent = UpstreamTimeout("x")
    world = DedicatedWorld()
    world.parts = replace(world.parts, retries=RetryBudget())
    world.refuse(silent)
    world.answer_reply(chat_reply("x"))
    assert await world.turn(2) is None
    assert world.sink.headers["x-headrace-model"] == "two"
    alone = DedicatedWorld()
    alone.refuse(silent)
    alone.answer_reply(chat_reply("x"))
    assert await alone.turn(2, is_alone=True) is None
    assert len(set(alone.asked)) == 2
    hopeless = DedicatedWorld()
    hopeless.refuse(silent, UpstreamTimeout("y"))
    assert isinstance(await hopeless.turn(3, is_alone=True), UpstreamTimeout)


async def test_an_idle_connection_of_a_replica_that_closed_costs_no_retry_and_blames_nobody() -> None:
    world = DedicatedWorld()
    world.refuse(UpstreamUnavailable("x", code=CONNECTION_REUSED))
    world.answer_reply(chat_reply("x"))
    assert await world.turn(1) is None
    assert [is_well for _, _, is_well in world.compute.reports] == [True]


async def test_nothing_is_tried_again_once_content_has_left() -> None:
    world = DedicatedWorld()
    world.answer(HELLO, DOWN)
    error = await world.turn(2, stream=True)
    assert error is DOWN
    assert len(world.asked) == 1
    assert [is_well for _, _, is_well in world.compute.reports] == [False]


async def test_one_replicas_failure_does_not_rest_its_deployment() -> None:
    world = DedicatedWorld()
    for _ in range(8):
        world.answer_reply(error_reply(503, retry_after=60))
    await world.turn(1, is_alone=True)
    await world.turn(1, is_alone=True)
    target = a_deployed_target(world.deployment)
    assert world.parts.health.resting(target, world.clock.monotonic()) is None
    assert [each.breaker for each in world.parts.health.states(0.0)] == [BreakerState.CLOSED]


async def test_a_replica_that_is_asked_too_much_is_well() -> None:
    world = DedicatedWorld()
    world.parts = replace(world.parts, retries=RetryBudget())
    world.refuse(UpstreamRateLimited("x"))
    world.answer_reply(chat_reply("x"))
    assert await world.turn(2) is None
    assert world.sink.headers["x-headrace-model"] == "two"
    assert [is_well for _, _, is_well in world.compute.reports] == [True]


async def test_who_does_not_wait_goes_on_to_the_next_target_without_a_retry() -> None:
    world = DedicatedWorld(a_deployment(a_wanted(when_asleep=WhenAsleep.OVERFLOW)))
    world.answer_reply(chat_reply("x"))
    assert await world.turn(0) is None
    assert (world.sink.headers["x-headrace-model"], world.woken) == ("two", ["prod-llm"])
    assert [each.model_id for each in world.ledger.openings] == ["two"], "nothing was held where nobody was"
    alone = DedicatedWorld(world.deployment)
    error = await alone.turn(0, is_alone=True)
    assert isinstance(error, DeploymentAsleep)
    assert (error.status, error.retry_after_seconds) == (503, 30)


async def test_a_start_that_takes_too_long_is_followed_by_the_overflow_without_a_retry() -> None:
    world = DedicatedWorld(a_deployment(a_wanted(wait_seconds=0)))
    world.compute.is_prompt = False
    world.answer_reply(chat_reply("x"))
    assert await world.turn(0) is None
    assert world.sink.headers["x-headrace-model"] == "two"


async def test_a_settlement_has_the_share_of_the_replicas_time_and_its_price() -> None:
    world = World()
    world.fleet.share_micros = 1_500_001
    world.answer_reply(chat_reply("x"))
    await run_turn(world.parts, a_call(), Plan("prod-llm", (a_deployed_target(),)), world.sink)
    [settlement] = world.settlements
    # $3.60 an hour are 1,000 nano-dollars a millisecond.
    assert (settlement.share_micros, settlement.share_nano) == (1_500_001, 1_500_001)
    assert sum(line.charge_nano for line in settlement.lines) == 0
    assert world.observer.attempts[0].deployment == "dep_1"
    assert world.fleet.prefixes[0] != b""
    assert world.fleet.reports == [True]


@pytest.mark.parametrize(("hourly", "share_nano"), [(None, 1_500_001), (7_200_000_000, 3_000_002), (0, 0)])
async def test_a_share_costs_what_the_run_of_its_replica_costs(hourly: int | None, share_nano: int) -> None:
    world = World()
    world.fleet.share_micros, world.fleet.nano_per_hour = 1_500_001, hourly
    world.answer_reply(chat_reply("x"))
    await run_turn(world.parts, a_call(), Plan("prod-llm", (a_deployed_target(),)), world.sink)
    assert world.settlements[0].share_nano == share_nano


async def test_a_provider_has_no_prefix_no_report_and_no_share() -> None:
    world = World()
    world.answer_reply(chat_reply("x"))
    await run_turn(world.parts, a_call(), Plan("two", (OVERFLOW,)), world.sink)
    [settlement] = world.settlements
    assert (settlement.share_micros, settlement.share_nano) == (0, 0)
    assert (world.fleet.prefixes, world.fleet.reports) == ([b""], [])
    assert world.observer.attempts[0].deployment is None
