"""Chat to Messages: every field of the public schema has one fate, and each fate is what the table says."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import read_translated_envelope
from headrace.wire.chat_to_messages import FATES, NEUTRAL, ChatToMessages
from headrace.wire.dialect_fields import Fate
from headrace.wire.json_strict import decode_object
from headrace.wire.messages_to_chat import MessagesToChat
from headrace.wire.openai_chat import read_envelope

NOW = 1_764_000_000
PAIR = ChatToMessages(lambda: NOW)
BACK = MessagesToChat()
# Fields of Messages that chat clients send beside chat's own.
ADDED = {"thinking", "top_k", "cache_control"}
SCHEMA: JsonObject = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL: JsonObject = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
LEAST: JsonObject = {"model": "one", "messages": [{"role": "user", "content": "Hi"}], "tools": [TOOL]}
SAMPLES: dict[str, Any] = {
    "model": "one",
    "messages": [{"role": "user", "content": "Ho"}],
    "max_tokens": 5,
    "max_completion_tokens": 5,
    "stream": True,
    "stream_options": {"include_usage": True},
    "stop": "END",
    "temperature": 0.5,
    "top_p": 0.9,
    "tools": [TOOL, TOOL],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    "reasoning_effort": "high",
    "user": "u1",
    "safety_identifier": "u2",
    "service_tier": "default",
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "top_k": 5,
    "cache_control": {"type": "ephemeral"},
    "audio": {"voice": "v", "format": "mp3"},
    "function_call": "auto",
    "functions": [{"name": "f"}],
    "logit_bias": {"1": 5},
    "logprobs": True,
    "modalities": ["text", "audio"],
    "moderation": {"model": "m"},
    "n": 2,
    "top_logprobs": 3,
    "web_search_options": {"search_context_size": "low"},
    "frequency_penalty": 1,
    "metadata": {"a": "b"},
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": 1,
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "seed": 7,
    "store": True,
    "verbosity": "low",
}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 1.5}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"response_format": {"type": "json_schema"}}, "response_format"),
    ({"reasoning_effort": "huge"}, "reasoning_effort"),
    ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
    ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
    ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
    ({"messages": [1]}, "messages[0]"),
    ({"messages": [{"role": "system", "content": "Be brief."}]}, "messages"),
    ({"messages": [{"role": "function", "content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom"}]}]}, "messages[0].tool_calls[0]"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
        "messages[0].tool_calls[0].function.arguments",
    ),
    ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
    (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
        "messages[0].content[0].file",
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}}],
                }
            ]
        },
        "messages[0].content[0].file.file_data",
    ),
    (
        {
            "messages": [
                {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://example.com"}}]}
            ]
        },
        "messages[0].content",
    ),
]


def asked(**fields: Any) -> JsonObject:
    return {**LEAST, **fields}


def sent(*messages: Any) -> JsonObject:
    return PAIR.request(asked(messages=list(messages))).body


def refused(body: JsonObject) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        PAIR.request(body)
    return caught.value


def test_every_field_of_the_public_schema_has_one_fate() -> None:
    public = {*CompletionCreateParamsBase.__annotations__, "stream"}
    assert public | ADDED == set(FATES) == set(SAMPLES)
    assert set(NEUTRAL) <= {name for name, fate in FATES.items() if fate is not Fate.TRANSLATED}


@pytest.mark.parametrize("name", sorted(FATES))
def test_each_field_meets_its_fate(name: str) -> None:
    body = asked(**{name: SAMPLES[name]})
    match FATES[name]:
        case Fate.REFUSED:
            assert (refused(body).param, refused(body).code) == (name, "unsupported_field")
        case Fate.DROPPED:
            translated = PAIR.request(body)
            assert translated.dropped == (name,)
            assert translated.body == PAIR.request(LEAST).body
        case Fate.TRANSLATED if name == "stream_options":
            assert PAIR.request(body).dropped == ()
        case Fate.TRANSLATED if name == "model":
            assert PAIR.request(body).body["model"] == SAMPLES[name]
        case Fate.TRANSLATED:
            translated = PAIR.request(body)
            assert translated.dropped == ()
            assert translated.body != PAIR.request(LEAST).body


@pytest.mark.parametrize("name", sorted(FATES))
def test_null_and_neutral_values_ask_for_nothing(name: str) -> None:
    if name in LEAST:
        return
    values: list[JsonValue] = [None, *([NEUTRAL[name]] if name in NEUTRAL else [])]
    for value in values:
        translated = PAIR.request(asked(**{name: value}))
        assert (translated.dropped, translated.body) == ((), PAIR.request(LEAST).body)


def test_an_unknown_field_is_dropped_and_named() -> None:
    assert PAIR.request(asked(min_p=0.1)).dropped == ("min_p",)


def test_a_request_without_a_cap_has_none_for_the_adapter_to_fill_in() -> None:
    assert read_translated_envelope(PAIR.request(LEAST).body, 10).output_cap is None
    assert read_translated_envelope(PAIR.request(asked(max_completion_tokens=9)).body, 10).output_cap == 9


def test_what_comes_out_needs_what_came_in_needs() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    pdf = {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ=="}}
    body = asked(
        messages=[{"role": "user", "content": [image, pdf]}],
        tool_choice="required",
        response_format=SAMPLES["response_format"],
    )
    assert read_translated_envelope(PAIR.request(body).body, 10).needs == read_envelope(body, 10).needs


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        ("auto", True, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"type": "function", "function": {"name": "f"}}, None, {"type": "tool", "name": "f"}),
    ],
)
def test_tool_choices(choice: Any, parallel: bool | None, expected: JsonValue) -> None:
    body = PAIR.request(asked(tool_choice=choice, parallel_tool_calls=parallel)).body
    assert body.get("tool_choice") == expected


def test_without_tools_there_is_no_choice_of_them() -> None:
    body = PAIR.request(asked(tools=[], tool_choice="auto", parallel_tool_calls=False)).body
    assert "tool_choice" not in body and "tools" not in body


def test_efforts() -> None:
    assert PAIR.request(asked(reasoning_effort="none")).body["thinking"] == {"type": "disabled"}
    minimal = PAIR.request(asked(reasoning_effort="minimal")).body
    assert (minimal["output_config"], minimal["thinking"]) == ({"effort": "low"}, {"type": "adaptive"})
    given = PAIR.request(asked(reasoning_effort="low", thinking={"type": "enabled", "budget_tokens": 1024})).body
    assert given["thinking"] == {"type": "enabled", "budget_tokens": 1024}


def test_formats_tiers_and_descriptions() -> None:
    assert "output_config" not in PAIR.request(asked(response_format={"type": "text"})).body
    described = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": SCHEMA}}
    translated = PAIR.request(asked(response_format=described))
    assert translated.body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert translated.dropped == ("response_format.json_schema.description",)
    assert PAIR.request(asked(service_tier="flex")).dropped == ("service_tier",)
    cached = {"type": "function", "function": {"name": "f", "x": 1}, "cache_control": {"type": "ephemeral"}}
    tools = PAIR.request(asked(tools=[cached]))
    schema = {"type": "object", "properties": dict[str, Any]()}
    assert tools.body["tools"] == [{"name": "f", "input_schema": schema, "cache_control": {"type": "ephemeral"}}]
    assert tools.dropped == ("tools.function.x",)


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_cannot_be_expressed_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert refused(asked(**fields)).param == param


def test_turns_are_merged_and_tool_results_come_first() -> None:
    function = {"name": "f", "arguments": ""}
    calls = [{"id": name, "type": "function", "function": function} for name in ("c1", "c2")]
    body = sent(
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "Always.", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "refusal": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "r1"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "r2"}]},
        {"role": "user", "content": [{"type": "text", "text": "c"}]},
        {"role": "system", "content": "Now in French."},
    )
    assert body["system"] == [
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "Always.", "cache_control": {"type": "ephemeral"}},
    ]
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "b"},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "c2", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "r1"},
                {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "r2"}]},
                {"type": "text", "text": "c"},
            ],
        },
        {"role": "system", "content": [{"type": "text", "text": "Now in French."}]},
    ]


def test_a_result_of_no_call_is_refused() -> None:
    error = refused(asked(messages=[{"role": "tool", "tool_call_id": "c9", "content": "a"}]))
    assert (error.code, error.param) == ("orphan_tool_result", "messages[0].tool_call_id")


def test_images_and_files() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ==", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "auto"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}},
        {"type": "file", "file": {"file_data": "data:text/csv;charset=utf-8;base64,YSxi"}},
    ]
    translated = PAIR.request(asked(messages=[{"role": "user", "content": parts, "name": "ada"}]))
    assert translated.body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
                    "title": "a.pdf",
                },
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}},
            ],
        }
    ]
    assert set(translated.dropped) == {"image_url.detail", "messages.name"}


def test_only_signed_reasoning_goes_back() -> None:
    signed = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    answer = {"role": "assistant", "content": "b", "reasoning_content": "Hm."}
    unsigned = PAIR.request(
        asked(messages=[{"role": "user", "content": "a"}, answer, {"role": "user", "content": "c"}])
    )
    assert unsigned.dropped == ("messages.reasoning_content",)
    body = sent({**answer, "thinking_blocks": [signed, {**signed, "signature": ""}]}, {"role": "user", "content": "c"})
    turns: Any = body["messages"]
    assert turns[0]["content"] == [signed, {"type": "text", "text": "b"}]


def test_a_round_trip_keeps_thinking_and_its_seals() -> None:
    blocks: list[JsonValue] = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "xx"},
        {"type": "text", "text": "Yes."},
    ]
    message: JsonObject = {"id": "msg_1", "model": "one", "content": blocks, "stop_reason": "end_turn", "usage": {}}
    chat: Any = PAIR.reply(message, LEAST)
    assert BACK.reply(chat, LEAST)["content"] == blocks
    turns: Any = sent({"role": "user", "content": "a"}, chat["choices"][0]["message"], {"role": "user", "content": "b"})
    assert turns["messages"][1]["content"] == blocks


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("odd", "stop"),
        (None, "stop"),
    ],
)
def test_stop_reasons(reason: str | None, finish: str) -> None:
    reply: Any = PAIR.reply({"content": [], "stop_reason": reason}, LEAST)
    assert reply["choices"][0]["finish_reason"] == finish
    assert reply["created"] == NOW


def test_usage_counts_what_the_cache_held_as_prompt() -> None:
    usage: JsonObject = {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
        "estimated": True,
    }
    reply = PAIR.reply({"content": "odd", "usage": usage}, LEAST)
    assert reply["usage"] == {
        "prompt_tokens": 125,
        "completion_tokens": 9,
        "total_tokens": 134,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 4},
        "estimated": True,
    }


def chunks_of(*events: Any, request: JsonObject | None = None) -> list[dict[str, Any]]:
    translator = PAIR.stream(request or asked(stream_options={"include_usage": True}))
    out = b"".join(translator.event(event) for event in events) + translator.finish()
    frames = out.decode().strip().split("\n\n")
    assert frames.pop() == "data: [DONE]"
    return [decode_object(frame.removeprefix("data: ").encode()) for frame in frames]


def block(start: Any, *deltas: Any) -> list[Any]:
    return [
        {"type": "content_block_start", "index": 0, "content_block": start},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
    ]


def deltas_of(*events: Any) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks_of(*events) for choice in chunk["choices"] if choice["delta"]]


def test_input_that_came_whole_or_not_at_all_is_streamed_too() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
    late = [delta["tool_calls"][0]["function"]["arguments"] for delta in deltas_of(*block(use))]
    assert late == ["", '{"a":1}']
    empty = [delta["tool_calls"][0] for delta in deltas_of(*block({**use, "input": {}}))]
    assert empty[1] == {"index": 0, "function": {"arguments": "{}"}}


def test_blocks_that_begin_with_content_and_events_of_no_meaning() -> None:
    found = deltas_of(
        *block({"type": "text", "text": "a"}),
        *block({"type": "thinking", "thinking": "b", "signature": "c2ln"}),
        *block({"type": "redacted_thinking", "data": "xx"}),
        *block({"type": "server_tool_use"}, {"type": "input_json_delta", "partial_json": "{}"}, {"type": "odd"}, None),
        {"type": "message_start", "message": None},
        {"type": "ping"},
    )
    assert found == [
        {"content": "a"},
        {"reasoning_content": "b"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "b", "signature": "c2ln"}]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "xx"}]},
    ]


def test_usage_is_shown_to_those_who_asked() -> None:
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": "max_tokens"},
        "usage": {"output_tokens": 9},
        "headrace": {"cost_nano_usd": 5},
    }
    start = {
        "type": "message_start",
        "message": {"id": "msg_1", "model": "one", "usage": {"input_tokens": 4, "output_tokens": 1}},
    }
    shown = chunks_of(start, end)
    assert [each["id"] for each in shown] == ["msg_1"] * 3
    assert shown[-1]["usage"]["total_tokens"] == 13 and shown[-1]["headrace"] == {"cost_nano_usd": 5}
    assert shown[-2]["choices"][0]["finish_reason"] == "length" and "usage" not in shown[-2]
    assert len(chunks_of(start, end, request=LEAST)) == 2


def test_turns_without_content_and_refusals_of_earlier_turns() -> None:
    body = sent(
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "user", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": ""}]},
        {"role": "assistant", "content": "b", "annotations": []},
    )
    turn = [{"type": "text", "text": "No."}, {"type": "text", "text": "b"}]
    assert body["messages"] == [{"role": "assistant", "content": turn}]


def test_a_delta_of_the_message_without_a_reason_changes_nothing() -> None:
    [last] = chunks_of({"type": "message_delta", "delta": None}, request=LEAST)
    assert last["choices"][0]["finish_reason"] == "stop"
