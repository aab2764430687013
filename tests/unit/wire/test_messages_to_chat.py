"""Messages to chat: every field of the public schema has one fate, and each fate is what the table says."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types.beta import message_create_params as beta
from anthropic.types.message_create_params import MessageCreateParamsBase

from headrace.domain.errors import InvalidRequest, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import read_envelope
from headrace.wire.dialect_fields import Fate
from headrace.wire.json_strict import decode_object
from headrace.wire.messages_request import FATES, NEUTRAL
from headrace.wire.messages_to_chat import MessagesToChat
from headrace.wire.openai_chat import read_envelope as read_chat_envelope

PAIR = MessagesToChat()
# Temperature and top_p are taken by models older than the schema; output_format is output_config.format's first name.
OLDER = {"temperature", "top_p", "top_k", "output_format"}
# `betas` is a header, which the SDK takes as an argument.
HEADERS = {"betas"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
SAMPLES: dict[str, Any] = {
    "model": "one",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "Hi"}],
    "system": "Be brief.",
    "stream": True,
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "top_p": 0.9,
    "tools": [{"name": "f", "input_schema": SCHEMA}],
    "tool_choice": {"type": "any"},
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "output_config": {"effort": "high"},
    "output_format": {"type": "json_schema", "schema": SCHEMA},
    "metadata": {"user_id": "u1"},
    "service_tier": "standard_only",
    "container": "container_1",
    "inference_geo": "eu",
    "mcp_servers": [{"type": "url", "url": "https://example.com", "name": "x"}],
    "thread": {"id": "thread_1"},
    "billing_policy": {"type": "x"},
    "cache_control": {"type": "ephemeral"},
    "compaction": {"type": "x"},
    "context_management": {"edits": [{"type": "x"}]},
    "diagnostics": {"previous_message_id": "msg_1"},
    "fallback_credit_token": "t",
    "fallbacks": ["two"],
    "speed": "fast",
    "top_k": 5,
    "user_profile_id": "p1",
    "workspace_id": "w1",
}
LEAST: JsonObject = {"model": "one", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}


def asked(**fields: Any) -> JsonObject:
    return {**LEAST, **fields}


def turns(*messages: Any) -> list[Any]:
    sent: Any = PAIR.request(asked(messages=list(messages))).body["messages"]
    return sent


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def refused(body: JsonObject) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        PAIR.request(body)
    return caught.value


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
            translated = PAIR.request(body)
            assert translated.dropped == (name,)
            assert translated.body == PAIR.request(bare).body
        case Fate.TRANSLATED if name not in LEAST:
            translated = PAIR.request(body)
            assert translated.dropped == ()
            assert translated.body != PAIR.request(bare).body
        case Fate.TRANSLATED:
            assert PAIR.request(body).body[name] == SAMPLES[name]


@pytest.mark.parametrize("name", sorted(FATES))
def test_null_and_neutral_values_ask_for_nothing(name: str) -> None:
    if name in ("model", "messages", "max_tokens"):
        return
    values: list[JsonValue] = [None, *([NEUTRAL[name]] if name in NEUTRAL else [])]
    for value in values:
        translated = PAIR.request(asked(**{name: value}))
        assert (translated.dropped, translated.body) == ((), PAIR.request(LEAST).body)


def test_an_unknown_field_is_dropped_and_named() -> None:
    assert PAIR.request(asked(vendor=1)).dropped == ("vendor",)


def test_a_stream_asks_for_its_usage() -> None:
    body = PAIR.request(asked(stream=True)).body
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert read_chat_envelope(body, 10).include_usage


def test_what_comes_out_needs_what_came_in_needs() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="}}
    body = asked(
        messages=[user(image, pdf)],
        tools=SAMPLES["tools"],
        tool_choice={"type": "any"},
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )
    assert read_chat_envelope(PAIR.request(body).body, 10).needs == read_envelope(body, 10).needs


@pytest.mark.parametrize(
    ("thinking", "effort", "expected"),
    [
        ({"type": "enabled", "budget_tokens": 4096}, None, "low"),
        ({"type": "enabled", "budget_tokens": 4097}, None, "medium"),
        ({"type": "enabled", "budget_tokens": 16385}, None, "high"),
        ({"type": "enabled", "budget_tokens": 99}, "max", "xhigh"),
        ({"type": "adaptive"}, None, None),
        ({"type": "adaptive"}, "low", "low"),
    ],
)
def test_thinking_becomes_effort(thinking: Any, effort: str | None, expected: str | None) -> None:
    translated = PAIR.request(asked(thinking=thinking, output_config={"effort": effort}))
    assert translated.body.get("reasoning_effort") == expected
    assert translated.dropped == ()


def test_the_wish_not_to_think_is_named() -> None:
    assert PAIR.request(asked(thinking={"type": "disabled"})).dropped == ("thinking",)
    shown = PAIR.request(asked(thinking={"type": "adaptive", "display": "omitted"}, output_config={"task": 1}))
    assert set(shown.dropped) == {"thinking.display", "output_config.task"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tool_choices(choice: Any, expected: JsonValue) -> None:
    body = PAIR.request(asked(tools=SAMPLES["tools"], tool_choice=choice)).body
    assert body["tool_choice"] == expected
    assert "parallel_tool_calls" not in body
    alone = PAIR.request(asked(tools=SAMPLES["tools"], tool_choice={**choice, "disable_parallel_tool_use": True})).body
    assert alone["parallel_tool_calls"] is False


def test_a_tools_extras_are_named_and_tools_that_a_provider_runs_are_refused() -> None:
    tool = {"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True}
    extras: dict[str, Any] = {"cache_control": {"type": "ephemeral"}, "input_examples": [{}], "defer_loading": False}
    translated = PAIR.request(asked(tools=[{**tool, **extras}]))
    function = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
    assert translated.body["tools"] == [{"type": "function", "function": function}]
    assert set(translated.dropped) == {"tools.cache_control", "tools.input_examples"}
    assert refused(asked(tools=[{"type": "web_search_20260318", "name": "web_search"}])).param == "tools[0].type"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": {"type": "some"}}, "tool_choice"),
        ({"tools": [{"input_schema": SCHEMA}]}, "tools[0]"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": 1}, "output_config"),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format"),
        ({"output_format": {"type": "json_schema"}}, "output_format"),
        (
            {"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
            "messages[0].content[0].source",
        ),
        ({"messages": [user({"type": "document", "source": {"type": "url"}})]}, "messages[0].content[0].source"),
        ({"messages": [user({"type": "container_upload", "file_id": "f"})]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["a"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0]"),
        ({"messages": [user(), {"role": "assistant", "content": "The answer is"}]}, "messages[1]"),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}, user()]},
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use"}]}, user()]},
            "messages[0].content[0].input",
        ),
        ({"system": [{"type": "image"}]}, "system[0]"),
        ({"system": 1}, "system"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert refused(asked(**fields)).param == param


def test_results_of_tools_come_first_and_their_pictures_follow() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}}
    result = {
        "type": "tool_result",
        "tool_use_id": "t1",
        "is_error": True,
        "content": [{"type": "text", "text": "a"}, picture],
    }
    empty = {"type": "tool_result", "tool_use_id": "t2", "is_error": False}
    uses = [{"type": "tool_use", "id": name, "name": "f", "input": {"a": 1}} for name in ("t1", "t2")]
    called = {"role": "assistant", "content": uses}
    translated = PAIR.request(asked(messages=[called, user(result, empty, {"type": "text", "text": "Look."})]))
    sent: Any = translated.body["messages"]
    assert sent[1:] == [
        {"role": "tool", "tool_call_id": "t1", "content": "a"},
        {"role": "tool", "tool_call_id": "t2", "content": ""},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
                {"type": "text", "text": "Look."},
            ],
        },
    ]
    assert translated.dropped == ("tool_result.is_error",)


def test_a_turn_of_results_alone_makes_no_message_of_the_user() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "a"}
    assert [each["role"] for each in turns({"role": "assistant", "content": [use]}, user(result))] == [
        "assistant",
        "tool",
    ]


def test_a_result_of_no_call_is_refused() -> None:
    error = refused(asked(messages=[user({"type": "tool_result", "tool_use_id": "t9", "content": "a"})]))
    assert (error.code, error.param) == ("orphan_tool_result", "messages[0].content[0].tool_use_id")


def test_documents_and_search_results_become_files_and_text() -> None:
    pdf = {
        "type": "document",
        "title": "T",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
    }
    plain = {"type": "document", "context": "C", "source": {"type": "text", "media_type": "text/plain", "data": "body"}}
    nested = {"type": "document", "title": "N", "source": {"type": "content", "content": "inner"}}
    found = {
        "type": "search_result",
        "title": "S",
        "source": "https://example.com",
        "content": [{"type": "text", "text": "x"}],
    }
    [sent] = turns(user(pdf, plain, nested, found))
    assert sent["content"] == [
        {"type": "file", "file": {"filename": "T", "file_data": "data:application/pdf;base64,QQ=="}},
        {"type": "text", "text": "C\nbody"},
        {"type": "text", "text": "N"},
        {"type": "text", "text": "inner"},
        {"type": "text", "text": "S\nhttps://example.com"},
        {"type": "text", "text": "x"},
    ]


def test_thinking_goes_along_with_its_seal() -> None:
    signed = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    sealed = {"type": "redacted_thinking", "data": "xx"}
    said = {"type": "text", "text": "Yes."}
    sent = turns({"role": "assistant", "content": [signed, sealed, said]}, user({"type": "text", "text": "So?"}))
    assert sent[0] == {
        "role": "assistant",
        "content": "Yes.",
        "reasoning_content": "Hm.",
        "thinking_blocks": [signed, sealed],
    }
    bare = turns(
        {"role": "assistant", "content": [{**signed, "signature": ""}, said]}, user({"type": "text", "text": "?"})
    )
    assert "thinking_blocks" not in bare[0]


def test_a_system_turn_stays_in_its_place() -> None:
    assert turns(user({"type": "text", "text": "a"}), {"role": "system", "content": "Now in French."}) == [
        {"role": "user", "content": "a"},
        {"role": "system", "content": "Now in French."},
    ]


def reply_of(message: Any, finish: str = "stop", request: JsonObject | None = None, **more: Any) -> JsonObject:
    choice = {"index": 0, "message": message, "finish_reason": finish, **more}
    body: JsonObject = {
        "id": "chatcmpl-1",
        "model": "one",
        "choices": [choice],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    return PAIR.reply(body, request or LEAST)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("odd", "end_turn"),
    ],
)
def test_stop_reasons(finish: str, reason: str) -> None:
    reply = reply_of({"content": "a"}, finish)
    assert (reply["stop_reason"], reply["stop_sequence"]) == (reason, None)


def test_a_stop_sequence_that_the_upstream_names_is_told() -> None:
    reply = reply_of({"content": "a"}, "stop", asked(stop_sequences=["END"]), stop_reason="END")
    assert (reply["stop_reason"], reply["stop_sequence"]) == ("stop_sequence", "END")
    assert reply_of({"content": "a"}, "stop", asked(), stop_reason="END")["stop_reason"] == "end_turn"


def test_tools_and_refusals_decide_the_stop_reason_where_chat_says_stop() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    reply = reply_of({"content": None, "tool_calls": [call]})
    assert reply["stop_reason"] == "tool_use"
    assert reply["content"] == [{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}]
    refusal = reply_of({"content": None, "refusal": "No."})
    assert (refusal["stop_reason"], refusal["content"]) == ("refusal", [{"type": "text", "text": "No."}])


def test_arguments_that_are_no_object_are_the_upstreams_fault_unless_the_answer_was_cut() -> None:
    call = {"id": "c1", "function": {"name": "f", "arguments": '{"a":'}}
    with pytest.raises(UpstreamProtocol):
        reply_of({"tool_calls": [call]}, "tool_calls")
    with pytest.raises(UpstreamProtocol):
        reply_of({"tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "[1]"}}]}, "tool_calls")
    use: dict[str, Any] = {"type": "tool_use", "id": "c1", "name": "f", "input": {}, "partial_json": '{"a":'}
    assert reply_of({"tool_calls": [call]}, "length")["content"] == [use]


def test_reasoning_usage_and_missing_parts() -> None:
    reply = reply_of({"content": "a", "reasoning": "Hm."})
    assert reply["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "a"},
    ]
    sealed = [{"type": "redacted_thinking", "data": "xx"}]
    assert reply_of({"content": "", "thinking_blocks": sealed})["content"] == sealed
    bare = PAIR.reply({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0, "estimated": True}}, LEAST)
    assert (bare["id"], bare["content"], bare["stop_reason"]) == ("msg_", [], "end_turn")
    usage: Any = bare["usage"]
    assert usage == {
        "input_tokens": 1,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
        "estimated": True,
    }


def events_of(*chunks: Any) -> list[dict[str, Any]]:
    translator = PAIR.stream(LEAST)
    out = b"".join(translator.event(chunk) for chunk in chunks) + translator.finish()
    found: list[dict[str, Any]] = []
    for frame in out.decode().strip().split("\n\n"):
        name, _, data = frame.partition("\ndata: ")
        event: Any = decode_object(data.encode())
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def chunk(delta: Any, finish: str | None = None) -> dict[str, Any]:
    return {"id": "c1", "model": "one", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def tool_delta(index: int | None, arguments: str, **more: Any) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    name = {"name": more.pop("name")} if "name" in more else {}
    return chunk({"tool_calls": [{**place, **more, "function": {**name, "arguments": arguments}}]})


def blocks_of(events: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """Each block as it started, with its deltas joined; every block is closed before the next begins."""
    blocks: list[tuple[dict[str, Any], str]] = []
    is_open = False
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert not is_open and event["index"] == len(blocks)
                is_open = True
                blocks.append((event["content_block"], ""))
            case "content_block_delta":
                assert is_open and event["index"] == len(blocks) - 1
                piece = next(value for name, value in event["delta"].items() if name != "type")
                blocks[-1] = (blocks[-1][0], blocks[-1][1] + piece)
            case "content_block_stop":
                assert is_open and event["index"] == len(blocks) - 1
                is_open = False
            case _:
                assert not is_open
    return blocks


def test_parallel_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    events = events_of(
        tool_delta(None, '{"a":1}', id="x", name="f"), tool_delta(None, "{}", id="y", name="g"), chunk({}, "tool_calls")
    )
    assert [(block["id"], block["name"], text) for block, text in blocks_of(events)] == [
        ("x", "f", '{"a":1}'),
        ("y", "g", "{}"),
    ]


def test_arguments_wait_for_the_name_and_an_id_is_made_where_there_is_none() -> None:
    events = events_of(tool_delta(0, '{"a'), tool_delta(0, '":1', name="f"), tool_delta(0, "}"), chunk({}, "stop"))
    assert blocks_of(events) == [({"type": "tool_use", "id": "toolu_0", "name": "f", "input": {}}, '{"a":1}')]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_going_back_to_a_call_is_the_upstreams_fault() -> None:
    with pytest.raises(UpstreamProtocol):
        events_of(tool_delta(0, "{", id="x", name="f"), tool_delta(1, "{", id="y", name="g"), tool_delta(0, "}"))


def test_sealed_thinking_is_closed_by_its_signature() -> None:
    signed = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    events = events_of(
        chunk({"reasoning_content": "Hm."}),
        chunk({"thinking_blocks": [signed]}),
        chunk({"thinking_blocks": [{"type": "redacted_thinking", "data": "xx"}, "odd", {**signed, "signature": ""}]}),
        chunk({"content": "a"}),
        chunk({}, "stop"),
    )
    assert [(block["type"], text) for block, text in blocks_of(events)] == [
        ("thinking", "Hm.c2ln"),
        ("redacted_thinking", ""),
        ("text", "a"),
    ]


def test_a_refusal_in_a_stream_is_text_with_its_own_reason() -> None:
    events = events_of(chunk({"refusal": "No."}), chunk({}, "stop"))
    assert blocks_of(events) == [({"type": "text", "text": ""}, "No.")]
    assert events[-2]["delta"]["stop_reason"] == "refusal"


def test_a_stream_without_anything_is_a_whole_message() -> None:
    assert [event["type"] for event in events_of()] == ["message_start", "message_delta", "message_stop"]


def test_parts_of_no_form_are_passed_over() -> None:
    assert reply_of({"content": "a", "tool_calls": ["odd"]})["content"] == [{"type": "text", "text": "a"}]
    events = events_of(chunk({"content": "a", "tool_calls": ["odd", {"index": 0, "id": "x"}]}), chunk({}, "stop"))
    assert [text for _, text in blocks_of(events)] == ["a"]
    translated = PAIR.request(asked(system=[], metadata={"team": "x"}))
    assert translated.body == PAIR.request(LEAST).body and translated.dropped == ("metadata.team",)


def test_a_message_that_is_no_object_never_passes() -> None:
    with pytest.raises(InvalidRequest):
        PAIR.request(asked(messages=["odd"]))
