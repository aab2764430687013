"""Messages in, the Responses dialect upstream: the request's fields.

Turns and their blocks are messages_to_responses_items', the way back is messages_to_responses_reply's.
Source: Anthropic API reference, "Create a message"; OpenAI API reference, "Create a model response" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Dialect
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import output_schema, read_messages
from headrace.wire.dialect_fields import Fate, judge_fields
from headrace.wire.json_strict import is_object
from headrace.wire.messages_to_chat import CHOICES, EFFORT_BUDGETS, TIERS, TOOL_FATES, TOOL_NEUTRAL
from headrace.wire.messages_to_chat import FATES as CHAT_FATES
from headrace.wire.messages_to_chat import NEUTRAL as CHAT_NEUTRAL
from headrace.wire.messages_to_responses_items import ResponseItems
from headrace.wire.messages_to_responses_reply import MessagesFromResponse, message_of_response
from headrace.wire.openai_chat import show
from headrace.wire.pair import StreamTranslator, Translated

# Responses differ from chat in one field: no sequence can stop them.
FATES: Mapping[str, Fate] = {**CHAT_FATES, "stop_sequences": Fate.REFUSED}
NEUTRAL: Mapping[str, JsonValue] = {**CHAT_NEUTRAL, "stop_sequences": []}
COPIED: Mapping[str, str] = {
    "model": "model",
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
}
EFFORTS = ("low", "medium", "high", "xhigh", "max")


class MessagesToResponses:
    """Serves Messages by an upstream that speaks the Responses dialect."""

    client = Dialect.MESSAGES
    upstream = Dialect.RESPONSES

    def request(self, body: JsonObject) -> Translated:
        """Return the request as one for a response; raises InvalidRequest naming what that cannot express."""
        dropped = list(judge_fields(body, FATES, NEUTRAL))
        turns = read_messages(body)
        if turns[-1]["role"] == "assistant":
            param = f"messages[{len(turns) - 1}]"
            raise InvalidRequest(
                f'"{param}" begins the answer, which this model cannot continue; end with a user\'s message.',
                code="unsupported_field",
                param=param,
            )
        items = ResponseItems()
        items.read(body.get("system"), turns)
        asked: JsonObject = {name: body[own] for own, name in COPIED.items() if body.get(own) is not None}
        asked["input"] = items.items
        if body.get("stream"):
            asked["stream"] = True
        dropped += _translate_tools(body, asked)
        dropped += _translate_output(body, asked)
        dropped += _translate_account(body, asked)
        return Translated(asked, tuple(dict.fromkeys([*dropped, *items.dropped])))

    def reply(self, body: JsonObject, request: JsonObject) -> JsonObject:
        """Return a response as a message."""
        return message_of_response(body)

    def stream(self, request: JsonObject) -> StreamTranslator:
        """Return a translator of typed events to Messages events."""
        return MessagesFromResponse()


def _translate_tools(body: JsonObject, asked: JsonObject) -> list[str]:
    dropped: list[str] = []
    tools = body.get("tools")
    if isinstance(tools, list) and tools:
        asked["tools"] = [_tool(tool, f"tools[{index}]", dropped) for index, tool in enumerate(tools)]
    choice = body.get("tool_choice")
    if not is_object(choice):
        return dropped
    kind = choice.get("type")
    if kind == "tool":
        asked["tool_choice"] = {"type": "function", "name": choice.get("name")}
    elif isinstance(kind, str) and kind in CHOICES:
        asked["tool_choice"] = CHOICES[kind]
    else:
        raise InvalidRequest(
            f'"tool_choice" must have the type auto, any, tool or none, not {show(kind)}.', param="tool_choice"
        )
    if choice.get("disable_parallel_tool_use") is True:
        asked["parallel_tool_calls"] = False
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
    function: JsonObject = {"type": "function", "name": tool["name"]}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    function["parameters"] = tool.get("input_schema") or {"type": "object", "properties": {}}
    # A schema of Messages need not be strict; here it would be strict unless that is said.
    function["strict"] = tool.get("strict") is True
    return function


def _translate_output(body: JsonObject, asked: JsonObject) -> list[str]:
    schema = output_schema(body)
    if schema is not None:
        shape: JsonObject = {"type": "json_schema", "name": "answer", "schema": schema[1]["schema"], "strict": True}
        asked["text"] = {"format": shape}
    config, thinking = body.get("output_config"), body.get("thinking")
    dropped: list[str] = []
    if is_object(config):
        dropped += [f"output_config.{name}" for name in config if name not in ("effort", "format")]
    reasoning: JsonObject = {}
    effort = _effort(config, thinking)
    if effort is not None:
        reasoning["effort"] = effort
    if is_object(thinking):
        if thinking.get("type") == "disabled":
            # Not every model that reasons can be told not to.
            dropped.append("thinking")
        elif _shows_thinking(thinking):
            reasoning["summary"] = "auto"
    if reasoning:
        asked["reasoning"] = reasoning
    return dropped


def _shows_thinking(thinking: JsonObject) -> bool:
    display = thinking.get("display")
    return display == "summarized" or (display is None and thinking.get("type") == "enabled")


def _effort(config: JsonValue, thinking: JsonValue) -> str | None:
    named = config.get("effort") if is_object(config) else None
    if named is not None:
        if not isinstance(named, str) or named not in EFFORTS:
            raise InvalidRequest(
                f'"output_config.effort" must be one of {", ".join(EFFORTS)}, not {show(named)}.',
                param="output_config.effort",
            )
        return named
    budget = thinking.get("budget_tokens") if is_object(thinking) and thinking.get("type") == "enabled" else None
    if not isinstance(budget, int):
        return None
    return next((effort for most, effort in EFFORT_BUDGETS if budget <= most), "high")


def _translate_account(body: JsonObject, asked: JsonObject) -> list[str]:
    """Translate whose request it is and which tier shall serve it."""
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
