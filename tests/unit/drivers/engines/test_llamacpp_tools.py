"""Tools for an engine that cannot enforce them: what is asked, and what text counts as a call."""

from __future__ import annotations

import jsonschema
import pytest

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.drivers.engines.llamacpp_tools import (
    ToolCall,
    ToolMode,
    apply_tool_use,
    may_become_call,
    read_calls,
    read_tool_use,
)

CITY: JsonObject = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NAMES = ("get_weather", "set_count")


def tool(name: str, parameters: JsonObject | None = None) -> JsonObject:
    function: JsonObject = {"name": name} if parameters is None else {"name": name, "parameters": parameters}
    return {"type": "function", "function": function}


def applied(**fields: JsonValue) -> JsonObject:
    body: JsonObject = {"messages": [{"role": "user", "content": "Hi"}], "tools": [tool("get_weather", CITY)], **fields}
    apply_tool_use(body, read_tool_use(body))
    return body


def schema_of(body: JsonObject) -> JsonObject:
    response_format = body["response_format"]
    assert isinstance(response_format, dict)
    inner = response_format["json_schema"]
    assert isinstance(inner, dict)
    schema = inner["schema"]
    assert isinstance(schema, dict)
    return schema


@pytest.mark.parametrize(
    ("choice", "tools", "mode"),
    [
        (None, ["a", "b"], ToolMode.AUTO),
        ("auto", ["a"], ToolMode.AUTO),
        ("none", ["a"], ToolMode.NONE),
        (None, [], ToolMode.NONE),
        ("auto", [], ToolMode.NONE),
        ("required", ["a"], ToolMode.NAMED),
        ("required", ["a", "b"], ToolMode.ANY),
        ({"type": "function", "function": {"name": "b"}}, ["a", "b"], ToolMode.NAMED),
    ],
)
def test_the_mode_follows_the_choice(choice: JsonValue, tools: list[str], mode: ToolMode) -> None:
    use = read_tool_use({"tools": [tool(name) for name in tools], "tool_choice": choice})
    assert use.mode is mode
    assert mode is not ToolMode.NAMED or use.names == (tools[-1],)


