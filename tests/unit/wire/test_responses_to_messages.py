"""Responses to Messages: every known field has one fate, and events are of the official SDK's own types."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.domain.errors import InvalidRequest, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.testing.anthropic_replies import Message, messages_reply, messages_stream
from headrace.testing.openai_replies import ToolCall
from headrace.wire.anthropic_messages import read_translated_envelope
from headrace.wire.dialect_fields import Fate
from headrace.wire.openai_responses import read_envelope
from headrace.wire.responses_to_messages import FATES, NEUTRAL, ResponsesToMessages
from headrace.wire.sse import FrameSplitter, frame_data
from tests.unit.wire.test_responses_to_chat import KNOWN, OPEN_RESPONSES
from tests.unit.wire.typed_events import read_events, read_response

PAIR = ResponsesToMessages(lambda: 17)
WEATHER: JsonObject = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": True}
CALL: JsonObject = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
TOOLS = (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "{}"))
SEALED = Message("Done.", thinking="Let me see.", signature="c2ln", redacted="c2VhbGVk", tool_uses=TOOLS)


def asked(**fields: Any) -> JsonObject:
    return {"model": "one", "input": "Hi", **fields}


def sent(**fields: Any) -> Any:
    return PAIR.request(asked(**fields)).body


def user(*parts: JsonValue) -> JsonObject:
    return {"role": "user", "content": list(parts)}


def streamed(message: Message) -> bytes:
    translator = PAIR.stream(asked(stream=True))
    frames = FrameSplitter().feed(messages_stream(message).body)
    events = [translator.event(msgspec.json.decode(frame_data(frame) or b"{}")) for frame in frames]
    return b"".join([*events, translator.finish()])


def test_every_known_field_has_exactly_one_fate() -> None:
    assert set(FATES) == KNOWN | OPEN_RESPONSES


@pytest.mark.parametrize("name", sorted(FATES))
def test_a_field_is_translated_or_refused_or_named(name: str) -> None:
    odd: JsonValue = {"odd": "value"}
    match FATES[name]:
        case Fate.REFUSED:
            with pytest.raises(InvalidRequest) as caught:
                sent(**{name: odd})
            assert caught.value.param == name
        case Fate.DROPPED:
            translated = PAIR.request(asked(**{name: odd}))
            assert name in translated.dropped and name not in translated.body
        case Fate.TRANSLATED:
            assert name not in PAIR.request({**asked(), **({} if name == "input" else {name: None})}).dropped


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_a_field_that_asks_for_nothing_is_not_named(name: str) -> None:
    assert PAIR.request(asked(**{name: NEUTRAL[name]})).dropped == ()


def test_instructions_alone_are_no_conversation() -> None:
    with pytest.raises(InvalidRequest, match="Add a message of the user") as caught:
        PAIR.request(asked(input=[{"role": "system", "content": "Be brief."}]))
    assert caught.value.param == "input"


def test_what_messages_has_no_place_for_is_named_as_the_caller_knows_it() -> None:
    translated = PAIR.request(
        asked(
            vendor_thing=1,
            reasoning={"effort": "minimal", "context": "auto"},
            include=["reasoning.encrypted_content", "file_search_call.results"],
            stream=True,
            stream_options={"include_obfuscation": False},
            service_tier="flex",
            tools=[{**WEATHER, "output_schema": {}}],
            input=[
                {"type": "reasoning", "summary": [], "encrypted_content": "sealed"},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
                {"type": "reasoning", "summary": []},
                user({"type": "input_image", "image_url": "https://x.test/a", "detail": "low"}),
                user({"type": "input_file", "file_url": "https://x.test/a", "detail": "low"}),
            ],
        )
    )
    assert translated.dropped == (
        "vendor_thing",
        "tools.output_schema",
        "reasoning.context",
        "service_tier",
        "stream_options.include_obfuscation",
        "include.file_search_call.results",
        "input.encrypted_content",
        "input.reasoning",
        "input_image.detail",
        "input_file.detail",
    )
    assert translated.body["output_config"] == {"effort": "low"}


REFUSED: list[tuple[JsonObject, str]] = [
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [WEATHER], "tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "tools": []}}, "tool_choice.tools"),
    ({"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "tools": [{"name": "x"}]}}, "tool_choice.tools"),
    ({"include": ["message.output_text.logprobs"]}, "include"),
    ({"temperature": 1.5}, "temperature"),
    ({"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
    ({"text": {"format": {"type": "json_object"}}}, "text.format"),
    ({"input": [{"type": "function_call_output", "call_id": "gone", "output": "x"}]}, "input[0].call_id"),
    ({"input": [{**CALL, "arguments": "["}]}, "input[0].arguments"),
    ({"input": [{**CALL, "arguments": "[]"}]}, "input[0].arguments"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
    ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user", "content": 1}]}, "input[0].content"),
    ({"input": [{"role": "system", "content": [{"type": "input_image", "image_url": "u"}]}]}, "input[0].content"),
    ({"input": [user({"type": "input_audio"})]}, "input[0].content[0].type"),
    ({"input": [user({"type": "input_text"})]}, "input[0].content[0].text"),
    ({"input": [user({"type": "input_image", "file_id": "f"})]}, "input[0].content[0].file_id"),
    ({"input": [user({"type": "input_file", "file_id": "f"})]}, "input[0].content[0].file_id"),
    ({"input": [user({"type": "input_file", "file_data": "QQ=="})]}, "input[0].content[0].file_data"),
    (
        {"input": [user({"type": "input_file", "file_data": "data:text/plain;base64,_"})]},
        "input[0].content[0].file_data",
    ),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_cannot_be_expressed_is_refused_by_its_place(fields: JsonObject, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({}, None),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": {"type": "function", "name": "get_weather"}}, {"type": "tool", "name": "get_weather"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
    ],
)
def test_tool_choices(fields: JsonObject, choice: JsonValue) -> None:
    assert sent(tools=[WEATHER], **fields).get("tool_choice") == choice


@pytest.mark.parametrize(
    ("reasoning", "thinking", "config"),
    [
        ({"effort": "none", "summary": "auto"}, {"type": "disabled"}, None),
        ({"effort": "max"}, {"type": "adaptive"}, {"effort": "max"}),
        ({"generate_summary": "auto"}, {"type": "adaptive", "display": "summarized"}, None),
        ({}, None, None),
    ],
)
def test_reasoning_becomes_thinking(reasoning: JsonObject, thinking: JsonValue, config: JsonValue) -> None:
    body = sent(reasoning=reasoning)
    assert (body.get("thinking"), body.get("output_config")) == (thinking, config)


def test_what_comes_out_needs_what_came_in_needs() -> None:
    shape: JsonObject = {"type": "json_schema", "name": "x", "schema": {"type": "object"}}
    image: JsonObject = {"type": "input_image", "image_url": "https://x.test/a"}
    pdf: JsonObject = {"type": "input_file", "file_url": "https://x.test/b"}
    body = asked(input=[user(image, pdf)], tools=[WEATHER], tool_choice="required", text={"format": shape})
    assert read_translated_envelope(PAIR.request(body).body, 10).needs == read_envelope(body, 10).needs


def test_only_the_last_four_cache_marks_are_taken() -> None:
    mark: JsonObject = {"mode": "explicit"}
    parts: list[JsonValue] = [
        {"type": "input_text", "text": str(index), "prompt_cache_breakpoint": mark} for index in range(5)
    ]
    translated = PAIR.request(asked(input=[user(*parts)]))
    messages: Any = translated.body["messages"]
    [message] = messages
    assert ["cache_control" in block for block in message["content"]] == [False, True, True, True, True]
    assert translated.dropped == ("prompt_cache_breakpoint",)


@pytest.mark.parametrize(
    "message",
    [
        Message("one two"),
        SEALED,
        Message("", tool_uses=TOOLS, stop_reason="tool_use"),
        Message("one", stop_reason="max_tokens"),
        Message("one", stop_reason="refusal"),
        Message("one", usage={"cache_read_input_tokens": 20, "cache_creation_input_tokens": 5}),
    ],
)
def test_a_whole_reply_says_what_the_stream_says(message: Message) -> None:
    whole = PAIR.reply(msgspec.json.decode(messages_reply(message).body), asked(stream=True))
    final = read_events(streamed(message))[-1]["response"]
    assert read_response(final) and final["created_at"] == 17
    assert {name: value for name, value in whole.items() if name != "output"} == {
        name: value for name, value in final.items() if name != "output"
    }
    output: Any = whole["output"]
    assert [item["type"] for item in output] == [item["type"] for item in final["output"]]
    assert final["usage"]["output_tokens"] == message.output_tokens


def test_thinking_comes_back_as_it_was_signed_and_in_its_place() -> None:
    output: Any = PAIR.reply(msgspec.json.decode(messages_reply(SEALED).body), asked())["output"]
    again = sent(input=[{"role": "user", "content": "Hi"}, *output, {"role": "user", "content": "?"}])
    assert again["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VhbGVk"},
        {"type": "text", "text": "Done."},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {}},
    ]


def test_a_stream_without_a_beginning_is_a_response_all_the_same() -> None:
    translator = PAIR.stream(asked())
    assert translator.event({"type": "ping"}) == b""
    assert read_events(translator.finish())[-1]["response"]["usage"] is None


def test_a_block_that_cannot_be_shown_is_the_upstreams_fault() -> None:
    block: JsonObject = {"type": "server_tool_use", "id": "x"}
    with pytest.raises(UpstreamProtocol, match="server_tool_use"):
        PAIR.reply({"id": "msg_1", "content": [block]}, asked())


def test_what_holds_nothing_becomes_nothing() -> None:
    assert sent(input=[user(), {"role": "user", "content": "?"}])["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "?"}]}
    ]
    translator = PAIR.stream(asked())
    frames = translator.event({"type": "message_start", "message": {"id": "msg_1", "model": "one"}})
    frames += translator.event({"type": "content_block_start", "content_block": {"type": "text", "text": "Al"}})
    silent: list[JsonValue] = [None, {"type": "citations_delta"}, {"type": "text_delta", "text": ""}]
    for delta in silent:
        assert translator.event({"type": "content_block_delta", "delta": delta}) == b""
    frames += translator.event({"type": "message_delta", "delta": None, "usage": {"output_tokens": 1}})
    final = read_events(frames + translator.finish())[-1]["response"]
    assert final["output"][0]["content"][0]["text"] == "Al" and final["usage"]["output_tokens"] == 1
