"""Reading a streamed message: what leaves at once, what waits for the settlement, and how the end is judged."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from headrace.domain.errors import UpstreamProtocol, UpstreamRateLimited, UpstreamTruncated, UpstreamUnavailable
from headrace.domain.usage import Usage
from headrace.testing.anthropic_replies import Message, event_frame, messages_stream, stream_frames
from headrace.testing.openai_replies import ToolCall
from headrace.wire import frame_reader, sse
from headrace.wire.anthropic_messages_stream import MessagesStreamReader
from headrace.wire.json_strict import decode_object

MODEL = "served-model"
MONEY: Mapping[str, int | str] = {"cost_nano_usd": 5, "cost_usd": "0.000000005"}
TOOLS = (ToolCall("t1", "f", '{"city":"Zürich 水"}', 3), ToolCall("t2", "g", "{}", 1))
MESSAGES = {
    "text": Message("水は 山から flows \U0001f600 down."),
    "thinking": Message("Yes.", thinking="Let me see.", signature="c2ln", redacted="xx"),
    "tools": Message("", tool_uses=TOOLS, stop_reason="tool_use"),
    "empty": Message(""),
    "words of the format": Message('{"type":"message_stop"} event: error "usage":{"output_tokens":99}'),
}
NAMES = list(MESSAGES)


def read(stream: bytes, *cuts: int) -> tuple[MessagesStreamReader, bytes]:
    reader = MessagesStreamReader(MODEL)
    places = [0, *cuts, len(stream)]
    return reader, b"".join([reader.feed(stream[start:end]) for start, end in pairwise(places)])


def finished(reader: MessagesStreamReader) -> bytes:
    return reader.finish(reader.usage or Usage(input_fresh=3, output_text=2, source="counted"), MONEY)


def events(stream: bytes) -> list[dict[str, Any]]:
    """The data of every event, read by the text of the format and not by the product's parser."""
    found: list[dict[str, Any]] = []
    for frame in stream.decode().split("\n\n"):
        lines = [line.partition(":") for line in frame.split("\n")]
        data = "".join(value for name, _, value in lines if name == "data")
        if data:
            found.append(decode_object(data.encode()))
    return found


def kinds(stream: bytes) -> list[str]:
    return [str(event["type"]) for event in events(stream)]


@pytest.mark.parametrize("name", NAMES)
def test_the_output_does_not_depend_on_the_cuts(name: str) -> None:
    stream = messages_stream(MESSAGES[name]).body
    whole, out = read(stream)
    expected = (out, finished(whole))
    reader, out = read(stream, *range(1, len(stream)))
    assert (out, finished(reader)) == expected
    for cut in range(1, len(stream), 7):
        reader, out = read(stream, cut)
        assert (out, finished(reader)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_only_the_model_the_usage_and_the_cost_differ(name: str) -> None:
    message = MESSAGES[name]
    sent = events(messages_stream(message).body)
    reader, out = read(messages_stream(message).body)
    assert reader.ended and reader.failure is None and reader.meaningful
    assert reader.usage == Usage(input_fresh=7, output_text=message.output_tokens)
    got = events(out + finished(reader))
    sent[0]["message"]["model"] = MODEL
    sent[-2]["headrace"] = MONEY
    assert got == sent
    assert reader.output_tokens_seen >= message.output_tokens


@pytest.mark.parametrize("name", NAMES)
def test_what_a_reader_knows_after_every_byte(name: str) -> None:
    frames = list(stream_frames(MESSAGES[name]))
    starts = [sum(len(frame.data) for frame in frames[:place]) for place in range(len(frames) + 1)]
    types = [kinds(frame.data)[0] for frame in frames]
    final, stop = starts[types.index("message_delta") + 1], starts[types.index("message_stop") + 1]
    stream = b"".join(frame.data for frame in frames)
    reader, out = MessagesStreamReader(MODEL), b""
    for fed in range(1, len(stream) + 1):
        out += reader.feed(stream[fed - 1 : fed])
        assert reader.failure is None
        assert reader.ended is (fed >= stop)
        counted = reader.usage is not None and reader.usage.estimated
        assert counted is (starts[1] <= fed < final)
    assert {"message_delta", "message_stop"}.isdisjoint(kinds(out))


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_that_is_cut_is_never_complete(name: str) -> None:
    stream = messages_stream(MESSAGES[name]).body
    last_byte = len(stream.rstrip())
    for cut in range(len(stream)):
        reader, out = read(stream[:cut])
        reader.close()
        assert reader.ended is (cut >= last_byte)
        assert isinstance(reader.failure, UpstreamTruncated) is (cut < last_byte)
        assert "message_stop" not in kinds(out)


def test_nothing_leaves_before_something_is_said() -> None:
    frames = [frame.data for frame in stream_frames(Message("one two"))]
    reader = MessagesStreamReader(MODEL)
    assert [reader.feed(frame) for frame in frames[:3]] == [b"", b"", b""] and not reader.meaningful
    assert kinds(reader.feed(frames[3])) == ["message_start", "ping", "content_block_start", "content_block_delta"]


def test_a_tool_is_something_said_and_an_empty_delta_is_not() -> None:
    reader = MessagesStreamReader(MODEL)
    empty = event_frame({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}})
    reader.feed(empty.data)
    assert not reader.meaningful
    reader.feed(event_frame({"type": "content_block_start", "index": 0, "content_block": None}).data)
    assert not reader.meaningful
    use = {"type": "tool_use", "id": "t", "name": "f", "input": dict[str, Any]()}
    reader.feed(event_frame({"type": "content_block_start", "index": 0, "content_block": use}).data)
    assert reader.meaningful


