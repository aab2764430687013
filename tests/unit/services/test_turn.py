"""One turn: the order of its steps, its fallback, and what is booked however it ends."""

import asyncio
import json
from dataclasses import replace

import pytest

from headrace.domain.access import Caller, Role
from headrace.domain.books import Refused, Settlement, Void
from headrace.domain.call import Call, Operation
from headrace.domain.errors import (
    EngineFailed,
    Forbidden,
    HeadraceError,
    InternalError,
    MeteringUnavailable,
    PaymentRequired,
    UpstreamStalled,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from headrace.domain.plan import Deadlines, Plan
from headrace.domain.usage import Usage
from headrace.services.retries import RetryBudget
from headrace.services.turn import CHECKPOINT_SECONDS, CHECKPOINT_TOKENS, run_turn
from headrace.testing.openai_replies import Chat, chat_reply, chat_stream, embeddings_reply, error_reply, sse_frame
from headrace.testing.script import Reply
from headrace.wire.sse import DONE
from tests.fakes.nouns import LOCAL, a_call, a_model, a_plan, a_target
from tests.fakes.turn_world import World

pytestmark = pytest.mark.anyio

TWO = a_plan(a_target(a_model("one")), a_target(a_model("two")))
HELLO = sse_frame({"id": "c", "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]})
STOP = sse_frame({"id": "c", "choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]})


def a_stream_call(**fields: bool) -> Call:
    return a_call(stream=True, stream_options={"include_usage": True, **fields})


async def fails(world: World, call: Call, plan: Plan) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        await run_turn(world.parts, call, plan, world.sink)
    world.check_books()
    return caught.value


async def test_a_stream_takes_its_steps_in_this_order() -> None:
    world = World()
    world.answer_reply(chat_stream(Chat("one two", model="theirs")))
    await run_turn(world.parts, a_stream_call(), a_plan(), world.sink)
    world.check_books()
    assert world.events == [
        "acquire one",
        "hold queued one",
        "hold durable",
        "sent queued",
        "send",
        "sent durable",
        "start",
        "write",
        "write",
        "close",
        "settle queued",
        "settle durable",
        "end",
        "release",
    ]
    assert world.sink.blocks[-1].endswith(DONE)
    assert b'"finish_reason":"stop"' in world.sink.blocks[-1]
    assert b'"cost_nano_usd":15' in world.sink.blocks[-1]
    assert b'"request_id":"req_1"' in world.sink.blocks[-1]


async def test_a_whole_answer_leaves_after_it_is_settled_with_its_cost_in_the_headers() -> None:
    world = World()
    world.answer_reply(chat_reply(Chat("one two", model="theirs")))
    await run_turn(world.parts, a_call(), a_plan(), world.sink)
    world.check_books()
    assert world.events[-6:] == ["close", "settle queued", "settle durable", "start", "end", "release"]
    assert world.sink.status == 200
    assert world.sink.headers == {
        "content-type": "application/json",
        "x-headrace-model": "one",
        "x-headrace-provider": "acme",
        "x-headrace-attempts": "1",
        "x-headrace-cost-usd": "0.000000015",
        "x-headrace-cost-nano-usd": "15",
        "content-length": str(len(world.sink.body)),
    }
    assert json.loads(world.sink.body)["model"] == "one"


async def test_what_is_booked_of_a_complete_answer() -> None:
    world = World()
    world.answer(chat_reply(Chat("one two")).body, headers={"x-request-id": "up_1"})
    await run_turn(world.parts, a_call(), a_plan(), world.sink, turn_index=3)
    [settlement] = world.settlements
    assert settlement.usage == Usage(input_fresh=7, output_text=2)
    assert sum(line.charge_nano for line in settlement.lines) == 7 * 1 + 2 * 4
    assert (settlement.ending, settlement.request_status, settlement.error_code) == ("complete", 200, None)
    assert (settlement.upstream_status, settlement.upstream_request_id) == (200, "up_1")
    [opening] = world.ledger.openings
    assert (opening.turn_index, opening.attempt_index, opening.model_id) == (3, 0, "one")
    assert opening.scopes == ("key:key1", "platform")
    assert opening.bound.output_tokens == 256
    assert opening.request.key_name == "web"
    [end] = world.observer.attempts
    assert (end.ending, end.charge_nano, end.usage) == ("complete", 15, settlement.usage)


async def test_what_leaves_for_the_upstream() -> None:
    world = World()
    world.answer_reply(chat_stream("x"))
    await run_turn(world.parts, a_call(stream=True, x_vendor={"a": [1]}), a_plan(), world.sink)
    [(endpoint, prepared)] = world.transport.sent
    assert endpoint.base_url == "https://api.example.com/v1"
    assert prepared.path == "/chat/completions"
    assert json.loads(prepared.body) == {
        "model": "upstream-one",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "x_vendor": {"a": [1]},
        "max_tokens": 256,
        "stream_options": {"include_usage": True},
    }


async def test_embeddings_are_a_turn_too() -> None:
    world = World()
    world.answer_reply(embeddings_reply())
    await run_turn(world.parts, a_call(operation=Operation.EMBEDDINGS), a_plan(), world.sink)
    world.check_books()
    [settlement] = world.settlements
    assert settlement.usage == Usage(input_fresh=3)
    [(_, prepared)] = world.transport.sent
    assert (prepared.path, prepared.stream) == ("/embeddings", False)


async def test_an_answer_in_its_first_frame_leaves_with_its_cost_in_the_headers() -> None:
    world = World()
    frame = {"id": "c", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    world.answer(sse_frame(frame) + DONE)
    await run_turn(world.parts, a_stream_call(), a_plan(), world.sink)
    world.check_books()
    assert "write" not in world.events
    assert world.events.index("settle durable") < world.events.index("start")
    assert world.sink.headers["x-headrace-cost-nano-usd"] == str(
        sum(line.charge_nano for line in world.settlements[0].lines)
    )
    assert world.settlements[0].usage.source == "counted"


RETRYABLE = [
    (error_reply(429), "upstream_rate_limited"),
    (error_reply(500), "upstream_unavailable"),
    (error_reply(503), "upstream_unavailable"),
    (error_reply(529), "upstream_unavailable"),
    (error_reply(401), "upstream_auth_failed"),
    (error_reply(402), "upstream_quota_exhausted"),
    (error_reply(307), "upstream_protocol"),
    (chat_stream(Chat("x", error_at_frame=0)), "upstream_unavailable"),
    (chat_stream(Chat("", done=True, finish_reason=None)), "upstream_truncated"),
    (chat_stream(Chat("", done=False, finish_reason=None, usage="absent")), "upstream_truncated"),
]


@pytest.mark.parametrize(("reply", "code"), RETRYABLE)
async def test_a_failure_before_the_first_event_goes_on_to_the_next_target(reply: Reply, code: str) -> None:
    world = World()
    world.answer_reply(reply)
    world.answer_reply(chat_stream("two answers"))
    await run_turn(world.parts, a_stream_call(), TWO, world.sink)
    world.check_books()
    [void], [settlement] = world.voids, world.settlements
    assert void.error_code == code
    assert void.request_status is None
    assert settlement.request_status == 200
    assert world.sink.headers["x-headrace-model"] == "two"
    assert world.sink.headers["x-headrace-attempts"] == "2"
    assert [opening.attempt_index for opening in world.ledger.openings] == [0, 1]
    assert world.events.index("void durable") < world.events.index("hold queued two")


async def test_a_transport_that_fails_goes_on_and_nothing_can_have_been_spent_where_nothing_was_reached() -> None:
    world = World()
    world.refuse(UpstreamUnavailable("refused", code="upstream_unreachable"), UpstreamUnavailable("closed"))
    error = await fails(world, a_stream_call(), TWO)
    assert error.message == "closed"
    assert [(void.error_code, void.possible_spend, void.request_status) for void in world.voids] == [
        ("upstream_unreachable", False, None),
        ("upstream_unavailable", True, 502),
    ]
    assert [end.ending for end in world.observer.attempts] == ["voided", "voided"]
    assert not world.sink.started


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_a_request_that_the_upstream_calls_wrong_is_not_tried_elsewhere(status: int) -> None:
    world = World()
    world.answer_reply(error_reply(status, "context too long", code="context_length_exceeded"))
    error = await fails(world, a_stream_call(), TWO)
    assert (error.code, error.status, error.fault) == ("context_length_exceeded", 400, "caller")
    [void] = world.voids
    assert (void.upstream_status, void.possible_spend, void.request_status) == (status, False, 400)
    assert len(world.transport.sent) == 1


async def test_an_error_body_is_read_to_a_limit_only() -> None:
    world = World()
    exchange = world.answer(*[b"x" * 30_000] * 10, status=500)
    await fails(world, a_call(), a_plan())
    assert len(exchange.steps) == 7


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (UpstreamTruncated("cut"), "upstream_truncated"),
        (UpstreamStalled("silence"), "upstream_stalled"),
        (sse_frame({"error": {"message": "overloaded", "type": "server_error"}}), "upstream_unavailable"),
        (b"data: {broken\n\n", "upstream_protocol"),
        (b"", "upstream_truncated"),
    ],
)
async def test_after_delivery_there_is_no_second_attempt(last: bytes | BaseException, code: str) -> None:
    world = World()
    world.answer(HELLO, HELLO, last)
    error = await fails(world, a_stream_call(), TWO)
    assert error.code == code
    assert len(world.transport.sent) == 1
    [settlement] = world.settlements
    assert (settlement.ending, settlement.error_code, settlement.request_status) == (code, code, 200)
    assert settlement.usage == Usage(input_fresh=settlement.usage.input_fresh, output_text=2, source="counted")
    assert sum(line.charge_nano for line in settlement.lines) > 0
    assert settlement.delivered_bytes == len(world.sink.body)
    assert DONE not in world.sink.body
    assert not world.sink.ended
    assert b'finish_reason":"' not in world.sink.body


async def test_content_that_was_held_back_costs_the_caller_nothing_when_the_answer_fails() -> None:
    world = World()
    frame = {"id": "c", "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    world.answer(sse_frame(frame), UpstreamTruncated("cut"))
    world.answer_reply(chat_stream("other"))
    await run_turn(world.parts, a_stream_call(), TWO, world.sink)
    world.check_books()
    failed, served = world.settlements
    assert (failed.ending, failed.request_status) == ("upstream_truncated", None)
    assert sum(line.charge_nano for line in failed.lines) == 0
    assert sum(line.cost_nano for line in failed.lines) > 0
    assert served.ending == "complete"


async def test_usage_that_came_before_the_failure_is_what_is_settled() -> None:
    world = World()
    usage = {"prompt_tokens": 50, "completion_tokens": 3}
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": "x"}}], "usage": usage}
    world.answer(HELLO, sse_frame(chunk), UpstreamTruncated("cut"))
    await fails(world, a_stream_call(), a_plan())
    assert world.settlements[0].usage == Usage(input_fresh=50, output_text=3)


async def test_a_hold_that_is_refused_says_what_would_be_affordable_and_sends_nothing() -> None:
    world = World()
    world.ledger.refusal = Refused("key:key1", 1_000, 600)
    error = await fails(world, a_call(), TWO)
    assert isinstance(error, PaymentRequired)
    assert error.code == "budget_exceeded"
    affordable = error.extra["affordable_output_tokens"]
    assert isinstance(affordable, int)
    assert 0 < affordable < 256
    assert world.events == ["acquire one", "hold queued one", "release"]
    assert world.ledger.closings == []
    assert world.observer.attempts == []


@pytest.mark.parametrize("stream", [True, False])
async def test_a_ledger_that_takes_no_hold_sends_nothing(stream: bool) -> None:
    world = World()
    world.ledger.failing = {"hold"}
    error = await fails(world, a_call(stream=stream), TWO)
    assert isinstance(error, MeteringUnavailable)
    assert world.transport.sent == []
    assert world.events == ["acquire one", "hold queued one", "release"]
    assert not world.sink.started


async def test_nothing_reaches_the_caller_before_the_sent_step_is_durable() -> None:
    world = World()
    world.ledger.failing = {"sent"}
    world.answer_reply(chat_stream("x"))
    error = await fails(world, a_stream_call(), TWO)
    assert isinstance(error, MeteringUnavailable)
    assert not world.sink.started
    assert len(world.transport.sent) == 1
    [settlement] = world.settlements
    assert sum(line.charge_nano for line in settlement.lines) == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_cannot_be_settled_is_not_acknowledged_and_not_asked_for_again(stream: bool) -> None:
    world = World()
    world.ledger.failing = {"settle"}
    world.answer_reply(chat_stream("x") if stream else chat_reply("x"))
    error = await fails(world, a_call(stream=stream), TWO)
    assert isinstance(error, MeteringUnavailable)
    assert len(world.transport.sent) == 1
    assert world.sink.started is stream
    assert not world.sink.ended
    assert DONE not in world.sink.body


async def test_a_void_that_cannot_be_booked_ends_the_request() -> None:
    world = World()
    world.ledger.failing = {"void"}
    world.answer_reply(error_reply(500))
    error = await fails(world, a_call(), TWO)
    assert isinstance(error, MeteringUnavailable)
    assert len(world.transport.sent) == 1


async def test_an_engine_that_does_not_come_is_passed_over() -> None:
    world = World()
    world.fleet.failures = [EngineFailed("it died")]
    world.answer_reply(chat_reply("x"))
    local = a_target(a_model("here", local=LOCAL))
    await run_turn(world.parts, a_call(), a_plan(local, a_target()), world.sink)
    world.check_books()
    assert [opening.model_id for opening in world.ledger.openings] == ["one"]


async def test_what_an_embedded_model_is_booked_as() -> None:
    world = World()
    world.answer_reply(chat_reply("x"))
    await run_turn(world.parts, a_call(), a_plan(a_target(a_model("here", local=LOCAL))), world.sink)
    [opening] = world.ledger.openings
    assert (opening.deployment, opening.identity) == ("here", "sha256:" + "ab" * 32)


async def test_every_target_is_checked_against_the_callers_rights() -> None:
    world = World()
    caller = Caller("k", "web", "shop", Role.KEY, frozenset({"two"}))
    error = await fails(world, a_call(caller), TWO)
    assert isinstance(error, Forbidden)
    assert world.events == []


async def test_a_plan_without_targets_is_a_defect() -> None:
    world = World()
    assert isinstance(await fails(world, a_call(), Plan("one", ())), InternalError)


async def test_a_defect_closes_the_books_too() -> None:
    world = World()
    world.refuse(ZeroDivisionError("a defect"))
    with pytest.raises(ZeroDivisionError):
        await run_turn(world.parts, a_call(), TWO, world.sink)
    world.check_books()
    [void] = world.voids
    assert (void.error_code, void.request_status, void.possible_spend) == ("internal_error", 500, True)


async def test_an_odd_upstream_request_id_is_cleaned() -> None:
    world = World()
    world.answer(chat_reply("x").body, headers={"x-request-id": "\udcff" * 1000})
    await run_turn(world.parts, a_call(), a_plan(), world.sink)
    assert world.settlements[0].upstream_request_id == "?" * 128


@pytest.mark.parametrize("steps", [(), (HELLO,)])
async def test_an_upstream_that_stays_silent_times_out(steps: tuple[bytes, ...]) -> None:
    # The first event of the other case comes at once, however busy the machine is.
    first_seconds = 4.0 if steps else 0.002
    world = World(deadlines=Deadlines(first_event_seconds=first_seconds, total_seconds=0.004))
    world.answer(*steps, asyncio.Event())
    error = await fails(world, a_stream_call(), a_plan())
    assert (error.code, error.status) == ("upstream_timeout", 504)
    assert len(world.settlements) == len(steps)
    assert len(world.voids) == 1 - len(steps)


async def test_a_whole_answer_has_the_total_time() -> None:
    world = World(deadlines=Deadlines(first_event_seconds=0.0, total_seconds=60.0))
    world.answer_reply(chat_reply("x"))
    await run_turn(world.parts, a_call(), a_plan(), world.sink)
    assert world.sink.ended


async def test_checkpoints_follow_tokens_and_time() -> None:
    world = World()
    world.answer(*[HELLO] * (CHECKPOINT_TOKENS * 2 + 3), STOP, DONE)
    await run_turn(world.parts, a_stream_call(), a_plan(), world.sink)
    assert [each.output_tokens for each in world.ledger.checkpoints] == [CHECKPOINT_TOKENS, CHECKPOINT_TOKENS * 2]
    assert [each.delivered_bytes for each in world.ledger.checkpoints] == sorted(
        each.delivered_bytes for each in world.ledger.checkpoints
    )
    slow = World()
    slow.answer(HELLO, HELLO, HELLO, STOP, DONE)
    read_on = slow.transport.answers[0]
    assert not isinstance(read_on, BaseException)
    write = slow.sink.write

    async def write_slowly(block: bytes) -> None:
        slow.clock.advance(CHECKPOINT_SECONDS)
        await write(block)

    slow.sink.write = write_slowly
    await run_turn(slow.parts, a_stream_call(), a_plan(), slow.sink)
    assert [each.output_tokens for each in slow.ledger.checkpoints] == [1, 2, 3]


async def test_comments_keep_a_silent_stream_alive_until_its_first_event() -> None:
    world = World(keepalive_seconds=0.001)
    world.fleet.ready = asyncio.Event()
    world.answer_reply(chat_stream("x"))
    turn = asyncio.get_running_loop().create_task(run_turn(world.parts, a_stream_call(), a_plan(), world.sink))
    for _ in range(3):
        world.sink.written.clear()
        await world.sink.written.wait()
    world.fleet.ready.set()
    await turn
    world.check_books()
    assert world.events[1] == "start"
    assert world.events.count("start") == 1
    assert world.sink.headers["content-type"] == "text/event-stream"
    comments = [place for place, event in enumerate(world.events) if event == "comment"]
    assert len(comments) >= 3
    assert max(comments) < world.events.index("write")
    assert world.sink.body.endswith(DONE)


async def test_a_failure_after_comments_is_tried_elsewhere_all_the_same() -> None:
    world = World(keepalive_seconds=0.001)
    world.answer(world.sink.written, status=500)
    world.answer_reply(chat_stream("x"))
    await run_turn(world.parts, a_stream_call(), TWO, world.sink)
    world.check_books()
    assert world.settlements[0].request_status == 200
    assert world.sink.body.endswith(DONE)


async def test_a_whole_answer_gets_no_comments() -> None:
    world = World(keepalive_seconds=0.0)
    world.answer_reply(chat_reply("x"))
    await run_turn(world.parts, a_call(), a_plan(), world.sink)
    assert "comment" not in world.events


def a_world_to_leave(kind: str) -> tuple[World, Call]:
    world = World(keepalive_seconds=0.0 if kind == "comments" else 60.0)
    if kind == "fallback":
        world.answer_reply(error_reply(500))
    if kind == "whole":
        world.answer_reply(chat_reply("one two"))
        return world, a_call()
    world.answer_reply(chat_stream("one two three"))
    return world, a_stream_call()


async def leave_after(ticks: int, kind: str, caller_left: bool) -> tuple[World, bool]:
    """Cancel a turn after so many rounds of the loop; returns whether it was still running."""
    world, call = a_world_to_leave(kind)
    turn = asyncio.get_running_loop().create_task(run_turn(world.parts, call, TWO, world.sink))
    for _ in range(ticks):
        await asyncio.sleep(0)
    running = not turn.done()
    world.sink.gone = caller_left
    turn.cancel()
    await asyncio.wait([turn])
    assert turn.cancelled() is running or "end" in world.events
    return world, running


@pytest.mark.parametrize("kind", ["stream", "whole", "fallback", "comments"])
@pytest.mark.parametrize("caller_left", [True, False])
async def test_a_turn_cancelled_anywhere_closes_its_books_once(kind: str, caller_left: bool) -> None:
    endings: set[str] = set()
    ticks, running = 0, True
    while running:
        before = asyncio.all_tasks()
        world, running = await leave_after(ticks, kind, caller_left)
        world.check_books()
        assert asyncio.all_tasks() == before
        for closing in world.ledger.closings:
            endings.add(closing.ending if isinstance(closing, Settlement) else closing.error_code)
        ticks += 1
    assert ticks > 8
    name = "client_closed" if caller_left else "shutting_down"
    assert endings == {name, "complete"} | ({"upstream_unavailable"} if kind == "fallback" else set())


@pytest.mark.parametrize("caller_left", [True, False])
async def test_who_pays_when_a_turn_is_cancelled(caller_left: bool) -> None:
    for ticks in range(30):
        world, running = await leave_after(ticks, "stream", caller_left)
        last: Settlement | Void | None = world.ledger.closings[-1] if world.ledger.closings else None
        if not running or last is None or (isinstance(last, Settlement) and last.ending == "complete"):
            continue
        sent = "sent queued" in world.events
        delivered = "write" in world.events
        assert isinstance(last, Settlement) is (sent and (caller_left or delivered or "start" in world.events))
        if isinstance(last, Settlement):
            assert last.request_status == (499 if caller_left else 200 if delivered else 503)


async def test_leaving_while_the_upstream_refuses_costs_nothing() -> None:
    world = World()
    world.answer(b"the begin of", asyncio.Event(), status=400)
    turn = asyncio.get_running_loop().create_task(run_turn(world.parts, a_call(), a_plan(), world.sink))
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.transport.opened[0].steps == []
    world.sink.gone = True
    turn.cancel()
    await asyncio.wait([turn])
    world.check_books()
    [void] = world.voids
    assert (void.error_code, void.possible_spend, void.request_status) == ("client_closed", False, 499)


async def test_a_short_wait_that_was_asked_for_is_kept_and_the_same_target_asked_again() -> None:
    world = World()
    world.answer_reply(error_reply(429, retry_after=2))
    world.answer_reply(chat_reply("one answers"))
    await run_turn(world.parts, a_call(), TWO, world.sink)
    world.check_books()
    assert world.sink.headers["x-headrace-model"] == "one"
    assert world.sink.headers["x-headrace-attempts"] == "2"
    assert [(opening.model_id, opening.attempt_index) for opening in world.ledger.openings] == [("one", 0), ("one", 1)]
    assert world.events.index("void durable") < world.events.index("wait 2") < world.events.index("send", 10)


async def test_a_target_that_rests_is_not_asked_until_it_is_back() -> None:
    world = World()
    world.answer_reply(error_reply(429, retry_after=30))
    world.answer_reply(chat_reply("two answers"))
    await run_turn(world.parts, a_call(), TWO, world.sink)
    for seconds, model in ((10, "two"), (25, "one")):
        again = World.beside(world)
        again.clock.advance(seconds)
        again.answer_reply(chat_reply("x"))
        await run_turn(again.parts, a_call(), TWO, again.sink)
        assert (again.sink.headers["x-headrace-model"], again.sink.headers["x-headrace-attempts"]) == (model, "1")
        [opening] = again.ledger.openings
        left_out = [(each.model_id, each.code) for each in opening.request.excluded]
        assert left_out == ([("one", "upstream_rate_limited")] if model == "two" else [])


async def test_when_every_target_rests_nothing_is_sent_and_the_wait_is_told() -> None:
    world = World()
    world.answer_reply(error_reply(429, retry_after=30))
    world.answer_reply(error_reply(429, retry_after=20))
    first = await fails(world, a_call(), TWO)
    assert (first.status, first.retry_after_seconds) == (429, 20.0)
    world.clock.advance(5)
    again = World.beside(world)
    error = await fails(again, a_call(), TWO)
    assert (error.status, error.retry_after_seconds) == (429, 15.0)
    assert (again.transport.sent, again.ledger.openings) == ([], [])


async def test_a_dead_idle_connection_is_tried_again_and_its_cost_is_possible() -> None:
    world = World()
    world.refuse(UpstreamUnavailable("closed", code="conn_reused_retry"))
    world.answer_reply(chat_reply("x"))
    await run_turn(world.parts, a_call(), a_plan(), world.sink)
    world.check_books()
    [void] = world.voids
    assert (void.error_code, void.possible_spend, void.request_status) == ("conn_reused_retry", True, None)


async def test_without_a_retry_left_the_failure_is_final_in_the_books_too() -> None:
    world = World()
    world.answer_reply(error_reply(500))
    parts = replace(world.parts, retries=RetryBudget(floor=0))
    with pytest.raises(UpstreamUnavailable):
        await run_turn(parts, a_call(), TWO, world.sink)
    world.check_books()
    assert [void.request_status for void in world.voids] == [502]
    assert (parts.retries.in_flight, parts.retries.denied) == (0, 1)


async def test_the_last_chunk_tells_who_served_after_how_many_attempts() -> None:
    world = World()
    world.answer_reply(error_reply(500))
    world.answer_reply(chat_stream("x"))
    await run_turn(world.parts, a_stream_call(), TWO, world.sink)
    last = json.loads(world.sink.body.split(b"\n\n")[-3].removeprefix(b"data: "))
    assert (last["headrace"]["model"], last["headrace"]["attempts"]) == ("two", 2)


async def test_an_own_end_leaves_nothing_counted() -> None:
    world = World()
    world.answer(asyncio.Event())
    turn = asyncio.get_running_loop().create_task(run_turn(world.parts, a_stream_call(), TWO, world.sink))
    for _ in range(20):
        await asyncio.sleep(0)
    assert [state.in_flight for state in world.parts.health.states(0.0)] == [1]
    turn.cancel()
    await asyncio.wait([turn])
    assert [state.in_flight for state in world.parts.health.states(0.0)] == [0]
    assert world.parts.retries.in_flight == 0
    world.check_books()
