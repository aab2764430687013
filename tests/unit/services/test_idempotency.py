"""Repeated requests, with outcomes in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from headrace.domain.errors import (
    Conflict,
    HeadraceError,
    InvalidRequest,
    MeteringUnavailable,
    Unprocessable,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from headrace.ports.outcomes import Asked, Beginning, Different, Fresh, Lost, Running, Stored
from headrace.ports.sink import Sink
from headrace.services.idempotency import KEPT_MICROS, Idempotency
from headrace.services.tasks import Tasks
from headrace.testing.clock import FakeClock
from tests.fakes.turn_world import FakeSink

pytestmark = pytest.mark.anyio
ASKED = Asked("key_1", "/v1/x", "a" * 64, "b" * 64, "req_1")


@dataclass
class FakeOutcomes:
    """One process's outcomes; they never expire by themselves."""

    rows: dict[tuple[str, str, str], tuple[Asked, bytes | None, bool]] = field(
        default_factory=dict[tuple[str, str, str], tuple[Asked, bytes | None, bool]]
    )
    expiries: list[int] = field(default_factory=list[int])
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    is_away: bool = False
    sweeps: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Event | None = None

    async def begin(self, asked: Asked, expires_at_micros: int) -> Beginning:
        self.expiries.append(expires_at_micros)
        place = (asked.owner, asked.route, asked.name)
        row = self.rows.get(place)
        if row is None:
            self.rows[place] = (asked, None, True)
            self.begun.set()
            if self.answers is not None:
                await self.answers.wait()
            return Fresh()
        first, content, is_running = row
        if first.digest != asked.digest:
            return Different(first.request_id)
        if content is not None:
            return Stored(first.request_id, content)
        return Running(first.request_id) if is_running else Lost(first.request_id)

    async def finish(self, asked: Asked, content: bytes | None) -> None:
        self._check()
        self.rows[asked.owner, asked.route, asked.name] = (asked, content, False)
        self.finished.set()

    async def abandon(self, asked: Asked) -> None:
        self._check()
        del self.rows[asked.owner, asked.route, asked.name]
        self.finished.set()

    async def sweep(self) -> int:
        self.sweeps += 1
        self._check()
        return 0

    def _check(self) -> None:
        if self.is_away:
            raise MeteringUnavailable("away")


class World:
    """The service, its surroundings and a turn that does what the test says."""

    def __init__(self, *, is_on: bool = True) -> None:
        self.failures: list[BaseException] = []
        self.tasks = Tasks(lambda _, error: self.failures.append(error))
        self.outcomes = FakeOutcomes()
        self.clock = FakeClock()
        self.waits: list[float] = []
        self.is_back = asyncio.Event()
        self.service = Idempotency(self.outcomes, self.tasks, self.clock, is_on=is_on, sleep=self.sleep)
        self.runs = 0
        self.error: BaseException | None = None
        self.blocks: tuple[bytes, ...] = (b"one", b"two")
        self.gate = asyncio.Event()
        self.gate.set()

    async def sleep(self, seconds: float) -> None:
        """Pass until the third time, then wait for the store to be back."""
        self.waits.append(seconds)
        if len(self.waits) == 3:
            await self.is_back.wait()
            self.outcomes.is_away = False

    async def run(self, sink: Sink) -> None:
        self.runs += 1
        for block in self.blocks:
            if not sink.started:
                await sink.start(200, (("content-type", "x"),))
            await sink.write(block)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        await sink.end(b"end")

    async def ask(self, asked: Asked = ASKED) -> FakeSink:
        sink = FakeSink([])
        await self.service.serve(asked, sink, self.run)
        return sink


async def test_a_repeat_gets_what_the_first_got() -> None:
    world = World()
    first = await world.ask()
    second = await world.ask(replace(ASKED, request_id="req_2"))
    assert world.runs == 1
    assert (first.body, second.body) == (b"onetwoend", b"onetwoend")
    assert (second.status, second.ended) == (200, True)
    told = {"idempotency-replayed": "true", "x-headrace-original-request-id": "req_1"}
    assert second.headers == {**first.headers, **told}
    assert world.outcomes.expiries[0] == world.clock.unix_micros() + KEPT_MICROS


async def test_another_body_is_refused() -> None:
    world = World()
    await world.ask()
    with pytest.raises(Unprocessable) as caught:
        await world.ask(replace(ASKED, digest="c" * 64))
    assert (caught.value.code, caught.value.extra) == ("idempotency_mismatch", {"original_request_id": "req_1"})


@pytest.mark.parametrize("change", [{"owner": "key_2"}, {"route": "/v1/y"}, {"name": "d" * 64}])
async def test_another_owner_route_or_key_is_another_request(change: dict[str, str]) -> None:
    world = World()
    await world.ask()
    await world.ask(replace(ASKED, **change))
    assert world.runs == 2


async def test_while_the_first_runs_a_repeat_is_told_when_to_come_back() -> None:
    world = World()
    world.gate.clear()
    first = asyncio.get_running_loop().create_task(world.ask())
    await asyncio.sleep(0.001)
    with pytest.raises(Conflict) as caught:
        await world.ask()
    assert (caught.value.code, caught.value.retry_after_seconds) == ("idempotency_in_progress", 1.0)
    world.gate.set()
    assert (await first).ended


