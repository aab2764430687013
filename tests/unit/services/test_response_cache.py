"""The cache around real turns: what is kept, for whom, what a hit says, and when there is none."""

import asyncio
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from headrace.domain.access import Caller
from headrace.domain.call import Call, Dialect
from headrace.domain.errors import Forbidden, HeadraceError, MeteringUnavailable, StoreUnusable, UpstreamRefused
from headrace.domain.json_value import JsonValue
from headrace.domain.plan import Plan
from headrace.drivers.observability.log_observer import Observers
from headrace.ports.observer import RequestEnd
from headrace.ports.sink import Sink
from headrace.services.cache_sink import LARGE_BLOCK_BYTES
from headrace.services.keepalive import COMMENT
from headrace.services.kept_sink import MAX_KEPT_BYTES
from headrace.services.reply_headers import ROUTING_HEADERS, routing_headers
from headrace.services.response_cache import OFF_LOOP_BYTES, ResponseCache, RunTurn
from headrace.services.turn import run_turn
from headrace.testing.openai_replies import Chat, chat_reply, chat_stream, error_reply
from headrace.testing.script import Reply
from headrace.wire.sse import DONE, FrameSplitter, frame_data
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.decisions import a_decision
from tests.fakes.nouns import CALLER, a_call, a_model, a_plan, a_target
from tests.fakes.turn_world import FakeSink, World

pytestmark = pytest.mark.anyio

OWNER = replace(CALLER, cache_seconds=60)
WHOLE = chat_reply(Chat("one two", model="theirs"))
STREAM = chat_stream(Chat("one two", model="theirs"))
TWO = a_plan(a_target(a_model("one")), a_target(a_model("two")))


class Fragile(MemoryBlobs):
    """Blobs that cannot be opened, or not be read, on demand."""

    is_damaged = is_unread = False

    async def get(self, owner: str, kind: str, blob_id: str) -> bytes | None:
        if self.is_unread:
            raise MeteringUnavailable("The store could not be read.")
        if self.is_damaged:
            raise StoreUnusable("sealed with another key")
        return await super().get(owner, kind, blob_id)


@dataclass
class Got:
    """What one caller was sent."""

    sink: FakeSink
    world: World

    @property
    def says(self) -> str | None:
        return self.sink.headers.get("x-headrace-cache")

    @property
    def data(self) -> list[dict[str, object]]:
        frames = [frame_data(each) for each in FrameSplitter().feed(self.sink.body)]
        return [json.loads(each) for each in frames if each is not None and each != b"[DONE]"]


class Cached:
    """One cache and one turn's surroundings; every request of a test goes through both."""

    def __init__(self, *, is_on: bool = True) -> None:
        self.world = World()
        self.blobs = Fragile(self.world.clock)
        self.digested: list[bytes] = []
        self.cache = ResponseCache(self.blobs, self._fingerprint, self.world.clock, is_on=is_on)
        observers = Observers((self.world.observer, self.cache))
        self.parts = replace(self.world.parts, observer=observers)
        self.asked = 0

    async def ask(
        self, call: Call | None = None, plan: Plan | None = None, wishes: Sequence[bytes] = (), reply: Reply = WHOLE
    ) -> Got:
        """Ask once; the upstream has this one answer ready, and keeps it when nobody comes for it."""
        self.asked += 1
        asked = replace(call or a_call(OWNER), request_id=f"req_{self.asked}")
        plan = plan or a_plan()
        self.world.transport.answers.clear()
        self.world.answer_reply(reply)
        sink = FakeSink([])
        run = functools.partial(run_turn, self.parts, asked, plan)
        await self.cache.serve(asked, plan, wishes, sink, run)
        self.world.check_books()
        return Got(sink, self.world)

    def _fingerprint(self, content: bytes) -> str:
        self.digested.append(content)
        return f"{hash(content):x}"


def a_stream() -> Call:
    return a_call(OWNER, stream=True, stream_options={"include_usage": True})


