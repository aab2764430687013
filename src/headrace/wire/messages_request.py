"""What both translations of a Messages request read alike: the fates of its fields, its tools, effort and account.

Writing the upstream's request is messages_to_chat's and messages_to_responses', the turns are messages_turns'.
Source: Anthropic API reference, "Create a message" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import output_schema, read_messages
from headrace.wire.dialect_fields import Fate, judge_fields, left_of
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import show

FATES: Mapping[str, Fate] = {
    "model": Fate.TRANSLATED,
    "max_tokens": Fate.TRANSLATED,
    "messages": Fate.TRANSLATED,
    "system": Fate.TRANSLATED,
    "stream": Fate.TRANSLATED,
    "stop_sequences": Fate.TRANSLATED,
    "temperature": Fate.TRANSLATED,
    "top_p": Fate.TRANSLATED,
    "tools": Fate.TRANSLATED,
    "tool_choice": Fate.TRANSLATED,
    "thinking": Fate.TRANSLATED,
    "output_config": Fate.TRANSLATED,
    "output_format": Fate.TRANSLATED,
    "metadata": Fate.TRANSLATED,
    "service_tier": Fate.TRANSLATED,
    # What these ask for would be missing from the answer, or would happen in a place that was ruled out.
    "container": Fate.REFUSED,
    "inference_geo": Fate.REFUSED,
    "mcp_servers": Fate.REFUSED,
    "thread": Fate.REFUSED,
    # What these ask for costs or saves something and leaves the answer's meaning as it is.
    "billing_policy": Fate.DROPPED,
    "cache_control": Fate.DROPPED,
    "compaction": Fate.DROPPED,
    "context_management": Fate.DROPPED,
    "diagnostics": Fate.DROPPED,
    "fallback_credit_token": Fate.DROPPED,
    "fallbacks": Fate.DROPPED,
    "speed": Fate.DROPPED,
    "top_k": Fate.DROPPED,
    "user_profile_id": Fate.DROPPED,
    "workspace_id": Fate.DROPPED,
}
NEUTRAL: Mapping[str, JsonValue] = {"mcp_servers": [], "speed": "standard"}
TOOL_FATES: Mapping[str, Fate] = {
    "type": Fate.TRANSLATED,
    "name": Fate.TRANSLATED,
    "description": Fate.TRANSLATED,
    "input_schema": Fate.TRANSLATED,
    "strict": Fate.TRANSLATED,
    "allowed_callers": Fate.DROPPED,
    "cache_control": Fate.DROPPED,
    "defer_loading": Fate.DROPPED,
    "eager_input_streaming": Fate.DROPPED,
    "input_examples": Fate.DROPPED,
}
TOOL_NEUTRAL: Mapping[str, JsonValue] = {"allowed_callers": ["direct"], "defer_loading": False}
EFFORT_BUDGETS: tuple[tuple[int, str], ...] = ((4_096, "low"), (16_384, "medium"))
TIERS: Mapping[str, str] = {"auto": "auto", "standard_only": "default"}
CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}


def read_turns(body: JsonObject) -> list[JsonObject]:
    """Return the messages; raises InvalidRequest for one that is wrong, and for an answer that is begun."""
    turns = read_messages(body)
    if turns[-1]["role"] == "assistant":
        param = f"messages[{len(turns) - 1}]"
        raise InvalidRequest(
            f'"{param}" begins the answer, which this model cannot continue; end with a user\'s message.',
            code="unsupported_field",
            param=param,
        )
    return turns


def translate_tools(
    body: JsonObject,
    asked: JsonObject,
    function: Callable[[JsonObject], JsonObject],
    choose: Callable[[JsonValue], JsonValue],
) -> list[str]:
    """Write tools and the choice among them; returns what was dropped.

    `function` turns one tool into the upstream's form, `choose` the name of the one that must be called.
    """
    dropped: list[str] = []
    tools = body.get("tools")
    if isinstance(tools, list) and tools:
        read = [_tool(tool, f"tools[{index}]", dropped) for index, tool in enumerate(tools)]
        asked["tools"] = [function(tool) for tool in read]
    choice = body.get("tool_choice")
    if not is_object(choice):
        return dropped
    kind = choice.get("type")
    if kind == "tool":
        asked["tool_choice"] = choose(choice.get("name"))
    elif isinstance(kind, str) and kind in CHOICES:
        asked["tool_choice"] = CHOICES[kind]
    else:
        raise InvalidRequest(
            f'"tool_choice" must have the type auto, any, tool or none, not {show(kind)}.', param="tool_choice"
        )
    dropped += left_of(choice, ("type", "name", "disable_parallel_tool_use"), "tool_choice")
    if choice.get("disable_parallel_tool_use") is True:
        asked["parallel_tool_calls"] = False
    return dropped


def function_fields(tool: JsonObject) -> JsonObject:
    """Return name, description and parameters of a tool as OpenAI's dialects write them."""
    fields: JsonObject = {"name": tool["name"]}
    if tool.get("description") is not None:
        fields["description"] = tool["description"]
    fields["parameters"] = tool.get("input_schema") or {"type": "object", "properties": {}}
    return fields


