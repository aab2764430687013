from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsBase, CompletionCreateParamsStreaming

from headrace.domain.errors import InvalidRequest, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.testing.openai_replies import Chat, ToolCall
from headrace.testing.responses_replies import response_reply, response_stream
from headrace.wire.chat_to_responses import FATES, NEUTRAL, SAME_NAME, ChatToResponses
from headrace.wire.dialect_fields import Fate
from headrace.wire.sse import DONE, frame_data

PAIR = ChatToResponses()
KNOWN = frozenset({*CompletionCreateParamsBase.__annotations__, *CompletionCreateParamsStreaming.__annotations__})
FUNCTION: JsonObject = {"name": "f", "parameters": {"type": "object"}}
CALLS = (ToolCall("call_a", "f", '{"a": 1}'), ToolCall("call_b", "g", "{}"))
USAGE: JsonObject = {"stream": True, "stream_options": {"include_usage": True}}


def asked(**fields: JsonValue) -> JsonObject:
    return {"model": "one", "messages": [{"role": "user", "content": "Hi"}], **fields}


def sent(**fields: JsonValue) -> JsonObject:
    return PAIR.request(asked(**fields)).body


def chunks_of(body: bytes, request: JsonObject) -> list[dict[str, Any]]:
    translator = PAIR.stream(request)
    out = b""
    for frame in body.split(b"\n\n")[:-1]:
        out += translator.event(msgspec.json.decode(frame_data(frame + b"\n\n") or b""))
    assert translator.finish() == DONE
    return read_chunks(out)


def read_chunks(out: bytes) -> list[dict[str, Any]]:
    chunks = [msgspec.json.decode(frame.removeprefix(b"data: ")) for frame in out.split(b"\n\n")[:-1]]
    for chunk in chunks:
        assert ChatCompletionChunk.model_validate(chunk, strict=True)
    return chunks


def deltas(chunks: list[dict[str, Any]], name: str) -> list[Any]:
    given = (choice["delta"].get(name) for chunk in chunks for choice in chunk["choices"])
    return [value for value in given if value]


def test_every_known_field_has_exactly_one_fate() -> None:
    assert set(FATES) == KNOWN


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
        case Fate.TRANSLATED if name in SAME_NAME:
            assert sent(**{name: odd})[name] == odd
        case Fate.TRANSLATED:
            assert PAIR.request({**asked(), **({} if name == "messages" else {name: None})}).dropped == ()


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_a_field_that_asks_for_nothing_is_not_named(name: str) -> None:
    assert PAIR.request(asked(**{name: NEUTRAL[name]})).dropped == ()


NO_PLACE: list[tuple[list[JsonValue], str]] = [
    ([{"role": "function", "name": "f", "content": "x"}], "messages[0].role"),
    ([{"role": "tool", "tool_call_id": "gone", "content": "x"}], "messages[0].tool_call_id"),
    ([{"role": "assistant", "audio": {"id": "a"}}], "messages[0].audio"),
    ([{"role": "assistant", "content": [{"type": "image_url"}]}], "messages[0].content[0].type"),
    ([{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}], "messages[0].tool_calls[0].type"),
    ([{"role": "assistant", "tool_calls": [{"function": {}}]}], "messages[0].tool_calls[0].id"),
    ([{"role": "user", "content": None}], "messages[0].content"),
    ([{"role": "user", "content": [{"type": "video"}]}], "messages[0].content[0].type"),
    ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0].image_url"),
    (["x"], "messages[0]"),
]


