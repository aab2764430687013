"""Reading a Messages request, writing the upstream's, and estimating its prompt."""

from collections.abc import Set
from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.call import Call, Dialect, Operation
from headrace.domain.catalog import Capability
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.wire.anthropic_messages import (
    prompt_of,
    read_envelope,
    read_translated_envelope,
    upstream_fields,
)
from headrace.wire.token_estimate import IMAGE_TOKENS, estimated_tokens
from tests.fakes.nouns import CALLER

LEAST: JsonObject = {"model": "one", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
NONE = frozenset[Capability]()
IMAGE: JsonObject = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 4000}}
CALL: JsonObject = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": None}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"model": ""}, "model"),
    ({"stream": "yes"}, "stream"),
    ({"messages": []}, "messages"),
    ({"messages": [1]}, "messages[0]"),
    ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0]"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0]"),
    (
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": 1}]}]},
        "messages[0].content[0].content",
    ),
    ({"tools": {}}, "tools"),
    ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "messages[0].content[0].tool_use_id"),
    (
        {"messages": [CALL, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "u"}]}]},
        "messages[1].content[0].tool_use_id",
    ),
    ({"tools": [{"name": "f"}], "tool_choice": "auto"}, "tool_choice"),
    ({"tools": [{}]}, "tools[0].name"),
    ({"tools": [{"name": "f"}, {"type": "custom", "name": ""}]}, "tools[1].name"),
    ({"thinking": "on"}, "thinking"),
    ({"output_config": []}, "output_config"),
]


def asked(**fields: Any) -> JsonObject:
    return {**LEAST, **fields}


def content(*blocks: Any) -> JsonObject:
    return asked(messages=[CALL, {"role": "user", "content": list(blocks)}])


def test_an_envelope() -> None:
    envelope = read_envelope(asked(stream=True), 99)
    assert (envelope.model, envelope.stream, envelope.output_cap, envelope.body_bytes) == ("one", True, 5, 99)
    assert envelope.include_usage and envelope.choices == 1 and envelope.needs == frozenset()
    assert read_envelope(asked(max_tokens=0), 9).output_cap == 0


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        (asked(tools=[{"name": "f"}]), {Capability.TOOLS}),
        (asked(tools=[{"name": "f"}], tool_choice={"type": "auto"}), {Capability.TOOLS}),
        (asked(tools=[{"name": "f"}], tool_choice={"type": "any"}), {Capability.TOOLS, Capability.TOOL_CHOICE}),
        (asked(tools=[], tool_choice={"type": "any"}), NONE),
        (asked(output_config={"format": {"type": "json_schema", "schema": {}}}), {Capability.JSON_SCHEMA}),
        (asked(output_config={"effort": "low"}), NONE),
        (asked(thinking={"type": "enabled", "budget_tokens": 1024}), {Capability.REASONING}),
        (asked(thinking={"type": "adaptive"}), NONE),
        (content({"type": "text", "text": "a"}), NONE),
        (content(IMAGE), {Capability.IMAGE_INPUT}),
        (content({"type": "tool_result", "tool_use_id": "t"}), NONE),
        (content({"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}), {Capability.IMAGE_INPUT}),
        (content({"type": "document", "source": {"type": "base64"}}), {Capability.FILE_INPUT}),
        (content({"type": "document", "source": {"type": "text"}}), NONE),
    ],
)
def test_needs(body: JsonObject, needs: Set[Capability]) -> None:
    assert read_envelope(body, 9).needs == needs


@pytest.mark.parametrize(("fields", "param"), WRONG)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_envelope(asked(**fields), 9)
    assert caught.value.param == param


def test_everything_leaves_as_it_came_but_the_model_and_a_missing_cap() -> None:
    body = asked(vendor={"a": [1, None]})
    call = Call("req_1", Operation.CHAT, CALLER, read_envelope(body, 9), body, 0, Dialect.MESSAGES)
    assert upstream_fields(call, "theirs", 256) == {**body, "model": "theirs"}
    del body["max_tokens"]
    bare = Call("req_1", Operation.CHAT, CALLER, read_translated_envelope(body, 9), body, 0, Dialect.MESSAGES)
    assert upstream_fields(bare, "theirs", 256) == {**body, "model": "theirs", "max_tokens": 256}


def test_a_cap_that_a_budget_shrank_goes_out_in_place_of_the_callers() -> None:
    envelope = replace(read_envelope(asked(), 9), output_cap=3)
    call = Call("req_1", Operation.CHAT, CALLER, envelope, asked(), 0, Dialect.MESSAGES)
    assert upstream_fields(call, "theirs", 256)["max_tokens"] == 3


def estimate(body: JsonObject) -> int:
    return estimated_tokens(prompt_of(body))


def test_an_estimate_counts_the_prompt_and_not_its_pictures_bytes() -> None:
    few = estimate(LEAST)
    assert 8 <= few <= 20
    assert estimate(asked(model="a much longer name", metadata={"user_id": "u" * 99}, stream=True)) == few
    assert estimate(asked(system="s" * 400)) - few in range(100, 110)
    text = estimate(content())
    picture = estimate(content(IMAGE)) - text
    assert IMAGE_TOKENS < picture < IMAGE_TOKENS + 30
    inside = estimate(content({"type": "tool_result", "tool_use_id": "t", "content": [IMAGE, IMAGE]})) - text
    assert 2 * IMAGE_TOKENS < inside < 2 * IMAGE_TOKENS + 50
