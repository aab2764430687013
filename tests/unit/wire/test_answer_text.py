"""What an answer says, in each dialect, streamed and whole, however it is cut; and what has said nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.domain.call import Dialect
from headrace.testing.anthropic_replies import Message, messages_reply, messages_stream
from headrace.testing.openai_replies import Chat, ToolCall, chat_reply, chat_stream
from headrace.testing.responses_replies import response_reply, response_stream
from headrace.testing.script import Reply
from headrace.wire import answer_text as module
from headrace.wire.answer_text import answer_text

SAID = '{"größe": "zwei  Wörter"}'
CALL = ToolCall("call_1", "look", "{}")


def said(dialect: Dialect, body: bytes, size: int = 10_000) -> list[str]:
    text = answer_text(dialect)
    for start in range(0, len(body), size):
        text.feed(body[start : start + size])
    return list(text.texts())


def replies(dialect: Dialect, chat: Chat) -> list[Reply]:
    if dialect is Dialect.CHAT:
        return [chat_reply(chat), chat_stream(chat)]
    if dialect is Dialect.RESPONSES:
        return [response_reply(chat), response_stream(chat)]
    reasons = {"length": "max_tokens", "tool_calls": "tool_use"}
    message = Message(
        chat.text, tool_uses=chat.tool_calls, stop_reason=reasons.get(str(chat.finish_reason), "end_turn")
    )
    return [messages_reply(message), messages_stream(message)]


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_complete_answer_has_said_its_text(dialect: Dialect, size: int) -> None:
    for reply in replies(dialect, Chat(SAID)):
        assert said(dialect, reply.body, size) == [SAID]


@pytest.mark.parametrize("dialect", Dialect)
def test_what_was_cut_or_called_a_tool_has_said_nothing(dialect: Dialect) -> None:
    for chat in (Chat(SAID, finish_reason="length"), Chat(SAID, tool_calls=(CALL,), finish_reason="tool_calls")):
        for reply in replies(dialect, chat):
            assert said(dialect, reply.body) == []


def test_each_choice_has_said_its_own() -> None:
    for reply in (chat_reply(Chat(SAID, choices=3)), chat_stream(Chat(SAID, choices=3))):
        assert said(Dialect.CHAT, reply.body) == [SAID] * 3


def body(value: Any) -> bytes:
    return msgspec.json.encode(value)


SILENT: list[tuple[Dialect, dict[str, Any]]] = [
    (Dialect.CHAT, {"choices": [{"finish_reason": "stop", "message": {"content": None, "refusal": "no"}}]}),
    (Dialect.CHAT, {"choices": [{"finish_reason": "stop", "message": {"tool_calls": [{}]}}, 5]}),
    (Dialect.CHAT, {"choices": 5}),
    (Dialect.MESSAGES, {"stop_reason": "refusal", "content": [{"type": "text", "text": "a"}, 5]}),
    (Dialect.RESPONSES, {"status": "incomplete", "output": []}),
    (Dialect.RESPONSES, {"output": [{"type": "message", "content": [{"type": "refusal"}, 5]}, {}, 5]}),
    (Dialect.RESPONSES, {"type": "response.created", "response": {"output": []}}),
]


@pytest.mark.parametrize(("dialect", "value"), SILENT)
def test_refusals_and_odd_answers_have_said_nothing(dialect: Dialect, value: Any) -> None:
    assert said(dialect, body(value)) == []


def test_other_items_say_nothing_of_their_own() -> None:
    text = {"type": "message", "content": [{"type": "output_audio"}, {"type": "output_text", "text": "1"}]}
    assert said(Dialect.RESPONSES, body({"output": [{"type": "reasoning", "content": []}, text]})) == ["1"]
    blocks = [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "1"}]
    assert said(Dialect.MESSAGES, body({"stop_reason": "end_turn", "content": blocks})) == ["1"]


def test_what_is_no_json_is_passed_over_and_what_is_too_long_is_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = chat_stream(Chat("1")).body
    assert said(Dialect.CHAT, b": ping\n\ndata: {x\n\ndata: 5\n\n" + stream) == ["1"]
    assert said(Dialect.CHAT, b"{x") == []
    assert said(Dialect.CHAT, b"\n" + chat_reply(Chat("1")).body) == ["1"]
    assert said(Dialect.CHAT, b"\n\n" + stream, 1) == ["1"]
    monkeypatch.setattr(module, "MOST_BYTES", 50)
    assert said(Dialect.CHAT, stream) == []


def test_a_stream_without_its_last_blank_line_is_whole_all_the_same() -> None:
    stream = chat_stream(Chat("1", done=False, usage="in_finish")).body
    assert said(Dialect.CHAT, stream.rstrip()) == ["1"]
