"""What was asked and answered as text, in every dialect, streamed and whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.domain.call import Dialect
from headrace.domain.json_value import JsonObject
from headrace.wire import transcript
from headrace.wire.transcript import answered_text, asked_text

CHAT: list[Any] = [
    {"choices": [{"index": 0, "delta": {"role": "assistant"}}]},
    {"choices": [{"index": 0, "delta": {"content": "Good "}}, {"index": 1, "delta": {"content": "no"}}]},
    {"choices": [{"index": 0, "delta": {"content": "day."}}]},
    {"choices": []},
]
MESSAGES: list[Any] = [
    {"type": "message_start", "message": {"content": []}},
    {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "Hm."}},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Good day."}},
]
RESPONSES: list[Any] = [
    {"type": "response.created", "response": {}},
    {"type": "response.output_text.delta", "delta": "Good "},
    {"type": "response.output_text.delta", "delta": "day."},
    {"type": "response.output_text.done", "text": "Good day."},
]
WHOLE: list[tuple[Dialect, Any]] = [
    (Dialect.CHAT, {"choices": [{"message": {"content": "Good day."}}, {"message": {"content": "No."}}]}),
    (Dialect.CHAT, {"choices": [{"message": {"content": [{"type": "text", "text": "Good day."}]}}]}),
    (Dialect.MESSAGES, {"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Good day."}]}),
    (
        Dialect.RESPONSES,
        {"output": [{"type": "message", "content": [{"type": "output_text", "text": "Good day."}]}]},
    ),
]


@pytest.mark.parametrize(
    ("dialect", "events"), [(Dialect.CHAT, CHAT), (Dialect.MESSAGES, MESSAGES), (Dialect.RESPONSES, RESPONSES)]
)
def test_a_stream_is_read(dialect: Dialect, events: list[Any]) -> None:
    frames = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)
    content = b": waiting for the model\n\n" + frames + b"data: [DONE]\n\n"
    assert answered_text(dialect, content, stream=True) == "Good day."


@pytest.mark.parametrize(("dialect", "body"), WHOLE)
def test_a_whole_reply_is_read(dialect: Dialect, body: Any) -> None:
    assert answered_text(dialect, json.dumps(body).encode(), stream=False) == "Good day."


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"choices": [{"message": null}]}', b"{"])
def test_what_is_not_understood_has_no_text(content: bytes) -> None:
    assert answered_text(Dialect.CHAT, content, stream=False) == ""


def test_a_broken_stream_has_no_text() -> None:
    assert answered_text(Dialect.CHAT, b"data: {\n\n", stream=True) == ""


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]},
        {"system": "Be kind.", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        {"system": [{"type": "text", "text": "Be kind."}], "messages": [{"role": "user", "content": "Hi"}]},
        {"instructions": "Be kind.", "input": "Hi"},
        {"instructions": "Be kind.", "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]},
    ],
)
def test_a_conversation_is_read_in_every_dialect(body: JsonObject) -> None:
    assert asked_text(body) == "system: Be kind.\n\nuser: Hi"


def test_what_has_no_words_is_left_out() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:"}}
    turns: Any = [
        {"role": "user", "content": [picture]},
        {"role": "assistant", "content": "What?"},
        "odd",
        {"content": 7},
    ]
    assert asked_text({"messages": turns}) == "assistant: What?"
    assert asked_text({}) == ""


def test_of_a_long_text_the_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "MOST_CHARS", 10)
    assert asked_text({"input": "a" * 20 + "0123456789"}) == "\n[…]\n0123456789"
