from __future__ import annotations

import pytest
from openai.types.responses.response_create_params import ResponseCreateParamsBase, ResponseCreateParamsStreaming

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.dialect_fields import Fate
from headrace.wire.responses_to_chat import FATES, NEUTRAL, SAME_NAME, ResponsesToChat
from tests.unit.wire.typed_events import read_events, read_response, types_of

PAIR = ResponsesToChat()
WEATHER: JsonObject = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": True}
KNOWN = frozenset({*ResponseCreateParamsBase.__annotations__, *ResponseCreateParamsStreaming.__annotations__})
# Fields of the published Open Responses schema that the SDK's types do not have.
OPEN_RESPONSES = frozenset({"frequency_penalty", "presence_penalty"})


def asked(**fields: JsonValue) -> JsonObject:
    return {"model": "one", "input": "Hi", **fields}


def sent(**fields: JsonValue) -> JsonObject:
    return PAIR.request(asked(**fields)).body


def chunk(delta: JsonObject, **more: JsonValue) -> JsonObject:
    choice: JsonObject = {"index": 0, "delta": delta, "finish_reason": None, **more}
    return {"id": "chatcmpl-abc", "created": 17, "model": "one", "choices": [choice]}


def streamed(*chunks: JsonObject, request: JsonObject | None = None) -> bytes:
    translator = PAIR.stream(request or asked(stream=True))
    return b"".join([*map(translator.event, chunks), translator.finish()])


def call_delta(index: int, name: str | None, arguments: str, call_id: str | None = None) -> JsonObject:
    function: JsonObject = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    call: JsonObject = {"index": index, "function": function}
    return {"tool_calls": [call if call_id is None else {**call, "id": call_id, "type": "function"}]}


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
            if name in SAME_NAME:
                assert sent(**{name: odd})[name] == odd


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_a_field_that_asks_for_nothing_is_not_named(name: str) -> None:
    assert PAIR.request(asked(**{name: NEUTRAL[name]})).dropped == ()


def test_an_unknown_field_is_dropped_and_named() -> None:
    assert PAIR.request(asked(vendor_thing=1)).dropped == ("vendor_thing",)


def test_what_has_no_place_in_chat_is_named_with_its_parent() -> None:
    translated = PAIR.request(
        asked(
            reasoning={"effort": "low", "summary": "auto", "mode": None},
            include=["reasoning.encrypted_content", "message.output_text.logprobs"],
            stream=True,
            stream_options={"include_obfuscation": False},
            text={"verbosity": "low", "tone": "dry"},
            tools=[{**WEATHER, "output_schema": {}}],
            input=[
                {"type": "reasoning", "summary": [], "encrypted_content": "sealed"},
                {"role": "user", "content": "x"},
            ],
        )
    )
    assert translated.dropped == (
        "tools.output_schema",
        "text.tone",
        "reasoning.summary",
        "stream_options.include_obfuscation",
        "include.reasoning.encrypted_content",
        "input.encrypted_content",
    )
    assert translated.body["reasoning_effort"] == "low" and translated.body["verbosity"] == "low"
    assert translated.body["logprobs"] is True and "top_logprobs" not in translated.body


REFUSED: list[tuple[JsonObject, str]] = [
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [WEATHER], "tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice"),
    ({"input": [{"type": "function_call_output", "call_id": "gone", "output": "x"}]}, "input[0].call_id"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
    ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user", "content": 1}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, "input[0].content[0].type"),
    ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].content[0].file_id",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]},
        "input[0].content[0].file_url",
    ),
    (
        {
            "input": [
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {
                    "type": "function_call_output",
                    "call_id": "c",
                    "output": [{"type": "input_image", "image_url": "u"}],
                },
            ]
        },
        "input[1].output",
    ),
    ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
]