@pytest.mark.parametrize(
    ("messages", "param"),
    NO_PLACE,
)
def test_a_message_that_has_no_place_is_refused_by_name(messages: list[JsonValue], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        PAIR.request({"model": "one", "messages": messages})
    assert caught.value.param == param


NO_TOOLS: list[tuple[JsonObject, str]] = [
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": FUNCTION}], "tool_choice": {"type": "custom"}}, "tool_choice"),
]


@pytest.mark.parametrize(
    ("fields", "param"),
    NO_TOOLS,
)
def test_tools_that_have_no_place_are_refused_by_name(fields: JsonObject, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(**fields)
    assert caught.value.param == param


def test_tool_choices_are_flattened() -> None:
    tools: JsonObject = {"tools": [{"type": "function", "function": FUNCTION}], "parallel_tool_calls": False}
    one: JsonObject = {"type": "function", "function": {"name": "f"}}
    assert sent(**tools, tool_choice=one)["tool_choice"] == {"type": "function", "name": "f"}
    some: JsonObject = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [one]}}
    assert sent(**tools, tool_choice=some)["tool_choice"] == {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "f"}],
    }
    assert sent(**tools, tool_choice="auto")["tool_choice"] == "auto"
    assert sent(tool_choice="auto").keys() == {"model", "input"}


def test_a_text_stream_becomes_chunks_of_the_sdks_type() -> None:
    chunks = chunks_of(response_stream(Chat("one two", model="m", prompt_tokens=3)).body, asked(**USAGE))
    assert deltas(chunks, "content") == ["one", " two"]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [choice["finish_reason"] for choice in chunks[-2]["choices"]] == ["stop"]
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] == 5
    assert {chunk["model"] for chunk in chunks} == {"m"}
    silent = chunks_of(response_stream("one").body, asked(stream=True))
    assert all("usage" not in chunk for chunk in silent)