def test_usage_is_the_last_of_each_field_and_never_a_sum() -> None:
    cache = {"cache_read_input_tokens": 9, "cache_creation_input_tokens": 4}
    frames = list(stream_frames(Message("one", usage=cache)))
    delta = {"type": "message_delta", "delta": dict[str, Any](), "usage": {"output_tokens": 2}}
    body = b"".join(frame.data for frame in [*frames[:-2], event_frame(delta), *frames[-2:]])
    reader, _ = read(body)
    assert reader.usage == Usage(7, 9, 4, 0, 1)


def test_a_broken_answer_has_its_input_and_our_count_of_its_output() -> None:
    frames = list(stream_frames(Message("one two three", input_tokens=40)))
    reader, _ = read(b"".join(frame.data for frame in frames[:6]))
    assert reader.usage == Usage(input_fresh=40, output_text=3, source="counted")


def test_missing_usage_is_counted_and_marked() -> None:
    reader, _ = read(messages_stream(Message(usage_shape="absent")).body)
    assert reader.usage is None
    final = events(finished(reader))[0]
    assert final["usage"] == {
        "input_tokens": 3,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 2,
        "estimated": True,
    }


def test_comments_and_named_events_of_no_known_type_pass() -> None:
    frames = [frame.data for frame in stream_frames(Message("one two"))]
    odd = event_frame({"type": "brand_new", "a": 1}).data
    reader, out = read(b"".join([*frames[:4], b": hello\n\n", odd, *frames[4:]]))
    assert b": hello\n\n" in out and odd in out and reader.ended


def test_what_comes_after_the_end_is_not_read() -> None:
    reader, _ = read(messages_stream("one").body + b"data: {\n\n")
    assert reader.ended and reader.failure is None and reader.feed(b"data: {\n\n") == b""


@pytest.mark.parametrize(
    ("kind", "expected"), [("overloaded_error", UpstreamUnavailable), ("rate_limit_error", UpstreamRateLimited)]
)
def test_an_error_event_is_the_failure(kind: str, expected: type[Exception]) -> None:
    reader, out = read(messages_stream(Message("one two three", error_at_frame=5, error_type=kind)).body)
    assert isinstance(reader.failure, expected)
    assert kinds(out)[-1] == "content_block_delta" and not reader.ended
    reader.close()
    assert isinstance(reader.failure, expected)


@pytest.mark.parametrize(
    "broken",
    [
        b"data: {\n\n",
        b"data: [1]\n\n",
        b'data: {"type":"content_block_delta","delta":{"text":"\xff"}}\n\n',
        b'data: {"type":"content_block_delta",\n\n',
    ],
)
def test_a_frame_that_is_no_event_is_the_upstreams_fault(broken: bytes) -> None:
    frames = [frame.data for frame in stream_frames(Message("one two three"))]
    for place in (1, 5):
        reader, _ = read(b"".join(frames[:place]) + broken)
        assert isinstance(reader.failure, UpstreamProtocol)
        reader.close()
        assert isinstance(reader.failure, UpstreamProtocol)


def test_a_stop_without_a_reason_is_no_end() -> None:
    frames = list(stream_frames(Message("one")))
    reader, _ = read(b"".join(frame.data for frame in [*frames[:-2], frames[-1]]))
    assert isinstance(reader.failure, UpstreamTruncated)


def test_a_broken_rest_is_a_cut() -> None:
    reader, _ = read(messages_stream("one two").body[:-30] + b"\ndata: {")
    reader.close()
    assert isinstance(reader.failure, UpstreamTruncated)


def test_a_start_without_a_message_passes() -> None:
    frames = [frame.data for frame in stream_frames(Message("one"))]
    reader, out = read(b"".join([event_frame({"type": "message_start"}).data, *frames[1:]]))
    assert reader.ended and kinds(out)[0] == "message_start"


def test_endless_frames_and_endless_silence_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_reader, "MAX_KEPT_BYTES", 100)
    reader, _ = read(b": hello\n\n" * 20)
    assert isinstance(reader.failure, UpstreamProtocol)
    monkeypatch.setattr(sse, "MAX_FRAME_BYTES", 50)
    reader, _ = read(b"data: " + b"x" * 60)
    assert isinstance(reader.failure, UpstreamProtocol)


def test_before_the_end_there_is_no_end_to_give_out() -> None:
    reader = MessagesStreamReader(MODEL)
    reader.feed(event_frame({"type": "ping"}).data)
    assert kinds(reader.finish(Usage(), MONEY)) == ["ping"]