@pytest.mark.parametrize(
    ("fields", "param"),
    REFUSED,
)
def test_what_chat_cannot_express_is_refused_by_name(fields: JsonObject, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(**fields)
    assert caught.value.param == param


def test_tool_choice_is_sent_only_beside_tools() -> None:
    assert sent(tool_choice="auto", parallel_tool_calls=True).keys() == {"model", "messages"}
    chosen = sent(tools=[WEATHER], tool_choice={"type": "function", "name": "get_weather"}, parallel_tool_calls=False)
    assert chosen["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert chosen["parallel_tool_calls"] is False
    allowed: JsonObject = {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "get_weather"}],
    }
    assert sent(tools=[WEATHER], tool_choice=allowed)["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "get_weather"}}]},
    }


def test_text_is_streamed_as_the_sdks_typed_events() -> None:
    last: JsonObject = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}, "headrace": {"cost": 1}}
    frames = streamed(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "He"}),
        chunk({"content": "y"}, finish_reason="stop"),
        last,
    )
    events = read_events(frames)
    assert types_of(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["logprobs"] for event in events if event["type"].endswith("text.delta")] == [[], []]
    answer = read_response(events[-1]["response"])
    assert answer.output_text == "Hey" and answer.status == "completed" and answer.id == "resp_abc"
    assert answer.usage is not None and answer.usage.total_tokens == 7
    assert events[-1]["response"]["headrace"] == {"cost": 1}
    assert events[0]["response"]["usage"] is None and events[0]["response"]["status"] == "in_progress"


def test_parallel_calls_may_interleave_their_arguments() -> None:
    frames = streamed(
        chunk({"content": "Let me see."}),
        chunk(call_delta(0, "get_weather", '{"city":', "call_a")),
        chunk(call_delta(1, "get_weather", "", "call_b")),
        chunk(call_delta(1, None, '{"city":"Rome"}')),
        chunk(call_delta(0, None, '"Oslo"}'), finish_reason="tool_calls"),
    )
    events = read_events(frames)
    answer = read_response(events[-1]["response"])
    said = [(item.type, getattr(item, "call_id", None), getattr(item, "arguments", None)) for item in answer.output]
    assert said == [
        ("message", None, None),
        ("function_call", "call_a", '{"city":"Oslo"}'),
        ("function_call", "call_b", '{"city":"Rome"}'),
    ]
    assert answer.status == "completed"
    assert types_of(events).count("function_call_arguments.done") == 2


def test_a_call_whose_name_and_id_come_late_or_never_is_begun_with_its_name() -> None:
    events = read_events(
        streamed(chunk(call_delta(0, None, "{")), chunk(call_delta(0, "f", "")), chunk(call_delta(0, None, "}")))
    )
    [call] = read_response(events[-1]["response"]).output
    assert (call.type, getattr(call, "call_id", ""), getattr(call, "arguments", "")) == (
        "function_call",
        "call_abc_0",
        "{}",
    )


