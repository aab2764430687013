"""Messages in, chat completions upstream: the request's fields.

Turns and their blocks are messages_to_chat_content's, the way back is messages_to_chat_reply's.
Source: Anthropic API reference, "Create a message"; OpenAI API reference, "Create chat completion" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Dialect
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import output_schema, read_messages
from headrace.wire.dialect_fields import Fate, judge_fields
from headrace.wire.json_strict import is_object
from headrace.wire.messages_to_chat_content import ChatMessages
from headrace.wire.messages_to_chat_reply import MessagesFromChat, messages_reply
from headrace.wire.openai_chat import show
from headrace.wire.pair import StreamTranslator, Translated

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
COPIED: Mapping[str, str] = {
    "model": "model",
    "max_tokens": "max_tokens",
    "stop_sequences": "stop",
    "temperature": "temperature",
    "top_p": "top_p",
}
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
# "max" has no equal; the next lower one is the most that can be asked for.
EFFORTS: Mapping[str, str] = {"low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "xhigh"}
EFFORT_BUDGETS: tuple[tuple[int, str], ...] = ((4_096, "low"), (16_384, "medium"))
TIERS: Mapping[str, str] = {"auto": "auto", "standard_only": "default"}
CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}


class MessagesToChat:
    """Serves Messages by an upstream that speaks chat completions."""

    client = Dialect.MESSAGES
    upstream = Dialect.CHAT

    def request(self, body: JsonObject) -> Translated:
        """Return the request as a chat completion; raises InvalidRequest naming what chat cannot express."""
        dropped = list(judge_fields(body, FATES, NEUTRAL))
        turns = read_messages(body)
        if turns[-1]["role"] == "assistant":
            param = f"messages[{len(turns) - 1}]"
            raise InvalidRequest(
                f'"{param}" begins the answer, which this model cannot continue; end with a user\'s message.',
                code="unsupported_field",
                param=param,
            )
        messages = ChatMessages()
        messages.read(body.get("system"), turns)
        chat: JsonObject = {name: body[own] for own, name in COPIED.items() if body.get(own) is not None}
        chat["messages"] = messages.chat
        if body.get("stream"):
            chat["stream"] = True
            chat["stream_options"] = {"include_usage": True}
        dropped += _translate_tools(body, chat)
        dropped += _translate_output(body, chat)
        dropped += _translate_account(body, chat)
        return Translated(chat, tuple(dict.fromkeys([*dropped, *messages.dropped])))

    def reply(self, body: JsonObject, request: JsonObject) -> JsonObject:
        """Return a chat completion as a message."""
        return messages_reply(body, request)

    def stream(self, request: JsonObject) -> StreamTranslator:
        """Return a translator of chat chunks to Messages events."""
        return MessagesFromChat(request)


def _translate_tools(body: JsonObject, chat: JsonObject) -> list[str]:
    dropped: list[str] = []
    tools = body.get("tools")
    if isinstance(tools, list) and tools:
        chat["tools"] = [_tool(tool, f"tools[{index}]", dropped) for index, tool in enumerate(tools)]
    choice = body.get("tool_choice")
    if not is_object(choice):
        return dropped
    kind = choice.get("type")
    if kind == "tool":
        chat["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif isinstance(kind, str) and kind in CHOICES:
        chat["tool_choice"] = CHOICES[kind]
    else:
        raise InvalidRequest(
            f'"tool_choice" must have the type auto, any, tool or none, not {show(kind)}.', param="tool_choice"
        )
    if choice.get("disable_parallel_tool_use") is True:
        chat["parallel_tool_calls"] = False
    return dropped


def _tool(tool: JsonValue, param: str, dropped: list[str]) -> JsonObject:
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
    function: JsonObject = {"name": tool["name"]}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    function["parameters"] = tool.get("input_schema") or {"type": "object", "properties": {}}
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function}


def _translate_output(body: JsonObject, chat: JsonObject) -> list[str]:
    schema = output_schema(body)
    if schema is not None:
        shape: JsonObject = {"name": "answer", "schema": schema[1]["schema"], "strict": True}
        chat["response_format"] = {"type": "json_schema", "json_schema": shape}
    dropped: list[str] = []
    effort = _effort(body, dropped)
    if effort is not None:
        chat["reasoning_effort"] = effort
    return dropped


def _effort(body: JsonObject, dropped: list[str]) -> str | None:
    config, thinking = body.get("output_config"), body.get("thinking")
    named = config.get("effort") if is_object(config) else None
    if is_object(config):
        dropped += [f"output_config.{name}" for name in config if name not in ("effort", "format")]
    if is_object(thinking):
        if thinking.get("display") is not None:
            dropped.append("thinking.display")
        if thinking.get("type") == "disabled":
            # A chat model that always reasons has no common word for "do not".
            dropped.append("thinking")
    if named is not None:
        if not isinstance(named, str) or named not in EFFORTS:
            raise InvalidRequest(
                f'"output_config.effort" must be one of {", ".join(EFFORTS)}, not {show(named)}.',
                param="output_config.effort",
            )
        return EFFORTS[named]
    budget = thinking.get("budget_tokens") if is_object(thinking) and thinking.get("type") == "enabled" else None
    if not isinstance(budget, int):
        return None
    return next((effort for most, effort in EFFORT_BUDGETS if budget <= most), "high")


def _translate_account(body: JsonObject, chat: JsonObject) -> list[str]:
    """Translate whose request it is and which tier shall serve it."""
    metadata, tier = body.get("metadata"), body.get("service_tier")
    dropped: list[str] = []
    if is_object(metadata):
        if metadata.get("user_id") is not None:
            chat["user"] = metadata["user_id"]
        dropped += [f"metadata.{name}" for name in metadata if name != "user_id"]
    if isinstance(tier, str) and tier in TIERS:
        chat["service_tier"] = TIERS[tier]
    elif tier is not None:
        raise InvalidRequest(
            f'"service_tier" must be one of {", ".join(TIERS)}, not {show(tier)}.', param="service_tier"
        )
    return dropped
