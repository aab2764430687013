"""Ready-made Messages replies: what they say, and what they bill."""

import json

import pytest

from headrace.testing.anthropic_replies import (
    Message,
    messages_error,
    messages_reply,
    messages_stream,
    obedient_messages,
    stream_frames,
)
from headrace.testing.openai_replies import ToolCall
from headrace.testing.script import UpstreamRequest

FULL = Message(
    "Hello there.", thinking="Hm.", signature="c2ln", redacted="xx", tool_uses=(ToolCall("t1", "f", '{"a":1}', 4),)
)


def request(**fields: object) -> UpstreamRequest:
    return UpstreamRequest(3, 1, "POST", "/v1/messages", "", (), json.dumps(fields).encode())


def test_whole_and_streamed_bill_the_same() -> None:
    whole, stream = messages_reply(FULL), messages_stream(FULL)
    assert FULL.output_tokens == 5
    assert whole.billed_tokens(len(whole.body)) == stream.billed_tokens(len(stream.body)) == 5
    body = json.loads(whole.body)
    assert [block["type"] for block in body["content"]] == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert body["usage"]["output_tokens"] == 5 and body["content"][3]["input"] == {"a": 1}


def test_a_stream_names_its_events_and_ends_with_its_stop() -> None:
    names = [frame.data.split(b"\n")[0].removeprefix(b"event: ") for frame in stream_frames(FULL)]
    assert names[:3] == [b"message_start", b"ping", b"content_block_start"]
    assert names[-2:] == [b"message_delta", b"message_stop"]
    assert names.count(b"content_block_start") == names.count(b"content_block_stop") == 4
    assert not messages_stream(Message(stopped=False)).body.endswith(b'{"type":"message_stop"}\n\n')


def test_an_error_takes_the_place_of_a_frame() -> None:
    body = messages_stream(Message("one two", error_at_frame=4)).body
    assert body.count(b"event: error") == 1 and b"message_stop" not in body


def test_usage_can_be_absent() -> None:
    silent = Message(usage_shape="absent")
    assert b"usage" not in messages_reply(silent).body + messages_stream(silent).body


@pytest.mark.parametrize("stream", [True, False])
def test_an_obedient_answer_keeps_to_the_cap(stream: bool) -> None:
    body = obedient_messages(request(model="m", max_tokens=2, stream=stream), Message("one two three")).body
    assert b"three" not in body and b'"max_tokens"' in body and b'"m"' in body


def test_an_error_has_its_status_and_shape() -> None:
    reply = messages_error(429, "slow", kind="rate_limit_error", retry_after=3)
    assert (reply.status, reply.headers["retry-after"]) == (429, "3")
    assert json.loads(reply.body) == {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}