async def test_a_whole_reply_comes_again_for_nothing_and_asks_nobody() -> None:
    cached = Cached()
    first, second = await cached.ask(), await cached.ask()
    assert (first.says, second.says) == ("miss", "hit")
    assert second.sink.body == first.sink.body
    assert second.sink.headers == {
        **first.sink.headers,
        "x-headrace-attempts": "0",
        "x-headrace-cost-usd": "0.000000000",
        "x-headrace-cost-nano-usd": "0",
        "x-headrace-cache": "hit",
        "x-headrace-cache-source": "req_1",
    }
    assert second.sink.headers["content-length"] == str(len(first.sink.body))
    assert len(cached.world.transport.sent) == len(cached.world.ledger.openings) == 1
    assert cached.cache.outcomes == {"miss": 1, "hit": 1}


async def test_a_stream_comes_again_with_the_same_events_and_the_money_of_now() -> None:
    cached = Cached()
    first, second = await cached.ask(a_stream(), reply=STREAM), await cached.ask(a_stream(), reply=STREAM)
    assert (first.says, second.says, second.sink.ended) == ("miss", "hit", True)
    assert "content-length" not in second.sink.headers
    assert second.sink.headers["content-type"] == "text/event-stream"
    assert second.sink.body.endswith(DONE)
    *events, last = first.data
    *again, last_again = second.data
    assert events == again
    assert last["headrace"] != last_again["headrace"]
    assert last_again["headrace"] == {
        "request_id": "req_2",
        "model": "one",
        "attempts": 0,
        "cost_usd": "0.000000000",
        "cost_nano_usd": 0,
    }
    assert last_again["usage"] == last["usage"]
    assert len(cached.world.transport.sent) == 1


@pytest.mark.parametrize(
    "other",
    [
        a_call(OWNER, temperature=0.5),
        a_call(OWNER, stream=True),
        a_call(OWNER, x_vendor={"a": 1}),
        a_call(replace(OWNER, key_id="key2")),
        a_call(replace(OWNER, account="other")),
        replace(a_call(OWNER), fallbacks=("two",)),
        replace(a_call(OWNER), may_substitute=False),
        replace(a_call(OWNER), dialect=Dialect.MESSAGES),
        replace(a_call(OWNER), passed_headers=(("anthropic-beta", "x"),)),
    ],
)
async def test_another_request_is_another_request(other: Call) -> None:
    cached = Cached()
    await cached.ask()
    reply = STREAM if other.envelope.stream else WHOLE
    assert (await cached.ask(other, reply=reply)).says == "miss"


async def test_what_the_router_decides_now_is_told_and_not_what_it_decided_then() -> None:
    cached = Cached()
    then = replace(a_plan(), decision=a_decision(session="mine"))
    now = replace(a_plan(), decision=a_decision(route=None, session="another", basis="no_match"))
    first, second = await cached.ask(plan=then), await cached.ask(plan=now)
    assert (first.says, second.says) == ("miss", "hit")
    assert first.sink.headers["x-model-router-selected-route"] == "refund"
    told = {name: value for name, value in second.sink.headers.items() if name in ROUTING_HEADERS}
    assert told == dict(routing_headers(a_decision(route=None, session="another", basis="no_match")))
    stream = await cached.ask(a_stream(), then, reply=STREAM), await cached.ask(a_stream(), now, reply=STREAM)
    fields = [each.data[-1]["headrace"] for each in stream]
    assert [each["route_basis"] for each in fields if isinstance(each, dict)] == ["matched", "no_match"]


async def test_the_order_of_fields_makes_no_other_request() -> None:
    cached = Cached()
    await cached.ask(a_call(OWNER, a=1, b={"c": 1, "d": 2}))
    assert (await cached.ask(a_call(OWNER, b={"d": 2, "c": 1}, a=1))).says == "hit"


async def test_what_serves_now_is_part_of_the_request() -> None:
    cached = Cached()
    await cached.ask()
    assert (await cached.ask(plan=a_plan(a_target(a_model("two"))))).says == "miss"
    elsewhere = replace(a_target(), provider=replace(a_target().provider, name="zenith"))
    assert (await cached.ask(plan=a_plan(elsewhere))).says == "miss"
    renamed = a_target(replace(a_model("one"), upstream_name="upstream-one-v2"))
    assert (await cached.ask(plan=a_plan(renamed))).says == "miss"
    assert (await cached.ask()).says == "hit"


async def test_a_key_that_may_not_call_the_model_any_more_gets_no_hit() -> None:
    cached = Cached()
    await cached.ask()
    narrowed = a_call(replace(OWNER, models=frozenset({"two"})))
    with pytest.raises(Forbidden):
        await cached.ask(narrowed)
    assert (await cached.ask()).says == "hit"