def test_parallel_calls_stream_with_their_own_indexes() -> None:
    chunks = chunks_of(response_stream(Chat("", tool_calls=CALLS)).body, asked(stream=True))
    said: dict[int, list[str]] = {}
    for [call] in deltas(chunks, "tool_calls"):
        said.setdefault(call["index"], []).append(call.get("id") or call["function"]["arguments"])
    assert {index: "".join(parts) for index, parts in said.items()} == {0: 'call_a{"a": 1}', 1: "call_b{}"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_reasoning_streams_whole_or_summed_up_and_never_twice() -> None:
    chunks = chunks_of(response_stream(Chat("yes", reasoning="hm hm", finish_reason="length")).body, asked(stream=True))
    assert deltas(chunks, "reasoning_content") == ["hm", " hm"] and deltas(chunks, "content") == ["yes"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    translator = PAIR.stream(asked(stream=True))
    translator.event({"type": "response.created", "response": {"id": "resp_1", "created_at": 1, "model": "m"}})
    out = b""
    for index, text in enumerate(("a", "b")):
        place: JsonObject = {"item_id": "rs_1", "summary_index": index}
        out += translator.event({"type": "response.reasoning_summary_part.added", **place})
        out += translator.event({"type": "response.reasoning_summary_text.delta", "delta": text, **place})
    out += translator.event({"type": "response.reasoning_text.delta", "item_id": "rs_1", "delta": "c"})
    out += translator.event({"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "delta": "d"})
    out += translator.event({"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "summary_index": 3})
    out += translator.event({"type": "response.refusal.delta", "delta": "no"})
    chunks = read_chunks(out)
    assert deltas(chunks, "reasoning_content") == ["a", "\n\n", "b", "c"] and deltas(chunks, "refusal") == ["no"]


def test_whole_arguments_without_deltas_and_an_end_without_a_beginning_are_taken() -> None:
    translator = PAIR.stream(asked(**USAGE))
    item: JsonObject = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f"}
    out = translator.event({"type": "response.created", "response": {}})
    out += translator.event({"type": "response.output_item.added", "item": item})
    out += translator.event({"type": "response.function_call_arguments.done", "item_id": "fc_1", "arguments": "{}"})
    assert b'"arguments":"{}"' in out
    fresh = PAIR.stream(asked(**USAGE))
    end: JsonObject = {
        "id": "resp_9",
        "model": "m",
        "created_at": 2,
        "headrace": {"cost": 1},
        "usage": {"input_tokens": 1},
    }
    assert read_chunks(fresh.event({"type": "response.completed", "response": end}).split(b"data: {", 1)[0]) == []
    assert b"chatcmpl-9" in PAIR.stream(asked()).event({"type": "response.completed", "response": end})


NOT_SHOWN: list[JsonObject] = [
    {"type": "response.output_item.added", "item": {"type": "web_search_call"}},
    {"type": "response.function_call_arguments.delta", "item_id": "fc_9", "delta": "x"},
]


@pytest.mark.parametrize(
    "event",
    NOT_SHOWN,
)
def test_what_chat_cannot_show_is_a_failure(event: JsonObject) -> None:
    with pytest.raises(UpstreamProtocol):
        PAIR.stream(asked(stream=True)).event(event)


def test_logprobs_become_chats() -> None:
    token: JsonObject = {"token": "He", "logprob": -0.5, "top_logprobs": [{"token": "A", "logprob": -1.0}]}
    translator = PAIR.stream(asked(stream=True))
    translator.event({"type": "response.created", "response": {"id": "resp_1", "created_at": 1, "model": "m"}})
    out = translator.event({"type": "response.output_text.delta", "delta": "He", "logprobs": [token]})
    [chunk] = read_chunks(out)
    [shown] = chunk["choices"][0]["logprobs"]["content"]
    assert shown["bytes"] == [72, 101] and shown["top_logprobs"][0]["bytes"] == [65]
    assert sent(logprobs=True, top_logprobs=3)["top_logprobs"] == 3
    assert sent(logprobs=True)["include"] == ["message.output_text.logprobs"]


@pytest.mark.parametrize(
    ("chat", "finish"),
    [
        (Chat("one two", prompt_tokens=3), "stop"),
        (Chat("", tool_calls=CALLS), "tool_calls"),
        (Chat("yes", reasoning="hm"), "stop"),
        (Chat("one", finish_reason="length"), "length"),
        (Chat("one", finish_reason="content_filter"), "content_filter"),
    ],
)
def test_a_whole_response_becomes_a_completion_of_the_sdks_type(chat: Chat, finish: str) -> None:
    whole = PAIR.reply(msgspec.json.decode(response_reply(chat).body), asked())
    completion = ChatCompletion.model_validate(whole, strict=True)
    [choice] = completion.choices
    assert choice.finish_reason == finish and (choice.message.content or "") == ("" if chat.tool_calls else chat.text)
    assert [call.id for call in choice.message.tool_calls or ()] == [call.id for call in chat.tool_calls]
    assert getattr(choice.message, "reasoning_content", "") == chat.reasoning
    assert completion.usage is not None and completion.usage.completion_tokens == chat.completion_tokens


def test_a_whole_response_with_refusal_summary_logprobs_and_tier_keeps_them() -> None:
    part: JsonObject = {"type": "output_text", "text": "He", "logprobs": [{"token": "He", "logprob": -1.0}]}
    body: JsonObject = {
        "output": [
            {"type": "reasoning", "summary": [{"text": "a"}, {"text": "b"}]},
            {"type": "message", "content": [part, {"type": "refusal", "refusal": "no"}]},
        ],
        "service_tier": "flex",
        "model": "m",
    }
    whole: Any = PAIR.reply(body, asked())
    message = ChatCompletion.model_validate(whole, strict=True).choices[0].message
    assert message.refusal == "no" and whole["choices"][0]["message"]["reasoning_content"] == "a\n\nb"
    assert whole["choices"][0]["logprobs"]["content"][0]["bytes"] == [72, 101]
    assert whole["service_tier"] == "flex" and "usage" not in whole
    with pytest.raises(UpstreamProtocol):
        PAIR.reply({"output": [{"type": "web_search_call"}]}, asked())


def test_what_is_malformed_in_a_response_is_passed_over() -> None:
    part: JsonObject = {"type": "output_text", "text": "ok", "logprobs": ["x"]}
    whole: Any = PAIR.reply({"output": ["x", {"type": "message", "content": ["x", part]}]}, asked())
    [choice] = whole["choices"]
    assert choice["message"]["content"] == "ok" and choice["logprobs"]["content"] == ["x"]


def test_tools_alone_carry_neither_choice_nor_parallelism() -> None:
    assert sent(tools=[{"type": "function", "function": FUNCTION}]).keys() == {"model", "input", "tools"}
