"""Reading a chat request's envelope and writing the upstream's request."""

import json
from typing import cast

import pytest

from headrace.domain.catalog import Capability
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.openai_chat import read_envelope, show, upstream_body, upstream_fields
from tests.fakes.nouns import a_call, call_of

HI: JsonValue = [{"role": "user", "content": "Hi"}]


def a_body(**fields: JsonValue) -> JsonObject:
    return {"model": "m", "messages": HI, **fields}


def with_parts(*kinds: str) -> JsonObject:
    parts: list[JsonValue] = [{"type": kind} for kind in kinds]
    return a_body(messages=[{"role": "user", "content": parts}])


def test_the_least_request() -> None:
    envelope = read_envelope(a_body(), 77)
    assert (envelope.model, envelope.stream, envelope.include_usage) == ("m", False, False)
    assert (envelope.output_cap, envelope.choices, envelope.body_bytes) == (None, 1, 77)
    assert envelope.needs == frozenset()


def test_nulls_are_as_good_as_absent() -> None:
    nulls: dict[str, JsonValue] = dict.fromkeys(
        ("stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "tools", "response_format", "logprobs")
    )
    assert read_envelope(a_body(**nulls), 1) == read_envelope(a_body(), 1)


@pytest.mark.parametrize(
    ("fields", "cap"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 7, "max_completion_tokens": 7}, 7),
        ({"max_tokens": None, "max_completion_tokens": 8}, 8),
    ],
)
def test_the_output_cap_under_either_name(fields: JsonObject, cap: int) -> None:
    assert read_envelope(a_body(**fields), 1).output_cap == cap


@pytest.mark.parametrize(
    ("options", "shown"),
    [(None, False), ({}, False), ({"include_usage": None}, False), ({"include_usage": True}, True)],
)
def test_usage_is_shown_when_asked_for(options: JsonValue, shown: bool) -> None:
    assert read_envelope(a_body(stream=True, stream_options=options), 1).include_usage is shown


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        (a_body(tools=[]), set[Capability]()),
        (a_body(tools=[{}]), {Capability.TOOLS}),
        (a_body(tools=[{}], tool_choice="auto"), {Capability.TOOLS}),
        (a_body(tools=[{}], tool_choice="none"), {Capability.TOOLS}),
        (a_body(tools=[{}], tool_choice="required"), {Capability.TOOLS, Capability.TOOL_CHOICE}),
        (a_body(tools=[{}], tool_choice={"type": "function"}), {Capability.TOOLS, Capability.TOOL_CHOICE}),
        (a_body(response_format={"type": "text"}), set[Capability]()),
        (a_body(response_format={"type": "json_object"}), {Capability.JSON_OBJECT}),
        (a_body(response_format={"type": "json_schema"}), {Capability.JSON_SCHEMA}),
        (a_body(logprobs=True), {Capability.LOGPROBS}),
        (a_body(logprobs=False, n=1), set[Capability]()),
        (a_body(n=2), {Capability.MULTIPLE_CHOICES}),
        (with_parts("text"), set[Capability]()),
        (with_parts("image_url", "text"), {Capability.IMAGE_INPUT}),
        (with_parts("input_audio", "file"), {Capability.AUDIO_INPUT, Capability.FILE_INPUT}),
        (a_body(messages=[{"role": "assistant", "content": None}, {"role": "user"}]), set[Capability]()),
    ],
)
def test_what_a_request_needs(body: JsonObject, needs: set[Capability]) -> None:
    assert read_envelope(body, 1).needs == needs


WRONG: list[tuple[dict[str, JsonValue], str]] = [
    ({"model": None}, "model"),
    ({"model": ""}, "model"),
    ({"model": 5}, "model"),
    ({"model": "m" * 257}, "model"),
    ({"model": "m" * 1_000_000}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "Hi"}, "messages"),
    ({"messages": [{}]}, "messages[0]"),
    ({"messages": [{"role": "user"}, 5]}, "messages[1]"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [5]}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": 5}]}]}, "messages[0].content"),
    ({"stream": "yes"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"n": True}, "n"),
    ({"n": 1.0}, "n"),
    ({"n": "2"}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 2**31}, "max_tokens"),
    ({"max_completion_tokens": 10**30}, "max_completion_tokens"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_completion_tokens"),
    ({"stream_options": {}}, "stream_options"),
    ({"stream": True, "stream_options": []}, "stream_options"),
    ({"stream": True, "stream_options": {"include_usage": 1}}, "include_usage"),
    ({"tools": {}}, "tools"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {"type": None}}, "response_format"),
    ({"logprobs": 1}, "logprobs"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG)
def test_a_wrong_field_is_named_with_its_value(fields: dict[str, JsonValue], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_envelope(a_body(**fields), 1)
    assert caught.value.param == param
    assert len(caught.value.message) < 300


def test_a_long_value_is_shown_shortened() -> None:
    assert show("x" * 100) == '"' + "x" * 56 + "…"
    assert show({"a": [1, None]}) == '{"a":[1,null]}'


def test_what_we_do_not_own_is_kept() -> None:
    call = a_call(x_vendor={"deep": [1, {"y": None}]}, seed=7, logit_bias={"50": -1})
    fields = upstream_fields(call, "theirs", 100, "max_tokens")
    assert fields == {**call.body, "model": "theirs", "max_tokens": 100}
    assert json.loads(upstream_body(call, "theirs", 100, "max_tokens")) == fields
    assert call.body["model"] == "one"


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_callers_cap_leaves_under_the_name_that_the_upstream_heeds(field: str) -> None:
    call = call_of({**a_call().body, field: 9})
    fields = upstream_fields(call, "theirs", 100, "max_tokens")
    assert {name: fields[name] for name in fields if name.startswith("max")} == {"max_tokens": 9}


@pytest.mark.parametrize("cap_field", ["max_tokens", "max_completion_tokens"])
def test_a_missing_cap_is_injected_once(cap_field: str) -> None:
    call = a_call(max_tokens=None, max_completion_tokens=None)
    fields = upstream_fields(call, "theirs", 100, cap_field)
    assert {name: fields[name] for name in fields if name.startswith("max")} == {cap_field: 100}


@pytest.mark.parametrize("options", [None, {"include_usage": False, "include_obfuscation": False}])
def test_usage_is_always_asked_for_in_a_stream(options: JsonValue) -> None:
    call = a_call(stream=True, stream_options=options)
    asked = cast("JsonObject", upstream_fields(call, "theirs", 100, "max_tokens")["stream_options"])
    kept = dict(cast("JsonObject", options)) if options else {}
    assert asked == {**kept, "include_usage": True}


@pytest.mark.parametrize("name", ["n_predict", "n_cmpl"])
def test_another_name_of_the_output_cap_is_refused(name: str) -> None:
    body: JsonObject = {"model": "m", "messages": [{"role": "user", "content": "x"}], name: 5}
    with pytest.raises(InvalidRequest) as caught:
        read_envelope(body, 10)
    assert caught.value.param == name


def test_a_prediction_counts_with_all_its_bytes() -> None:
    body: JsonObject = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    assert read_envelope(body, 10).predicted_tokens == 0
    parts: list[JsonValue] = [{"type": "text", "text": "größer"}]
    for content, most in (("größer", 10), (parts, len('[{"type":"text","text":"größer"}]'.encode()))):
        asked: JsonObject = {**body, "prediction": {"type": "content", "content": content}}
        assert read_envelope(asked, 10).predicted_tokens == most
    with pytest.raises(InvalidRequest) as caught:
        read_envelope({**body, "prediction": "x"}, 10)
    assert caught.value.param == "prediction"
