"""Messages to Responses: every field of the public schema has one fate, and an answer keeps its blocks' order."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types.beta import message_create_params as beta
from anthropic.types.message_create_params import MessageCreateParamsBase

from headrace.domain.errors import InvalidRequest, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.testing.openai_replies import Chat, ToolCall
from headrace.testing.responses_replies import response_reply, response_stream
from headrace.wire.anthropic_messages import read_envelope
from headrace.wire.dialect_fields import Fate
from headrace.wire.messages_to_responses import FATES, NEUTRAL, MessagesToResponses
from headrace.wire.openai_responses import read_envelope as read_responses_envelope
from headrace.wire.sealed_reasoning import block_of_item
from headrace.wire.sse import FrameSplitter, frame_data
from tests.unit.wire.test_messages_to_chat import HEADERS, LEAST, OLDER, SAMPLES, SCHEMA

PAIR = MessagesToResponses()
IMAGE: dict[str, Any] = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
PDF: dict[str, Any] = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
}
USE: dict[str, Any] = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}


def asked(**fields: Any) -> JsonObject:
    return {**LEAST, **fields}


def items(*messages: Any, **fields: Any) -> list[Any]:
    sent: Any = PAIR.request(asked(messages=list(messages), **fields)).body["input"]
    return sent


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def refused(body: JsonObject) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        PAIR.request(body)
    return caught.value


def streamed(*events: JsonObject) -> list[Any]:
    translator = PAIR.stream(LEAST)
    out = b"".join([*map(translator.event, events), translator.finish()])
    return [msgspec.json.decode(frame_data(frame) or b"") for frame in FrameSplitter().feed(out)]


def added(index: int, kind: str, **more: JsonValue) -> JsonObject:
    item: JsonObject = {"type": kind, "id": f"i{index}", **more}
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, kind: str, **more: JsonValue) -> JsonObject:
    return {**added(index, kind, **more), "type": "response.output_item.done"}


def test_every_field_of_the_public_schema_has_one_fate() -> None:
    public = {*MessageCreateParamsBase.__annotations__, *beta.MessageCreateParamsBase.__annotations__, "stream"}
    assert public - HEADERS | OLDER == set(FATES) == set(SAMPLES)
    assert set(NEUTRAL) <= {name for name, fate in FATES.items() if fate is not Fate.TRANSLATED}


@pytest.mark.parametrize("name", sorted(FATES))
def test_each_field_meets_its_fate(name: str) -> None:
    body = asked(**{name: SAMPLES[name]})
    bare = {each: value for each, value in body.items() if each != name}
    match FATES[name]:
        case Fate.REFUSED:
            assert (refused(body).param, refused(body).code) == (name, "unsupported_field")
        case Fate.DROPPED:
            assert PAIR.request(body).dropped == (name,)
            assert PAIR.request(body).body == PAIR.request(bare).body
        case Fate.TRANSLATED if name not in ("model", "messages"):
            assert PAIR.request(body).dropped == ()
            assert PAIR.request(body).body != PAIR.request(bare).body
        case Fate.TRANSLATED:
            sent = PAIR.request(body).body
            assert sent["model"] == "one" and sent["max_output_tokens"] == 5 and sent["input"]


@pytest.mark.parametrize("name", sorted(set(FATES) - {"model", "messages"}))
def test_null_and_neutral_values_ask_for_nothing(name: str) -> None:
    values: list[JsonValue] = [None, *([NEUTRAL[name]] if name in NEUTRAL else [])]
    bare = {each: value for each, value in LEAST.items() if each != name}
    for value in values:
        translated = PAIR.request({**bare, name: value})
        assert (translated.dropped, translated.body) == ((), PAIR.request(bare).body)


def test_what_comes_out_needs_what_came_in_needs() -> None:
    body = asked(
        messages=[user(IMAGE, PDF)],
        tools=SAMPLES["tools"],
        tool_choice={"type": "any"},
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )
    assert read_responses_envelope(PAIR.request(body).body, 10).needs == read_envelope(body, 10).needs


@pytest.mark.parametrize(
    ("thinking", "effort", "reasoning", "dropped"),
    [
        ({"type": "enabled", "budget_tokens": 4096}, None, {"effort": "low", "summary": "auto"}, ()),
        ({"type": "enabled", "budget_tokens": 16385, "display": "omitted"}, None, {"effort": "high"}, ()),
        ({"type": "adaptive"}, None, None, ()),
        ({"type": "adaptive", "display": "summarized"}, "max", {"effort": "max", "summary": "auto"}, ()),
        ({"type": "disabled"}, None, None, ("thinking",)),
        (None, "low", {"effort": "low"}, ()),
    ],
)
def test_thinking_becomes_effort_and_summary(
    thinking: Any, effort: str | None, reasoning: Any, dropped: tuple[str, ...]
) -> None:
    translated = PAIR.request(asked(thinking=thinking, output_config={"effort": effort}))
    assert translated.body.get("reasoning") == reasoning
    assert translated.dropped == dropped


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"messages": [user(), {"role": "assistant", "content": "I"}]}, "messages[1]"),
    ({"tools": [{"type": "web_search_20260318", "name": "w"}]}, "tools[0].type"),
    ({"tools": [{}]}, "tools[0]"),
    ({"tool_choice": {"type": "some"}}, "tool_choice"),
    ({"output_config": {"effort": "extreme"}}, "output_config.effort"),
    ({"service_tier": "slow"}, "service_tier"),
    ({"system": [IMAGE]}, "system[0]"),
    ({"messages": [user({"type": "tool_result", "tool_use_id": "gone"})]}, "messages[0].content[0].tool_use_id"),
    ({"messages": [user({"type": "video"})]}, "messages[0].content[0]"),
    ({"messages": [user({"type": "image", "source": {"type": "file"}})]}, "messages[0].content[0].source"),
    ({"messages": [user({"type": "document", "source": {"type": "file"}})]}, "messages[0].content[0].source"),
    ({"messages": [{"role": "assistant", "content": [IMAGE]}, user()]}, "messages[0].content[0]"),
    ({"messages": [{"role": "assistant", "content": [{**USE, "input": 1}]}, user()]}, "messages[0].content[0].input"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_cannot_be_expressed_is_refused_by_its_place(fields: dict[str, Any], param: str) -> None:
    assert refused(asked(**fields)).param == param


def test_blocks_keep_their_order_and_documents_of_text_become_text() -> None:
    seal: Any = block_of_item({"id": "rs_1", "encrypted_content": "b3A="})[0]
    sent = items(
        user({"type": "text", "text": "Go"}),
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, seal, USE, {"type": "text", "text": "b"}]},
        user(
            {"type": "tool_result", "tool_use_id": "t1"},
            {"type": "search_result", "title": "T", "source": "S", "content": [{"type": "text", "text": "found"}]},
            {"type": "document", "title": "D", "source": {"type": "text", "data": "body"}},
            {"type": "document", "title": "E", "source": {"type": "content", "content": "inner"}},
        ),
        {"role": "system", "content": "Slower."},
        user({"type": "text", "text": "?"}),
    )
    kinds = [item.get("role") or item["type"] for item in sent]
    assert kinds[:5] == ["user", "assistant", "reasoning", "function_call", "assistant"]
    assert kinds[5:] == ["function_call_output", "user", "system", "user"]
    assert sent[5]["output"] == "" and sent[2]["encrypted_content"] == "b3A="
    assert [part["text"] for part in sent[6]["content"]] == ["T\nS", "found", "D\nbody", "E", "inner"]


def test_a_tool_is_strict_only_where_that_was_asked_for() -> None:
    given = [{"name": "f"}, {"name": "g", "strict": True}]
    tools: Any = PAIR.request(asked(tools=given, tool_choice={"type": "tool", "name": "g"})).body["tools"]
    assert [tool["strict"] for tool in tools] == [False, True]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "max_tokens"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "refusal"),
        ({"status": "incomplete"}, "max_tokens"),
        ({"status": "completed"}, "end_turn"),
    ],
)
def test_why_a_response_ended(body: JsonObject, reason: str) -> None:
    assert PAIR.reply(body, LEAST)["stop_reason"] == reason
    final = streamed({"type": f"response.{body['status']}", "response": body})[-2]
    assert final["delta"]["stop_reason"] == reason


@pytest.mark.parametrize(
    "chat",
    [
        Chat("one two"),
        Chat("yes", reasoning="hm hm"),
        Chat("", tool_calls=(ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "{}"))),
        Chat("one", finish_reason="length"),
    ],
)
def test_a_whole_reply_says_what_the_stream_says(chat: Chat) -> None:
    whole = PAIR.reply(msgspec.json.decode(response_reply(chat).body), LEAST)
    assert AnthropicMessage.model_validate(whole, strict=False).usage.output_tokens == chat.completion_tokens
    frames = FrameSplitter().feed(response_stream(chat).body)
    events = streamed(*(msgspec.json.decode(frame_data(frame) or b"") for frame in frames))
    content: Any = whole["content"]
    begun = [each["content_block"]["type"] for each in events if each["type"] == "content_block_start"]
    assert begun == [block["type"] for block in content]
    assert events[-2]["delta"]["stop_reason"] == whole["stop_reason"] and events[-2]["usage"] == whole["usage"]


def test_events_of_a_later_item_wait_for_the_earlier_one() -> None:
    def piece(index: int, delta: str) -> JsonObject:
        return {"type": "response.function_call_arguments.delta", "output_index": index, "delta": delta}

    events = streamed(
        {"type": "response.created", "response": {"id": "resp_1", "model": "one"}},
        added(0, "function_call", call_id="a", name="f"),
        added(1, "function_call", call_id="b", name="g"),
        piece(1, '{"y":'),
        piece(0, '{"x":1}'),
        done(0, "function_call"),
        piece(1, "2}"),
        added(2, "function_call", call_id="c", name="h"),
        {"type": "response.completed", "response": {"status": "completed"}},
    )
    assert [(each["type"][14:], each["index"]) for each in events[1:-2]] == [
        ("start", 0),
        ("delta", 0),
        ("stop", 0),
        ("start", 1),
        ("delta", 1),
        ("delta", 1),
        ("stop", 1),
        ("start", 2),
        ("stop", 2),
    ]


def test_reasoning_that_is_shown_goes_before_its_summary_and_is_signed() -> None:
    events = streamed(
        added(0, "reasoning"),
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "Long."},
        {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 1},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "Short."},
        done(0, "reasoning", encrypted_content="b3A="),
        added(1, "reasoning"),
        done(1, "reasoning"),
        added(2, "message"),
        {"type": "response.refusal.delta", "output_index": 2, "delta": "No."},
        {"type": "response.unknown", "output_index": 2},
        done(2, "message"),
    )
    deltas = [each["delta"] for each in events if each["type"] == "content_block_delta"]
    assert [delta["type"] for delta in deltas] == ["thinking_delta", "signature_delta", "text_delta"]
    [item, _] = items({"role": "assistant", "content": [{**deltas[1], "type": "thinking"}]}, user(IMAGE))
    assert item == {"type": "reasoning", "summary": [], "id": "i0", "encrypted_content": "b3A="}
    assert events[-2]["delta"]["stop_reason"] == "refusal"


def test_what_messages_cannot_show_is_the_upstreams_fault() -> None:
    stray: JsonObject = {"type": "response.function_call_arguments.delta", "delta": "{"}
    for event in (added(0, "web_search_call"), stray):
        with pytest.raises(UpstreamProtocol):
            PAIR.stream(LEAST).event(event)
    for arguments in ("{", "[1]"):
        body: JsonObject = {"output": [{"type": "function_call", "call_id": "a", "name": "f", "arguments": arguments}]}
        with pytest.raises(UpstreamProtocol):
            PAIR.reply(body, LEAST)


def test_what_holds_nothing_becomes_nothing() -> None:
    two = {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    [answer, question] = items(user(), two, user({"type": "text", "text": "?"}), system=[])
    assert [part["text"] for part in answer["content"]] == ["a", "b"] and question["role"] == "user"
    assert PAIR.request(asked(metadata={"team": "x"})).dropped == ("metadata.team",)
    assert PAIR.reply({"output": [None, {"type": "message"}]}, LEAST)["content"] == []
    assert [each["type"] for each in streamed({"type": "response.output_item.added", "output_index": 0})] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    empty: JsonObject = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": ""}
    events = streamed(added(0, "function_call", call_id="a", name="f"), empty, done(0, "function_call"))
    assert [each["type"] for each in events[:2]] == ["content_block_start", "content_block_stop"]