async def test_it_ends_with_its_time_and_with_a_shorter_time_sooner() -> None:
    cached = Cached()
    await cached.ask()
    cached.world.clock.advance(30.0)
    assert (await cached.ask()).says == "hit"
    assert (await cached.ask(a_call(replace(OWNER, cache_seconds=30)))).says == "miss"
    cached.world.clock.advance(29.0)
    assert (await cached.ask(a_call(replace(OWNER, cache_seconds=30)))).says == "hit"
    cached.world.clock.advance(1.0)
    assert (await cached.ask()).says == "miss"


@pytest.mark.parametrize(("wish", "says"), [(b"no-cache", "miss"), (b"max-age=0, No-Store", "bypass"), (b"x", "hit")])
async def test_the_caller_may_want_none(wish: bytes, says: str) -> None:
    cached = Cached()
    await cached.ask()
    kept = dict(cached.blobs.kept)
    cached.world.clock.advance(1.0)
    got = await cached.ask(wishes=[wish], reply=WHOLE)
    assert got.says == says
    assert (cached.blobs.kept != kept) is (says == "miss")


async def test_no_store_keeps_nothing() -> None:
    cached = Cached()
    assert (await cached.ask(wishes=[b"private", b"no-store"])).says == "bypass"
    assert cached.blobs.kept == {}


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        (Dialect.CHAT, {"store": True}),
        (Dialect.RESPONSES, {}),
        (Dialect.RESPONSES, {"store": None}),
        (Dialect.RESPONSES, {"store": False, "previous_response_id": "resp_1"}),
        (Dialect.RESPONSES, {"store": False, "conversation": "conv_1"}),
    ],
)
async def test_an_answer_with_state_is_never_kept(dialect: Dialect, fields: dict[str, JsonValue]) -> None:
    cached = Cached()
    call = a_call(OWNER)
    call = replace(call, dialect=dialect, body={**call.body, **fields})
    assert [(await cached.ask(call)).says for _ in range(2)] == ["bypass", "bypass"]
    assert cached.blobs.kept == {}


async def test_a_response_that_is_not_stored_is_kept() -> None:
    cached = Cached()
    call = replace(a_call(OWNER, store=False), dialect=Dialect.RESPONSES)
    assert [(await cached.ask(call)).says for _ in range(2)] == ["miss", "hit"]


@pytest.mark.parametrize(("caller", "is_on"), [(CALLER, True), (OWNER, False)])
async def test_without_a_cache_a_request_passes_as_ever(caller: Caller, is_on: bool) -> None:
    cached = Cached(is_on=is_on)
    call = a_call(caller)
    assert [(await cached.ask(call)).says for _ in range(2)] == [None, None]
    assert len(cached.world.transport.sent) == 2
    assert cached.blobs.kept == {}


async def test_a_failure_is_not_kept() -> None:
    cached = Cached()
    with pytest.raises(UpstreamRefused):
        await cached.ask(reply=error_reply(400))
    assert cached.blobs.kept == {}
    assert (await cached.ask()).says == "miss"


@pytest.mark.parametrize("broken", [Chat("one two three", error_at_frame=2), Chat("one two", done=False)])
async def test_a_stream_that_breaks_is_not_kept(broken: Chat) -> None:
    cached = Cached()
    reply = chat_stream(replace(broken, finish_reason=None))
    with pytest.raises(HeadraceError):
        await cached.ask(a_stream(), reply=reply)
    assert cached.blobs.kept == {}


async def test_what_a_fallback_answered_is_not_kept_for_the_first() -> None:
    cached = Cached()
    call = a_call(OWNER)
    sink = FakeSink([])
    cached.world.answer_reply(error_reply(500))
    cached.world.answer_reply(WHOLE)
    await cached.cache.serve(call, TWO, (), sink, functools.partial(run_turn, cached.parts, call, TWO))
    assert sink.headers["x-headrace-model"] == "two"
    assert cached.blobs.kept == {}