REFUSED: list[tuple[JsonObject, str]] = [
    ({"tools": {}}, "tools"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0]"),
    ({"tools": [tool("a"), {"type": "function", "function": {}}]}, "tools[1]"),
    ({"tools": [], "tool_choice": "required"}, "tool_choice"),
    ({"tools": [tool("a")], "tool_choice": "sometimes"}, "tool_choice"),
    ({"tools": [tool("a")], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
    ({"tools": [tool("a")], "tool_choice": {"type": "function", "function": {"name": "b"}}}, "tool_choice"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_what_cannot_be_expressed_is_refused_by_name(fields: JsonObject, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_tool_use(fields)
    assert refused.value.param == param


def test_auto_leaves_the_request_to_the_model() -> None:
    body = applied(tool_choice="auto")
    assert body["tools"] == [tool("get_weather", CITY)]
    assert "response_format" not in body


def test_none_takes_the_tools_away() -> None:
    assert applied(tool_choice="none") == {"messages": [{"role": "user", "content": "Hi"}]}


def test_one_required_tool_is_its_own_schema_and_told_to_the_model() -> None:
    body = applied(tool_choice="required")
    assert schema_of(body) == CITY
    assert "tools" not in body
    assert "tool_choice" not in body
    messages = body["messages"]
    assert isinstance(messages, list)
    system, user = messages
    assert user == {"role": "user", "content": "Hi"}
    assert isinstance(system, dict)
    assert system["role"] == "system"
    assert '"get_weather"' in str(system["content"])
    assert '"city"' in str(system["content"])


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    body = applied(tools=[tool("stop")], tool_choice="required")
    assert schema_of(body) == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("content", "start"),
    [
        ("Be brief.", "Be brief.\n\nYou have these tools"),
        (None, "You have these tools"),
    ],
)
def test_an_instruction_of_the_caller_stays_first(content: str | None, start: str) -> None:
    body = applied(
        messages=[{"role": "system", "content": content}, {"role": "user", "content": "Hi"}], tool_choice="required"
    )
    messages = body["messages"]
    assert isinstance(messages, list)
    assert len(messages) == 2
    first = messages[0]
    assert isinstance(first, dict)
    assert str(first["content"]).startswith(start)


def test_an_instruction_in_parts_gets_another_part() -> None:
    part: JsonObject = {"type": "text", "text": "Be brief."}
    body = applied(messages=[{"role": "developer", "content": [part]}], tool_choice="required")
    messages = body["messages"]
    assert isinstance(messages, list)
    first = messages[0]
    assert isinstance(first, dict)
    content = first["content"]
    assert isinstance(content, list)
    assert content[0] == part
    assert len(content) == 2


def test_several_tools_keep_their_own_definitions() -> None:
    def with_definition(place: str, kind: str) -> JsonObject:
        return {
            "type": "object",
            "properties": {"value": {"$ref": f"#/{place}/Value"}, "list": {"anyOf": [{"$ref": f"#/{place}/Value"}]}},
            place: {"Value": {"type": kind}},
        }

    tools: list[JsonValue] = [
        tool("a", with_definition("$defs", "string")),
        tool("b", with_definition("definitions", "integer")),
    ]
    schema = schema_of(applied(tools=tools, tool_choice="required"))
    jsonschema.validate({"name": "a", "arguments": {"value": "x"}}, schema)
    jsonschema.validate({"name": "b", "arguments": {"value": 1, "list": 2}}, schema)
    wrongs: list[JsonObject] = [
        {"name": "a", "arguments": {"value": 1}},
        {"name": "b", "arguments": {"list": "x"}},
        {"name": "c", "arguments": {}},
        {"name": "a"},
        {"name": "a", "arguments": {}, "more": 1},
    ]
    for wrong in wrongs:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


BARE = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
CALL = ToolCall("get_weather", '{"city":"Paris"}')


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (BARE, [CALL]),
        (f"\n  {BARE}\n", [CALL]),
        (f"```json\n{BARE}\n```", [CALL]),
        (f"```\n{BARE}\n```", [CALL]),
        (f"<tool_call>\n{BARE}\n</tool_call>", [CALL]),
        (f"<tool_call>{BARE}", [CALL]),
        (f"<tool_call>{BARE}</tool_call>\n<tool_call>{BARE}</tool_call>", [CALL, CALL]),
        ('{"name": "set_count", "arguments": "{\\"count\\":1}"}', [ToolCall("set_count", '{"count":1}')]),
        ('{"name": "unknown", "arguments": {}}', []),
        ('{"name": "get_weather"}', []),
        ('{"name": "get_weather", "arguments": 1}', []),
        ('{"name": 1, "arguments": {}}', []),
        ('{"name": "get_weather", "arguments": {', []),
        (f"{BARE} is what I would call", []),
        (f"```json\n{BARE}\n``` is what I would call", []),
        (f"<tool_call>{BARE}</tool_call> done", []),
        (f"<tool_call>{BARE}</tool_call><tool_call>oops</tool_call>", []),
        ("Paris is nice.", []),
        ("", []),
        ("[" * 5_000, []),
    ],
)
def test_only_a_text_that_is_wholly_calls_of_given_tools_is_read_as_calls(text: str, calls: list[ToolCall]) -> None:
    assert read_calls(text, NAMES) == calls


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("", True),
        (" \n", True),
        ("{", True),
        ('{"na', True),
        ("`", True),
        ("```json", True),
        ("<", True),
        ("<tool_call>{", True),
        ("<b>", False),
        ("`code`", False),
        ("Hello", False),
        ("  Hello {", False),
    ],
)
def test_what_may_become_a_call_is_known_from_its_start(text: str, may: bool) -> None:
    assert may_become_call(text) is may
