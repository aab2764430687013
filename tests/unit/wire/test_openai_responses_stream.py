from __future__ import annotations

import msgspec
import pytest

from headrace.domain.errors import UpstreamProtocol, UpstreamRateLimited, UpstreamTruncated, UpstreamUnavailable
from headrace.domain.json_value import JsonObject
from headrace.domain.usage import Usage
from headrace.testing.openai_replies import Chat, ToolCall
from headrace.testing.responses_replies import response_stream
from headrace.wire.frame_reader import MAX_KEPT_BYTES
from headrace.wire.openai_responses_stream import ResponsesStreamReader
from headrace.wire.sse import named_frame
from tests.unit.wire.typed_events import read_events, types_of

COUNTED = Usage(input_fresh=3, output_text=2, source="counted")
MONEY: dict[str, int | str] = {"request_id": "req_1", "cost_nano_usd": 5}
CASES = {
    "text": Chat("one two — drei", model="theirs"),
    "calls": Chat("", model="theirs", tool_calls=(ToolCall("call_a", "f", '{"a":1}'), ToolCall("call_b", "g", ""))),
    "reasoning": Chat("yes", model="theirs", reasoning="hm hm"),
    "capped": Chat("one", model="theirs", finish_reason="length"),
}


def event(kind: str, **fields: object) -> bytes:
    return named_frame(kind.encode(), msgspec.json.encode({"type": kind, "sequence_number": 1, **fields}))


def read(reader: ResponsesStreamReader, body: bytes, size: int) -> bytes:
    out = b"".join(reader.feed(body[start : start + size]) for start in range(0, len(body), size))
    reader.close()
    return out


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("case", CASES)
def test_a_stream_passes_through_with_our_model_and_its_end_held_back(case: str, size: int) -> None:
    body = response_stream(CASES[case]).body
    reader = ResponsesStreamReader("ours")
    out = read(reader, body, size)
    assert reader.failure is None and reader.ended and reader.usage is not None
    assert b"theirs" not in out and b"response.completed" not in out and b"response.incomplete" not in out
    before, after = read_events(body), read_events(out + reader.finish(reader.usage, MONEY))
    assert types_of(after) == types_of(before)
    assert after[-1]["response"]["headrace"] == MONEY and after[-1]["response"]["model"] == "ours"
    assert after[-1]["response"]["usage"] == before[-1]["response"]["usage"]
    assert after[-1]["response"]["output"] == before[-1]["response"]["output"]
    assert reader.output_tokens_seen == CASES[case].completion_tokens


def test_nothing_leaves_before_something_carries_content() -> None:
    frames = response_stream("one two").frames
    reader = ResponsesStreamReader("ours")
    outs = [reader.feed(frame.data) for frame in frames[:6]]
    assert outs[:4] == [b""] * 4 and reader.meaningful
    assert types_of(read_events(outs[4])) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
    ]
    assert outs[5] == frames[5].data


@pytest.mark.parametrize("cut", [0, 1, 5, -1])
def test_a_stream_without_its_end_is_truncated(cut: int) -> None:
    frames = response_stream("one two").frames
    reader = ResponsesStreamReader("ours")
    read(reader, b"".join(frame.data for frame in frames[:cut]), 1000)
    assert isinstance(reader.failure, UpstreamTruncated) and not reader.ended


def test_an_end_without_its_last_newline_is_an_end_and_half_an_end_is_none() -> None:
    body = response_stream("one").body
    reader = ResponsesStreamReader("ours")
    read(reader, body.rstrip(), 50)
    assert reader.ended and reader.failure is None
    reader = ResponsesStreamReader("ours")
    read(reader, body[:-20], 50)
    assert isinstance(reader.failure, UpstreamTruncated)


def test_an_end_without_usage_gets_the_counted_one_marked_so() -> None:
    reader = ResponsesStreamReader("ours")
    read(reader, response_stream(Chat("one", usage="absent")).body, 1000)
    assert reader.usage is None
    end = read_events(reader.finish(COUNTED, MONEY))[-1]
    assert end["response"]["usage"]["estimated"] is True and end["response"]["usage"]["output_tokens"] == 2


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (
            event("response.failed", response={"error": {"code": "rate_limit_exceeded", "message": "slow"}}),
            UpstreamRateLimited,
        ),
        (event("response.failed", response={"error": {"code": "server_error", "message": "x"}}), UpstreamUnavailable),
        (event("response.failed", response={"error": None}), UpstreamUnavailable),
        (event("error", code="server_error", message="x"), UpstreamUnavailable),
        (event("error", error={"message": "x"}), UpstreamUnavailable),
        (b'data: {"error":{"message":"x"}}\n\n', UpstreamUnavailable),
        (b"data: nonsense\n\n", UpstreamProtocol),
        (b"data: []\n\n", UpstreamProtocol),
        (b'data: {"type":"response.output_text.delta","delta":"\xff"}\n\n', UpstreamProtocol),
        (event("response.completed", response={"status": "queued"}), UpstreamProtocol),
    ],
)
def test_what_is_wrong_with_a_stream_is_named_and_never_forwarded(frame: bytes, kind: type[Exception]) -> None:
    reader = ResponsesStreamReader("ours")
    assert reader.feed(frame + response_stream("more").body) == b""
    reader.close()
    assert type(reader.failure) is kind and not reader.ended
    assert reader.feed(b"data: {}\n\n") == b""


def test_an_endless_frame_and_endless_silence_are_failures() -> None:
    reader = ResponsesStreamReader("ours")
    for _ in range(17):
        reader.feed(b"x" * 1024 * 1024)
    assert isinstance(reader.failure, UpstreamProtocol)
    reader = ResponsesStreamReader("ours")
    filler = b": " + b"x" * 1_000_000 + b"\n\n"
    for _ in range(MAX_KEPT_BYTES // 1_000_000 + 1):
        reader.feed(filler)
    assert isinstance(reader.failure, UpstreamProtocol)


def test_comments_done_marks_and_types_that_come_late_in_an_event_are_taken() -> None:
    delta = {"item_id": "x" * 80, "type": "response.output_text.delta", "delta": "a"}
    reader = ResponsesStreamReader("ours")
    out = reader.feed(b": hello\n\ndata: [DONE]\n\ndata: " + msgspec.json.encode(delta) + b"\n\n")
    assert out.startswith(b": hello") and b"[DONE]" not in out
    assert reader.meaningful and reader.output_tokens_seen == 1


def test_a_call_and_a_foreign_item_are_content_and_an_empty_message_is_none() -> None:
    items: tuple[tuple[JsonObject, bool], ...] = (
        ({"type": "message", "content": []}, False),
        ({"type": "reasoning", "summary": []}, False),
        ({"type": "reasoning", "summary": [{"text": "x"}]}, True),
        ({"type": "function_call"}, True),
        ({"type": "web_search_call"}, True),
    )
    for item, meaningful in items:
        reader = ResponsesStreamReader("ours")
        reader.feed(event("response.output_item.added", item=item))
        assert reader.meaningful is meaningful
