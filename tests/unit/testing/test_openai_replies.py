"""Ready-made replies: what a client reads in them; bills and reports agree unless told to lie."""

import base64
import json
import struct
from typing import Any

import pytest

from headrace.testing.openai_replies import (
    Chat,
    ToolCall,
    UsageShape,
    chat_reply,
    chat_stream,
    embeddings_reply,
    error_reply,
    models_reply,
    words,
)
from headrace.testing.script import Reply


def events(reply: Reply) -> list[Any]:
    payloads = [frame.data.removeprefix(b"data: ").removesuffix(b"\n\n") for frame in reply.frames]
    return [json.loads(payload) for payload in payloads if payload != b"[DONE]"]


def content(reply: Reply, index: int = 0) -> str:
    choices = [choice for event in events(reply) for choice in event.get("choices", [])]
    return "".join(choice["delta"].get("content") or "" for choice in choices if choice["index"] == index)


@pytest.mark.parametrize("text", ["", "one", " two  words ", "a\nb\tc", "水 😀"])
def test_words_add_up_to_their_text(text: str) -> None:
    assert "".join(words(text)) == text
    assert len(words(text)) == len(text.split())


def test_a_stream_has_the_text_the_finish_the_usage_and_the_end() -> None:
    reply = chat_stream(Chat("one two three", prompt_tokens=5))
    assert content(reply) == "one two three"
    assert events(reply)[-2]["choices"][0]["finish_reason"] == "stop"
    assert events(reply)[-1]["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    assert events(reply)[-1]["choices"] == []
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert (reply.prompt_tokens, reply.billed_tokens(len(reply.body))) == (5, 3)


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ("final", [None, None, None, None, (7, 2)]),
        ("in_finish", [None, None, None, (7, 2)]),
        ("every_chunk", [(7, 0), (7, 1), (7, 2), (7, 2), (7, 2)]),
        ("null", [None] * 5),
        ("zero", [None, None, None, None, (0, 0)]),
    ],
)
def test_usage_stands_where_the_shape_says(shape: UsageShape, seen: list[tuple[int, int] | None]) -> None:
    usages = [event["usage"] for event in events(chat_stream(Chat("one two", usage=shape)))]
    found = [usage and (usage["prompt_tokens"], usage["completion_tokens"]) for usage in usages]
    assert found == seen


def test_absent_usage_is_not_even_null() -> None:
    assert all("usage" not in event for event in events(chat_stream(Chat("one two", usage="absent"))))
    assert "usage" not in json.loads(chat_reply(Chat("one two", usage="absent")).body)


def test_a_lying_upstream_still_bills_the_truth() -> None:
    reply = chat_stream(Chat("one two", reported={"prompt_tokens": 70, "completion_tokens": -1}))
    assert events(reply)[-1]["usage"] == {"prompt_tokens": 70, "completion_tokens": -1}
    assert reply.billed_tokens(len(reply.body)) == 2


def test_several_choices_are_interleaved_and_each_is_billed() -> None:
    reply = chat_stream(Chat("one two", choices=3))
    assert [content(reply, index) for index in range(3)] == ["one two"] * 3
    assert reply.billed_tokens(len(reply.body)) == Chat("one two", choices=3).completion_tokens == 6
    finishes = [event for event in events(reply) if any(c["finish_reason"] for c in event["choices"])]
    assert len(finishes) == 3


def test_tool_arguments_arrive_in_pieces() -> None:
    calls = (ToolCall("call_1", "add", '{"a":1,"b":22}', 4), ToolCall("call_2", "sub", "{}"))
    reply = chat_stream(Chat("", tool_calls=calls, finish_reason="tool_calls"))
    deltas = [call for event in events(reply) for c in event["choices"] for call in c["delta"].get("tool_calls", [])]
    joined = ["".join(d["function"]["arguments"] for d in deltas if d["index"] == i) for i in range(2)]
    assert joined == ['{"a":1,"b":22}', "{}"]
    assert [d["id"] for d in deltas if "id" in d] == ["call_1", "call_2"]
    assert reply.billed_tokens(len(reply.body)) == 5


def test_reasoning_comes_first_and_is_billed() -> None:
    reply = chat_stream(Chat("answer", reasoning="think twice"))
    assert [e["choices"][0]["delta"] for e in events(reply)[1:4]] == [
        {"reasoning_content": "think"},
        {"reasoning_content": " twice"},
        {"content": "answer"},
    ]
    assert reply.billed_tokens(len(reply.body)) == 3


@pytest.mark.parametrize("place", [0, 1, 3])
def test_an_error_event_ends_the_stream_at_its_frame(place: int) -> None:
    reply = chat_stream(Chat("one two three", error_at_frame=place))
    assert len(reply.frames) == place + 1
    assert events(reply)[-1]["error"]["code"] == "overloaded"
    assert b"[DONE]" not in reply.body


def test_a_stream_can_lack_finish_and_done() -> None:
    reply = chat_stream(Chat("one", finish_reason=None, done=False, usage="absent"))
    assert len(reply.frames) == 2
    assert not any(choice["finish_reason"] for event in events(reply) for choice in event["choices"])


def test_a_whole_reply_says_what_the_stream_says() -> None:
    calls = (ToolCall("call_1", "add", '{"a":1}'),)
    body = json.loads(chat_reply(Chat("", reasoning="hm", tool_calls=calls, choices=2)).body)
    message = body["choices"][1]["message"]
    assert message["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a":1}'}
    assert (message["content"], message["reasoning_content"]) == (None, "hm")
    assert body["usage"]["completion_tokens"] == 4
    assert json.loads(chat_reply("plain").body)["choices"][0]["message"]["content"] == "plain"


def test_embeddings_are_the_same_as_floats_and_as_base64() -> None:
    floats = json.loads(embeddings_reply(2, dimensions=4).body)
    packed = json.loads(embeddings_reply(2, dimensions=4, encoding="base64").body)
    unpacked = [list(struct.unpack("<4f", base64.b64decode(item["embedding"]))) for item in packed["data"]]
    assert unpacked == [item["embedding"] for item in floats["data"]]
    assert unpacked[0] != unpacked[1]


def test_errors_carry_status_and_any_retry_after() -> None:
    reply = error_reply(429, retry_after="soon")
    assert (reply.status, reply.headers["retry-after"]) == (429, "soon")
    assert (reply.prompt_tokens, reply.billed_tokens(len(reply.body))) == (0, 0)
    assert "retry-after" not in error_reply(500).headers


def test_models_are_listed() -> None:
    assert [item["id"] for item in json.loads(models_reply(["a", "b"]).body)["data"]] == ["a", "b"]