def test_reasoning_and_refusals_are_items_and_parts_of_their_own() -> None:
    events = read_events(
        streamed(
            chunk({"reasoning_content": "Hm"}),
            chunk({"reasoning": "m."}),
            chunk({"content": "Well, "}),
            chunk({"refusal": "no."}, finish_reason="content_filter"),
        )
    )
    answer = read_response(events[-1]["response"])
    reasoning, message = events[-1]["response"]["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "Hmm."}] and reasoning["summary"] == []
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert events[-1]["type"] == "response.incomplete" and message["status"] == "incomplete"
    assert answer.incomplete_details is not None and answer.incomplete_details.reason == "content_filter"


def test_logprobs_come_with_their_delta_and_all_together_at_the_end() -> None:
    token: JsonObject = {
        "token": "He",
        "logprob": -0.5,
        "bytes": None,
        "top_logprobs": [{"token": "A", "logprob": -1.0}],
    }
    events = read_events(streamed(chunk({"content": "He"}, logprobs={"content": [token]}, finish_reason="stop")))
    shown = {
        "token": "He",
        "logprob": -0.5,
        "bytes": [72, 101],
        "top_logprobs": [{"token": "A", "logprob": -1.0, "bytes": [65]}],
    }
    assert next(event for event in events if event["type"] == "response.output_text.delta")["logprobs"] == [shown]
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == [shown]


def test_a_whole_completion_becomes_a_response_that_says_back_what_was_asked() -> None:
    message: JsonObject = {
        "role": "assistant",
        "content": "Hey",
        "reasoning_content": "Hm.",
        "tool_calls": [{"id": "call_a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    usage: JsonObject = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    body: JsonObject = {
        "id": "chatcmpl-1",
        "created": 17,
        "model": "one",
        "choices": [{"index": 0, "message": message, "finish_reason": "length"}],
        "usage": usage,
        "service_tier": "flex",
    }
    answer_format: JsonObject = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": None}
    request = asked(
        instructions="Be brief.",
        metadata={"a": "b"},
        tools=[WEATHER],
        tool_choice="required",
        temperature=0.5,
        user="u",
        text={"format": answer_format},
        store=True,
    )
    whole = PAIR.reply(body, request)
    answer = read_response(whole)
    assert [item.type for item in answer.output] == ["reasoning", "message", "function_call"]
    assert answer.status == "incomplete" and answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage is not None and answer.usage.input_tokens_details.cached_tokens == 4
    assert answer.usage.output_tokens_details.reasoning_tokens == 2
    for name in ("instructions", "metadata", "tool_choice", "temperature", "user", "store"):
        assert whole[name] == request[name]
    assert whole["service_tier"] == "flex"
    # The published schema wants all five names of a format and of a tool, and a format's `strict` to be true or false.
    assert whole["text"] == {"format": {**answer_format, "description": None, "strict": False}}
    assert whole["tools"] == [{**WEATHER, "description": None}]


def test_an_estimated_usage_says_so() -> None:
    whole = PAIR.reply(
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "estimated": True}}, asked()
    )
    usage = whole["usage"]
    assert isinstance(usage, dict) and usage["estimated"] is True


def test_what_is_malformed_in_an_upstreams_chunk_is_passed_over() -> None:
    frames = streamed(
        {"id": 7, "created": "soon", "model": None, "choices": ["x", {"index": 0}, {"delta": {"tool_calls": ["x"]}}]},
        {"choices": None},
        chunk({"tool_calls": [{"index": "x", "function": None}]}),
        chunk({"content": "ok"}, logprobs={"content": [{"token": "ok", "logprob": -1.0}]}, finish_reason="stop"),
    )
    events = read_events(frames)
    assert read_response(events[-1]["response"]).output_text == "ok" and events[0]["response"]["id"] == "resp_0"


def test_tools_that_the_pair_refuses_are_still_said_back_as_they_came() -> None:
    whole = PAIR.reply({"choices": []}, asked(tools=[{"type": "web_search"}, "x"], text=None))
    assert whole["tools"] == [{"type": "web_search"}, "x"] and whole["text"] == {"format": {"type": "text"}}


def test_a_plain_text_format_asks_for_nothing() -> None:
    assert sent(text={"format": {"type": "text"}}).keys() == {"model", "messages"}
    assert sent(tools=[WEATHER], tool_choice="auto")["tool_choice"] == "auto"
    assert "tool_choice" not in sent(tools=[WEATHER])


def test_reasoning_after_an_answer_begins_the_next_turn() -> None:
    items: list[JsonValue] = [
        {"role": "assistant", "content": "One."},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "So."}]},
        {"type": "reasoning", "summary": []},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Two."}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Only thought."}]},
    ]
    assert sent(input=items)["messages"] == [
        {"role": "assistant", "content": "One."},
        {"role": "assistant", "reasoning_content": "Hm.\n\nSo.", "content": "Two."},
        {"role": "assistant", "reasoning_content": "Only thought."},
    ]
