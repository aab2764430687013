from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.call import Call, Dialect, Operation
from headrace.domain.catalog import Capability
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.openai_responses import drop_bare_reasoning, input_items, read_envelope, upstream_fields
from tests.fakes.nouns import CALLER

PICTURE: JsonObject = {"type": "input_image", "image_url": "https://example.com/a.png"}


def asked(**fields: JsonValue) -> JsonObject:
    return {"model": "one", "input": "Hi", **fields}


def sent(capabilities: frozenset[Capability] = frozenset(), **fields: JsonValue) -> JsonObject:
    body = asked(**fields)
    call = Call("req_1", Operation.CHAT, CALLER, read_envelope(body, 9), body, 1, Dialect.RESPONSES)
    return upstream_fields(call, "theirs", 256, capabilities)


def test_a_cap_that_a_budget_shrank_goes_out_in_place_of_the_callers() -> None:
    body = asked(max_output_tokens=50)
    call = Call(
        "req_1", Operation.CHAT, CALLER, replace(read_envelope(body, 9), output_cap=3), body, 1, Dialect.RESPONSES
    )
    assert upstream_fields(call, "theirs", 256, frozenset())["max_output_tokens"] == 3


def test_the_envelope_is_what_we_own() -> None:
    envelope = read_envelope(asked(stream=True, max_output_tokens=5), 40)
    assert (envelope.model, envelope.stream, envelope.output_cap, envelope.body_bytes) == ("one", True, 5, 40)
    assert envelope.include_usage and envelope.choices == 1 and envelope.needs == frozenset()


NEEDS: list[tuple[JsonObject, set[Capability]]] = [
    ({"tools": [{"type": "function", "name": "f"}]}, {Capability.TOOLS}),
    ({"tools": [{"name": "f"}], "tool_choice": "required"}, {Capability.TOOLS, Capability.TOOL_CHOICE}),
    ({"text": {"format": {"type": "json_schema"}}}, {Capability.JSON_SCHEMA}),
    ({"text": {"format": {"type": "json_object"}}}, {Capability.JSON_OBJECT}),
    ({"text": {"format": {"type": "text"}}}, set()),
    ({"top_logprobs": 2}, {Capability.LOGPROBS}),
    ({"top_logprobs": 0}, set()),
    ({"include": ["message.output_text.logprobs"]}, {Capability.LOGPROBS}),
    ({"input": [{"role": "user", "content": [{"type": "input_text"}, PICTURE]}]}, {Capability.IMAGE_INPUT}),
    ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, {Capability.FILE_INPUT}),
    ({"input": [{"type": "function_call_output", "output": [PICTURE]}]}, {Capability.IMAGE_INPUT}),
    ({"input": [{"type": "reasoning", "summary": []}]}, set()),
]


@pytest.mark.parametrize(
    ("fields", "needs"),
    NEEDS,
)
def test_what_a_request_needs_of_a_model_is_read(fields: JsonObject, needs: set[Capability]) -> None:
    assert read_envelope(asked(**fields), 1).needs == needs


WRONG: list[tuple[JsonObject, str]] = [
    ({"model": ""}, "model"),
    ({"input": []}, "input"),
    ({"input": None}, "input"),
    ({"input": ["x"]}, "input[0]"),
    ({"input": [{"type": 1}]}, "input[0]"),
    ({"input": [{"content": "x"}]}, "input[0].role"),
    ({"input": [{"role": "user"}]}, "input[0].content"),
    ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {}}, "stream_options"),
    ({"background": True}, "background"),
    ({"store": "yes"}, "store"),
    ({"previous_response_id": 7}, "previous_response_id"),
    ({"instructions": []}, "instructions"),
    ({"text": "x"}, "text"),
    ({"text": {"format": "json"}}, "text.format"),
    ({"tools": {}}, "tools"),
    ({"include": "x"}, "include"),
    ({"top_logprobs": 21}, "top_logprobs"),
]


@pytest.mark.parametrize(
    ("fields", "param"),
    WRONG,
)
def test_a_wrong_field_is_named(fields: JsonObject, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_envelope(asked(**fields), 1)
    assert caught.value.param == param


def test_the_upstream_stores_nothing_and_never_sees_our_state() -> None:
    body = sent(previous_response_id="resp_1", store=True, background=False, vendor_thing=[1])
    assert body == {"model": "theirs", "input": "Hi", "store": False, "vendor_thing": [1], "max_output_tokens": 256}
    assert sent(max_output_tokens=7)["max_output_tokens"] == 7


def test_a_reasoning_model_is_asked_for_sealed_reasoning() -> None:
    reasoning = frozenset({Capability.REASONING})
    sealed = "reasoning.encrypted_content"
    assert sent(reasoning)["include"] == [sealed]
    assert sent(reasoning, include=["x"])["include"] == ["x", sealed]
    assert sent(reasoning, include=[sealed])["include"] == [sealed]


def test_reasoning_that_only_refers_to_what_an_upstream_kept_is_left_out() -> None:
    bare: JsonObject = {"type": "reasoning", "id": "rs_1", "summary": []}
    kept: list[JsonValue] = [{**bare, "encrypted_content": "s"}, {**bare, "content": [{"text": "t"}]}]
    fields = sent(input=[bare, *kept])
    assert drop_bare_reasoning(fields) == ("input.reasoning",)
    assert fields["input"] == kept
    assert drop_bare_reasoning(fields) == drop_bare_reasoning({"input": "Hi"}) == ()


def test_what_a_tool_of_the_providers_put_out_is_its_own_matter() -> None:
    shell: JsonObject = {"type": "shell_call_output", "call_id": "call_1", "output": [{"stdout": "a"}]}
    assert read_envelope(asked(input=[shell]), 9).needs == frozenset()
    with pytest.raises(InvalidRequest) as caught:
        read_envelope(asked(input=[{**shell, "type": "function_call_output"}]), 9)
    assert caught.value.param == "input[0].output"


def test_a_string_is_one_message_of_the_user() -> None:
    assert input_items({"input": "Hi"}) == [{"type": "message", "role": "user", "content": "Hi"}]


def test_a_conversation_that_a_provider_keeps_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_envelope(asked(conversation="conv_1"), 9)
    assert (caught.value.param, caught.value.code) == ("conversation", "unsupported_field")
