"""What translations from the Responses dialect read alike: texts of items, function tools, and what has no place."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.dialect_fields import left_of
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import show

# `id` and `status` of an item, annotations and log probabilities of a text are what an answer said of itself: a caller
# that sends its items back as they came asks for nothing by them.
_ITEM_FIELDS: Mapping[str, frozenset[str]] = {
    "message": frozenset({"type", "id", "status", "role", "content"}),
    "function_call": frozenset({"type", "id", "status", "call_id", "name", "arguments"}),
    "function_call_output": frozenset({"type", "id", "status", "call_id", "output"}),
    "reasoning": frozenset({"type", "id", "status", "summary", "content", "encrypted_content"}),
}
_PART_FIELDS: Mapping[str, frozenset[str]] = {
    "input_text": frozenset({"text"}),
    "output_text": frozenset({"text", "annotations", "logprobs"}),
    "text": frozenset({"text"}),
    "refusal": frozenset({"refusal"}),
    "input_image": frozenset({"image_url", "file_id", "detail"}),
    "input_file": frozenset({"file_data", "file_url", "file_id", "filename", "detail"}),
    "input_audio": frozenset({"input_audio"}),
}
_EVERY_PART = ("type", "prompt_cache_breakpoint")
_DIRECT: Mapping[str, JsonValue] = {"type": "direct"}


def item_text(item: JsonObject, name: str, param: str) -> str:
    """Return a field of an item or part that must be a string; raises InvalidRequest."""
    value = item.get(name)
    if not isinstance(value, str):
        raise InvalidRequest(f'"{param}.{name}" must be a string, not {show(value)}.', param=f"{param}.{name}")
    return value


def no_place(param: str, fix: str) -> InvalidRequest:
    """Return the refusal of a field that the upstream's dialect does not have."""
    return InvalidRequest(
        f'"{param}" cannot be served by this model: its provider has no such field. {fix}',
        code="unsupported_field",
        param=param,
    )


def function_tool(tool: JsonValue, param: str) -> JsonObject:
    """Return a tool that is a function with a name; raises InvalidRequest for any other."""
    kind = tool.get("type") if is_object(tool) else None
    if not is_object(tool) or kind != "function":
        raise InvalidRequest(
            f'"{param}" is a tool of type "{kind}"; this model takes function tools only.',
            code="unsupported_field",
            param=f"{param}.type",
        )
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        raise InvalidRequest(f'"{param}.name" must be a non-empty string.', param=f"{param}.name")
    return tool


def left_of_item(item: JsonObject, kind: str) -> list[str]:
    """Return the fields of an input item that no translation reads; a call that the model made itself says nothing."""
    left = left_of(item, _ITEM_FIELDS[kind], "input")
    return [name for name in left if name != "input.caller" or item["caller"] != _DIRECT]


def left_of_part(part: JsonObject, kind: str) -> list[str]:
    """Return the fields of a part that no translation reads."""
    return left_of(part, {*_EVERY_PART, *_PART_FIELDS[kind]}, kind)
