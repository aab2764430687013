"""Tools without names, and results of calls that nobody made: refused in every dialect, whatever the upstream speaks.

Each function raises InvalidRequest naming the place. Tools of kinds that are not ours to know are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object

ORPHAN = "orphan_tool_result"
# Run by the caller, or by the provider for its tokens alone.
UNBILLED = frozenset(
    {
        "apply_patch",
        "computer",
        "computer_use_preview",
        "custom",
        "function",
        "local_shell",
        "mcp",
        "namespace",
        "tool_search",
    }
)


def check_chat_tools(tools: Iterable[JsonValue]) -> None:
    """Check the tools of a chat: a function and a custom tool have a name in the object named as their kind."""
    for index, tool in enumerate(tools):
        kind = tool.get("type") if is_object(tool) else None
        if is_object(tool) and isinstance(kind, str) and kind in ("function", "custom"):
            _check_name(tool.get(kind), f"tools[{index}].{kind}")


def check_chat_results(messages: Iterable[JsonObject]) -> None:
    """Check the messages of tools: a message of the assistant before it has made the call."""
    called: set[str] = set()
    for index, message in enumerate(messages):
        role = message.get("role")
        if role == "tool":
            _require(called, message.get("tool_call_id"), f"messages[{index}]", "tool_call_id", "message")
        calls = message.get("tool_calls") if role == "assistant" else None
        called.update(str(call.get("id")) for call in _objects(calls))


def check_response_tools(tools: JsonValue) -> None:
    """Check the tools of a Responses request."""
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        if is_object(tool) and tool.get("type") in ("function", "custom"):
            _check_name(tool, f"tools[{index}]")


def check_billed_tools(tools: JsonValue) -> None:
    """Refuse tools of a Responses request that their provider bills by the use: no price here has a rate for them."""
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        kind = tool.get("type") if is_object(tool) else None
        environment = tool.get("environment") if is_object(tool) and kind == "shell" else None
        is_local = is_object(environment) and environment.get("type") == "local"
        if isinstance(kind, str) and kind not in UNBILLED and not is_local:
            raise billed_by_use(f"tools[{index}].type", f'"tools[{index}]" is a tool of type "{kind[:80]}"')


def billed_by_use(param: str, what: str) -> InvalidRequest:
    """Return the refusal of what a provider runs and bills by the use."""
    return InvalidRequest(
        f"{what}, which its provider runs and bills by the use; no price here knows what that costs. Leave it out, or "
        "give the model a function that does it.",
        code="unsupported_field",
        param=param,
    )


def check_response_results(items: JsonValue) -> None:
    """Check the outputs of functions among input items, with the conversation that they continue."""
    called: set[str] = set()
    for index, item in enumerate(items if isinstance(items, list) else ()):
        kind = item.get("type") if is_object(item) else None
        if not is_object(item):
            continue
        if kind == "function_call":
            called.add(str(item.get("call_id")))
        elif kind == "function_call_output":
            _require(called, item.get("call_id"), f"input[{index}]", "call_id", "function_call")


def check_message_tools(tools: JsonValue) -> None:
    """Check the tools of a Messages request; those that the provider runs name themselves by their type."""
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        if is_object(tool) and tool.get("type") in (None, "custom"):
            _check_name(tool, f"tools[{index}]")


def check_message_results(messages: Iterable[JsonObject]) -> None:
    """Check the results of tools in the turns of Messages."""
    called: set[str] = set()
    for index, message in enumerate(messages):
        for place, block in enumerate(_objects(message.get("content"))):
            if block.get("type") == "tool_use":
                called.add(str(block.get("id")))
            elif block.get("type") == "tool_result":
                where = f"messages[{index}].content[{place}]"
                _require(called, block.get("tool_use_id"), where, "tool_use_id", "turn")


def _objects(value: JsonValue) -> list[JsonObject]:
    return [each for each in value if is_object(each)] if isinstance(value, list) else []


def _check_name(holder: JsonValue, param: str) -> None:
    name = holder.get("name") if is_object(holder) else None
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f'"{param}.name" must be a non-empty string.', param=f"{param}.name")


def _require(called: set[str], call: JsonValue, param: str, name: str, maker: str) -> None:
    """Raise InvalidRequest unless a call was made; `maker` is what makes calls in this dialect."""
    if isinstance(call, str) and call in called:
        return
    shown = f'"{call[:80]}"' if isinstance(call, str) else "without a name"
    raise InvalidRequest(
        f'"{param}" is the result of the call {shown}, which no {maker} before it has made.',
        code=ORPHAN,
        param=f"{param}.{name}",
    )