def read_effort(body: JsonObject, efforts: Mapping[str, str]) -> str | None:
    """Return the effort in the upstream's word, from its own field or the thinking budget; raises InvalidRequest."""
    config, thinking = body.get("output_config"), body.get("thinking")
    named = config.get("effort") if is_object(config) else None
    if named is not None:
        if not isinstance(named, str) or named not in efforts:
            raise InvalidRequest(
                f'"output_config.effort" must be one of {", ".join(efforts)}, not {show(named)}.',
                param="output_config.effort",
            )
        return efforts[named]
    budget = thinking.get("budget_tokens") if is_object(thinking) and thinking.get("type") == "enabled" else None
    if not isinstance(budget, int):
        return None
    return next((effort for most, effort in EFFORT_BUDGETS if budget <= most), "high")


def dropped_config(body: JsonObject) -> list[str]:
    """Return the output settings that no dialect of OpenAI's has."""
    schema = output_schema(body)
    left = [] if schema is None else left_of(schema[1], ("type", "schema"), schema[0])
    return [*left, *left_of(body.get("output_config"), ("effort", "format"), "output_config")]


def dropped_thinking(body: JsonObject, effort: str | None, *served: str) -> list[str]:
    """Return what of the thinking settings has no place: not every model can be told not to reason, or when.

    An effort says how much; `served` are further settings that the upstream is told.
    """
    thinking = body.get("thinking")
    if not is_object(thinking):
        return []
    left = left_of(thinking, ("type", "budget_tokens", *served), "thinking")
    kind = thinking.get("type")
    # What `adaptive` asks for without an effort is what a model that reasons does by itself.
    is_said = kind == "adaptive" or (kind == "enabled" and effort is not None)
    return left if is_said else ["thinking", *left]


def translate_account(body: JsonObject, asked: JsonObject) -> list[str]:
    """Write whose request it is and which tier shall serve it; returns what was dropped."""
    metadata, tier = body.get("metadata"), body.get("service_tier")
    dropped: list[str] = []
    if is_object(metadata):
        if metadata.get("user_id") is not None:
            asked["user"] = metadata["user_id"]
        dropped += [f"metadata.{name}" for name in metadata if name != "user_id"]
    if isinstance(tier, str) and tier in TIERS:
        asked["service_tier"] = TIERS[tier]
    elif tier is not None:
        raise InvalidRequest(
            f'"service_tier" must be one of {", ".join(TIERS)}, not {show(tier)}.', param="service_tier"
        )
    return dropped


def _tool(tool: JsonValue, param: str, dropped: list[str]) -> JsonObject:
    """Return a tool that the caller runs; raises InvalidRequest for one that its provider runs."""
    if not is_object(tool) or not isinstance(tool.get("name"), str):
        raise InvalidRequest(f'"{param}" must be an object with a "name", not {show(tool)}.', param=param)
    if tool.get("type") not in (None, "custom"):
        raise InvalidRequest(
            f'"{param}" is a tool that its provider runs ({show(tool["type"])}); this model can only be given tools '
            'with an "input_schema".',
            code="unsupported_field",
            param=f"{param}.type",
        )
    dropped += [f"tools.{name}" for name in judge_fields(tool, TOOL_FATES, TOOL_NEUTRAL)]
    return tool