async def test_a_reply_that_a_budget_cut_short_is_not_kept() -> None:
    cached = Cached()

    async def clamped_in_head(sink: Sink) -> None:
        await sink.start(200, (("x-headrace-clamped", "max_tokens=3"),))
        await sink.end(b"{}")

    async def clamped_in_stream(sink: Sink) -> None:
        await sink.start(200, ())
        await sink.end(b'data: {"headrace": {"clamped_output_tokens": 3}}\n\n')

    for run in (clamped_in_head, clamped_in_stream):
        await serve_by_hand(cached, run)
    assert cached.blobs.kept == {}


async def test_comments_are_left_out_and_blocks_are_joined() -> None:
    cached = Cached()
    large = b"x" * LARGE_BLOCK_BYTES

    async def run(sink: Sink) -> None:
        await sink.start(200, ())
        for block in (COMMENT, b"one", b"two", COMMENT, large, b"three"):
            await sink.write(block)
        await sink.end(b"end")

    await serve_by_hand(cached, run, a_call(OWNER, stream=True))
    hit = await cached.ask(a_call(OWNER, stream=True))
    assert (hit.says, hit.sink.blocks) == ("hit", [b"onetwo", large, b"three", b"end"])


@pytest.mark.parametrize(
    ("size", "is_kept"), [(MAX_KEPT_BYTES, True), (MAX_KEPT_BYTES + 1, False), (MAX_KEPT_BYTES + 9, False)]
)
async def test_what_is_too_large_is_not_kept(size: int, is_kept: bool) -> None:
    cached = Cached()

    async def run(sink: Sink) -> None:
        await sink.start(200, ())
        await sink.write(b"x" * (size - 3))
        await sink.write(b"y")
        await sink.end(b"zz")

    await serve_by_hand(cached, run)
    assert bool(cached.blobs.kept) is is_kept


async def test_a_reply_that_the_caller_did_not_wait_for_is_not_kept() -> None:
    cached = Cached()

    async def run(sink: Sink) -> None:
        await sink.start(200, ())
        await sink.write(b"half")
        assert (sink.started, sink.gone, sink.departure) == (True, True, "client_closed")
        raise asyncio.CancelledError

    sink = FakeSink([])
    sink.gone = True
    with pytest.raises(asyncio.CancelledError):
        await cached.cache.serve(a_call(OWNER), a_plan(), (), sink, run)
    assert cached.blobs.kept == {}


async def test_a_reply_that_breaks_off_passes_through() -> None:
    cached = Cached()

    async def run(sink: Sink) -> None:
        await sink.start(200, ())
        await sink.break_off(b"broken")

    got = await serve_by_hand(cached, run)
    assert (got.body, got.ended, cached.blobs.kept) == (b"broken", False, {})


async def test_a_store_that_is_away_costs_the_caller_nothing() -> None:
    cached = Cached()
    cached.blobs.is_down = True
    assert (await cached.ask()).says == "miss"
    cached.blobs.is_down = False
    await cached.ask()
    cached.blobs.is_damaged = True
    assert (await cached.ask()).says == "miss"
    cached.blobs.is_unread = True
    assert (await cached.ask()).says == "miss"


async def test_a_large_body_is_digested_all_the_same() -> None:
    cached = Cached()
    call = a_call(OWNER, x_filler="x" * OFF_LOOP_BYTES)
    assert [(await cached.ask(call)).says for _ in range(2)] == ["miss", "hit"]


async def test_a_plan_without_targets_is_the_turns_to_refuse() -> None:
    cached = Cached()
    with pytest.raises(HeadraceError, match="no target"):
        await cached.ask(plan=Plan("one", ()))


async def test_it_hears_of_other_peoples_attempts_and_keeps_nothing_of_them() -> None:
    cached = Cached()
    cached.cache.request_ended(RequestEnd("req_9", "POST", "/v1/x", 200, 1.0))
    await run_turn(cached.parts, a_call(), a_plan(), answered(cached))
    assert cached.blobs.kept == {}


def answered(cached: Cached) -> FakeSink:
    cached.world.answer_reply(WHOLE)
    return FakeSink([])


async def serve_by_hand(cached: Cached, run: RunTurn, call: Call | None = None) -> FakeSink:
    """Serve by a turn that a test wrote; as observer the cache is told that the first target answered."""
    sink = FakeSink([])

    async def run_and_tell(given: Sink) -> None:
        await run_turn(cached.parts, a_call(), a_plan(), answered(cached))
        await run(given)

    await cached.cache.serve(call or a_call(OWNER), a_plan(), (), sink, run_and_tell)
    return sink
