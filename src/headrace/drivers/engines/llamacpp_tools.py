"""Tool calls for an engine that cannot enforce them: request side by grammar, answer side by parsing text.

`tool_choice` "required" or a named tool becomes a JSON schema that the engine enforces while it writes; "auto"
leaves the model free and recognises a call in its text. Streams and frames are not handled here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import cast

import msgspec

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import decode_trusted, encode, is_object

_TAGGED = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|$)", re.DOTALL)
_FENCED = re.compile(r"```[a-zA-Z]*\s*(.*?)\s*(?:```|$)", re.DOTALL)
_INSTRUCTION = (
    "You have these tools, each described by a JSON schema:\n{tools}\n"
    "Call {which} now. Answer with {form} and nothing else."
)


class ToolMode(Enum):
    """What the answer's text can be."""

    NONE = "none"
    AUTO = "auto"
    NAMED = "named"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """How tools are used in one request; in NAMED mode the first tool is the one to call."""

    mode: ToolMode
    tools: tuple[JsonObject, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tools that may be called."""
        return tuple(str(tool["name"]) for tool in self.tools)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call as it was read from text; `arguments` is JSON text."""

    name: str
    arguments: str


NO_TOOLS = ToolUse(ToolMode.NONE)


def read_tool_use(body: JsonObject) -> ToolUse:
    """Return how this request uses tools; raises InvalidRequest for what cannot be expressed."""
    tools = _functions(body.get("tools"))
    choice = body.get("tool_choice")
    if choice in ("required",) or is_object(choice):
        if not tools:
            raise InvalidRequest('"tool_choice" asks for a tool but "tools" is empty.', param="tool_choice")
        if is_object(choice):
            return ToolUse(ToolMode.NAMED, (_named(tools, choice),))
        return ToolUse(ToolMode.NAMED if len(tools) == 1 else ToolMode.ANY, tools)
    if choice not in (None, "auto", "none"):
        raise InvalidRequest(
            '"tool_choice" must be "none", "auto", "required" or an object that names a function.', param="tool_choice"
        )
    return NO_TOOLS if choice == "none" or not tools else ToolUse(ToolMode.AUTO, tools)


def apply_tool_use(fields: JsonObject, use: ToolUse) -> None:
    """Change the upstream's request so that the engine does what `use` says."""
    if use.mode is ToolMode.AUTO:
        return
    fields.pop("tools", None)
    fields.pop("tool_choice", None)
    if use.mode is ToolMode.NONE:
        return
    schema = _parameters(use.tools[0]) if use.mode is ToolMode.NAMED else _any_call(use.tools)
    fields["response_format"] = {"type": "json_schema", "json_schema": {"name": "tool_call", "schema": schema}}
    fields["messages"] = _instructed(fields["messages"], use)


def read_calls(text: str, names: tuple[str, ...]) -> list[ToolCall]:
    """Return the calls when the whole text is calls of given tools and nothing else; otherwise an empty list."""
    stripped = text.strip()
    if stripped.startswith("<tool_call>"):
        parts = [match.group(1) for match in _TAGGED.finditer(stripped)]
        rest = _TAGGED.sub("", stripped).strip()
    elif stripped.startswith("```"):
        fenced = _FENCED.match(stripped)
        parts = [fenced.group(1)] if fenced else []
        rest = stripped[fenced.end() :].strip() if fenced else stripped
    else:
        parts, rest = [stripped], ""
    calls = [_call(part, names) for part in parts]
    whole = [call for call in calls if call is not None]
    return whole if not rest and len(whole) == len(calls) else []


def may_become_call(text: str) -> bool:
    """Whether text that begins so can still turn out to be a tool call."""
    start = text.lstrip()
    if not start or start.startswith("{"):
        return True
    return any(start.startswith(mark) or mark.startswith(start) for mark in ("```", "<tool_call>"))


def _call(text: str, names: tuple[str, ...]) -> ToolCall | None:
    try:
        value = decode_trusted(text.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not is_object(value) or not {"name", "arguments"} <= value.keys():
        return None
    name, arguments = value["name"], value["arguments"]
    if not isinstance(name, str) or name not in names:
        return None
    if isinstance(arguments, str):
        return ToolCall(name, arguments)
    return ToolCall(name, encode(arguments).decode()) if is_object(arguments) else None


def _functions(tools: JsonValue) -> tuple[JsonObject, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise InvalidRequest('"tools" must be an array.', param="tools")
    functions: list[JsonObject] = []
    for index, tool in enumerate(tools):
        function = tool.get("function") if is_object(tool) and tool.get("type") == "function" else None
        if not is_object(function) or not isinstance(function.get("name"), str):
            raise InvalidRequest(
                f'"tools[{index}]" must be {{"type": "function", "function": {{"name": …}}}};'
                " local models know no other kind of tool.",
                param=f"tools[{index}]",
            )
        functions.append(function)
    return tuple(functions)


def _named(tools: tuple[JsonObject, ...], choice: JsonObject) -> JsonObject:
    function = choice.get("function")
    name = function.get("name") if is_object(function) else None
    if choice.get("type") != "function" or not isinstance(name, str):
        raise InvalidRequest(
            '"tool_choice" must be {"type": "function", "function": {"name": …}} for local models.', param="tool_choice"
        )
    found = next((tool for tool in tools if tool["name"] == name), None)
    if found is None:
        raise InvalidRequest(f'"tool_choice" names "{name}", which is not among "tools".', param="tool_choice")
    return found


def _parameters(tool: JsonObject) -> JsonObject:
    parameters = tool.get("parameters")
    return parameters if is_object(parameters) else {"type": "object", "properties": {}}


def _any_call(tools: tuple[JsonObject, ...]) -> JsonObject:
    definitions: JsonObject = {}
    forms: list[JsonValue] = []
    for index, tool in enumerate(tools):
        arguments = dict(_parameters(tool))
        for place in ("$defs", "definitions"):
            own = arguments.pop(place, None)
            if is_object(own):
                definitions.update({f"{index}.{name}": _moved(part, index) for name, part in own.items()})
        forms.append(
            {
                "type": "object",
                "properties": {"name": {"const": tool["name"]}, "arguments": _moved(arguments, index)},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    return {"anyOf": forms, "$defs": definitions} if definitions else {"anyOf": forms}


def _moved(schema: JsonValue, index: int) -> JsonValue:
    """Return the schema with references to its own definitions pointing to where they were moved."""
    if isinstance(schema, list):
        return [_moved(part, index) for part in schema]
    if not is_object(schema):
        return schema
    moved: JsonObject = {name: _moved(part, index) for name, part in schema.items()}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        moved["$ref"] = re.sub(r"^#/(?:\$defs|definitions)/", f"#/$defs/{index}.", reference)
    return moved


def _instructed(messages: JsonValue, use: ToolUse) -> list[JsonValue]:
    form = (
        f'the JSON object of the arguments of "{use.names[0]}"'
        if use.mode is ToolMode.NAMED
        else 'a JSON object {"name": the tool\'s name, "arguments": its arguments}'
    )
    text = _INSTRUCTION.format(
        tools="\n".join(encode(tool).decode() for tool in use.tools),
        which=f'the tool "{use.names[0]}"' if use.mode is ToolMode.NAMED else "one of them",
        form=form,
    )
    given = cast("list[JsonValue]", messages)
    first = given[0]
    if not is_object(first) or first.get("role") not in ("system", "developer"):
        return [{"role": "system", "content": text}, *given]
    content = first.get("content")
    joined: JsonValue
    if isinstance(content, list):
        joined = [*content, {"type": "text", "text": f"\n\n{text}"}]
    else:
        joined = f"{content}\n\n{text}" if content else text
    return [{**first, "content": joined}, *given[1:]]