async def test_a_failure_before_anything_was_sent_is_forgotten() -> None:
    world = World()
    world.blocks, world.error = (), UpstreamUnavailable("away")
    with pytest.raises(UpstreamUnavailable):
        await world.ask()
    world.error = None
    world.blocks = (b"x",)
    assert (await world.ask()).body == b"xend"
    assert world.runs == 2


async def test_a_partial_answer_is_repeated_as_what_it_is() -> None:
    world = World()
    world.error = UpstreamTruncated("It broke off.", code="upstream_truncated")
    with pytest.raises(UpstreamTruncated):
        await world.ask()
    sink = FakeSink([])
    with pytest.raises(HeadraceError) as caught:
        await world.service.serve(ASKED, sink, world.run)
    assert (caught.value.code, caught.value.message) == ("upstream_truncated", "It broke off.")
    assert (sink.body, sink.ended, world.runs) == (b"onetwo", False, 1)


async def test_a_defect_after_content_is_not_left_running() -> None:
    world = World()
    world.error = ValueError("a defect")
    with pytest.raises(ValueError, match="a defect"):
        await world.ask()
    with pytest.raises(HeadraceError) as caught:
        await world.ask()
    assert caught.value.code == "internal_error"
    assert [type(each) for each in world.failures] == [ValueError]


async def test_a_caller_who_leaves_does_not_end_the_turn() -> None:
    world = World()
    world.gate.clear()
    sink = FakeSink([])
    leaving = asyncio.get_running_loop().create_task(world.service.serve(ASKED, sink, world.run))
    await sink.written.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    world.gate.set()
    await world.outcomes.finished.wait()
    assert not sink.ended
    assert (await world.ask()).body == b"onetwoend"
    assert world.runs == 1


async def test_an_answer_that_the_servers_end_cut_off_says_so() -> None:
    world = World()
    world.gate.clear()
    sink = FakeSink([])
    asking = asyncio.get_running_loop().create_task(world.service.serve(ASKED, sink, world.run))
    await sink.written.wait()
    await world.tasks.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    with pytest.raises(HeadraceError) as caught:
        await world.ask()
    assert (caught.value.code, world.runs) == ("shutting_down", 1)


async def test_an_outcome_that_is_too_large_is_lost() -> None:
    world = World()
    world.blocks = (b"x" * 5_000_000,)
    assert (await world.ask()).ended
    with pytest.raises(Conflict) as caught:
        await world.ask()
    assert (caught.value.code, caught.value.retry_after_seconds) == ("idempotency_outcome_lost", None)


@pytest.mark.parametrize("error", [None, UpstreamTruncated("x")])
@pytest.mark.parametrize("blocks", [(), (b"x",)])
async def test_a_store_that_is_away_takes_no_answer_away(error: HeadraceError | None, blocks: tuple[bytes]) -> None:
    world = World()
    world.outcomes.is_away = True
    world.error, world.blocks = error, blocks if error is not None else (b"x",)
    if error is None:
        assert (await world.ask()).body == b"xend"
    else:
        with pytest.raises(UpstreamTruncated):
            await world.ask()


@pytest.mark.parametrize("blocks", [(), (b"x",)])
async def test_what_could_not_be_noted_is_noted_when_the_store_is_back(blocks: tuple[bytes]) -> None:
    world = World()
    world.outcomes.is_away = True
    world.error, world.blocks = UpstreamTruncated("It broke off."), blocks
    with pytest.raises(UpstreamTruncated):
        await world.ask()
    world.is_back.set()
    await asyncio.wait_for(world.outcomes.finished.wait(), 1)
    assert world.waits == [0.5, 1.0, 2.0]
    with pytest.raises(UpstreamTruncated):
        await world.ask()
    assert world.runs == (1 if blocks else 2), "what failed before anything was sent is fresh"


async def test_a_caller_who_leaves_before_the_turn_begins_can_ask_again() -> None:
    world = World()
    world.outcomes.answers = asyncio.Event()
    leaving = asyncio.get_running_loop().create_task(world.ask())
    await world.outcomes.begun.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await asyncio.wait_for(world.outcomes.finished.wait(), 1)
    world.outcomes.answers = None
    assert (await world.ask()).ended
    assert world.runs == 1


def test_a_request_without_a_key_asks_for_nothing() -> None:
    assert World().service.check([]) is None
    assert World(is_on=False).service.check([]) is None


def test_a_key_is_known_by_its_digest_only() -> None:
    name = World().service.check([b"order-7"])
    assert name is not None
    assert len(name) == 64
    assert name != World().service.check([b"order-8"])


@pytest.mark.parametrize("names", [[b""], [b"a b"], [b"a\x00"], [b"\xff"], [b"k" * 256], [b"a", b"a"]])
def test_a_bad_key_is_refused(names: list[bytes]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        World().service.check(names)
    assert caught.value.code == "invalid_idempotency_key"


def test_switched_off_a_key_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        World(is_on=False).service.check([b"k"])
    assert caught.value.code == "idempotency_disabled"


@pytest.mark.parametrize("is_away", [False, True])
async def test_what_has_expired_is_swept_again_after_a_store_that_was_away(is_away: bool) -> None:
    world = World()
    world.outcomes.is_away = is_away

    async def sleep(seconds: float) -> None:
        assert seconds > 0
        if world.outcomes.sweeps == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await world.service.sweep_for_ever(sleep)
    assert world.outcomes.sweeps == 2
