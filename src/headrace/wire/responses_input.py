"""What translations from the Responses dialect read alike: texts of items, function tools, and what has no place."""

from __future__ import annotations

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import show


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
