"""The Responses dialect in, Anthropic's Messages upstream: the request's fields.

Input items are responses_to_messages_items', the way back is responses_to_messages_reply's.
Source: OpenAI API reference, "Create a model response"; Anthropic API reference, "Create a message" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.domain.call import Dialect
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.chat_to_messages import CHOICES, MAX_TEMPERATURE, TIERS
from headrace.wire.chat_to_messages import EFFORTS as CHAT_EFFORTS
from headrace.wire.dialect_fields import Fate, judge_fields, left_of
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import show
from headrace.wire.openai_responses import LOGPROBS_INCLUDED, SEALED_REASONING
from headrace.wire.pair import Translated
from headrace.wire.responses_input import function_tool
from headrace.wire.responses_to_chat import FATES as CHAT_FATES
from headrace.wire.responses_to_chat import NEUTRAL as CHAT_NEUTRAL
from headrace.wire.responses_to_messages_items import MessageTurnsOfItems
from headrace.wire.responses_to_messages_reply import ResponseFromMessages, response_of_message

# Fields that chat has a place for and Messages has not: what they ask for is refused, a wish or a saving is left out.
FATES: Mapping[str, Fate] = {
    **CHAT_FATES,
    "moderation": Fate.REFUSED,
    "top_logprobs": Fate.REFUSED,
    "frequency_penalty": Fate.DROPPED,
    "presence_penalty": Fate.DROPPED,
    "prompt_cache_key": Fate.DROPPED,
    "prompt_cache_options": Fate.DROPPED,
    "prompt_cache_retention": Fate.DROPPED,
}
NEUTRAL: Mapping[str, JsonValue] = {**CHAT_NEUTRAL, "frequency_penalty": 0, "presence_penalty": 0, "top_logprobs": 0}
COPIED: Mapping[str, str] = {"model": "model", "max_output_tokens": "max_tokens", "top_p": "top_p"}
EFFORTS: Mapping[str, str] = {**CHAT_EFFORTS, "max": "max"}
TOOL_FATES: Mapping[str, Fate] = {
    "type": Fate.TRANSLATED,
    "name": Fate.TRANSLATED,
    "description": Fate.TRANSLATED,
    "parameters": Fate.TRANSLATED,
    "strict": Fate.TRANSLATED,
}
_SUMMARIES = ("summary", "generate_summary")


class ResponsesToMessages:
    """Serves the Responses dialect by an upstream that speaks Messages, whose answers do not say when they began."""

    client = Dialect.RESPONSES
    upstream = Dialect.MESSAGES

    def __init__(self, unix_seconds: Callable[[], int]) -> None:
        self._unix_seconds = unix_seconds

    def request(self, body: JsonObject) -> Translated:
        """Return the request as a Messages request; raises InvalidRequest naming what Messages cannot express."""
        dropped = list(judge_fields(body, FATES, NEUTRAL))
        turns = MessageTurnsOfItems()
        turns.read(body)
        if not turns.messages:
            raise InvalidRequest(
                '"input" has nothing that this model\'s provider could answer: instructions or reasoning only. Add '
                "a message of the user.",
                param="input",
            )
        fields: JsonObject = {name: body[own] for own, name in COPIED.items() if body.get(own) is not None}
        if turns.system:
            fields["system"] = turns.system
        fields["messages"] = turns.messages
        if body.get("stream") is True:
            fields["stream"] = True
        _translate_temperature(body, fields)
        _translate_tools(body, fields, dropped)
        _translate_text(body, fields, dropped)
        _translate_reasoning(body, fields, dropped)
        _translate_account(body, fields, dropped)
        dropped += left_of(body.get("stream_options"), (), "stream_options")
        return Translated(fields, tuple(dict.fromkeys([*dropped, *_unserved_includes(body), *turns.dropped])))

    def reply(self, body: JsonObject, request: JsonObject) -> JsonObject:
        """Return a message as a response."""
        return response_of_message(body, request, self._unix_seconds())

    def stream(self, request: JsonObject) -> ResponseFromMessages:
        """Return a translator of Messages events to typed events."""
        return ResponseFromMessages(request, self._unix_seconds())


def _unserved_includes(body: JsonObject) -> list[str]:
    include = body.get("include")
    asked = include if isinstance(include, list) else []
    if LOGPROBS_INCLUDED in asked:
        raise InvalidRequest(
            f'"include" asks for {LOGPROBS_INCLUDED}, which this model\'s provider does not give. Leave it out.',
            code="unsupported_field",
            param="include",
        )
    return [f"include.{name}" for name in asked if name != SEALED_REASONING]


def _translate_temperature(body: JsonObject, fields: JsonObject) -> None:
    temperature = body.get("temperature")
    if temperature is None:
        return
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or temperature > MAX_TEMPERATURE:
        raise InvalidRequest(
            f'"temperature" may be at most {MAX_TEMPERATURE} for this model, not {show(temperature)}.',
            param="temperature",
        )
    fields["temperature"] = temperature


def _translate_tools(body: JsonObject, fields: JsonObject, dropped: list[str]) -> None:
    given = body.get("tools")
    if not isinstance(given, list) or not given:
        return
    tools = [_tool(function_tool(tool, f"tools[{index}]"), dropped) for index, tool in enumerate(given)]
    choice = body.get("tool_choice")
    if is_object(choice) and choice.get("type") == "allowed_tools":
        dropped += left_of(choice, ("type", "mode", "tools"), "tool_choice")
        # Messages has no list of allowed tools; giving it no others comes to the same.
        tools, choice = _allowed(tools, choice), choice.get("mode") or "auto"
    fields["tools"] = list[JsonValue](tools)
    chosen = _tool_choice(choice, dropped)
    if body.get("parallel_tool_calls") is False:
        chosen = chosen or {"type": "auto"}
        if chosen["type"] != "none":
            chosen["disable_parallel_tool_use"] = True
    if chosen is not None:
        fields["tool_choice"] = chosen


def _allowed(tools: list[JsonObject], choice: JsonObject) -> list[JsonObject]:
    listed = choice.get("tools")
    names = [each.get("name") for each in listed if is_object(each)] if isinstance(listed, list) else []
    known = [tool["name"] for tool in tools]
    missing = [name for name in names if name not in known]
    if missing or not names:
        raise InvalidRequest(
            f'"tool_choice.tools" must name tools of the request, not {show(listed)}.', param="tool_choice.tools"
        )
    return [tool for tool in tools if tool["name"] in names]


def _tool_choice(choice: JsonValue, dropped: list[str]) -> JsonObject | None:
    if choice is None:
        return None
    if isinstance(choice, str) and choice in CHOICES:
        return {"type": CHOICES[choice]}
    if is_object(choice) and choice.get("type") == "function":
        dropped += left_of(choice, ("type", "name"), "tool_choice")
        return {"type": "tool", "name": choice.get("name")}
    raise InvalidRequest(
        f'"tool_choice" must be auto, none, required or functions for this model, not {show(choice)}.',
        code="unsupported_field",
        param="tool_choice",
    )


def _tool(tool: JsonObject, dropped: list[str]) -> JsonObject:
    dropped += [f"tools.{name}" for name in judge_fields(tool, TOOL_FATES, {})]
    translated: JsonObject = {"name": tool["name"]}
    if tool.get("description") is not None:
        translated["description"] = tool["description"]
    translated["input_schema"] = tool.get("parameters") or {"type": "object", "properties": {}}
    if tool.get("strict") is not None:
        translated["strict"] = tool["strict"]
    return translated


def _translate_text(body: JsonObject, fields: JsonObject, dropped: list[str]) -> None:
    text = body.get("text")
    dropped += left_of(text, ("format",), "text")
    shape = text.get("format") if is_object(text) else None
    dropped += left_of(shape, ("type", "name", "schema", "strict"), "text.format")
    if not is_object(shape) or shape.get("type") == "text":
        return
    if shape.get("type") != "json_schema" or not is_object(shape.get("schema")):
        raise InvalidRequest(
            '"text.format" must have the type json_schema with a schema for this model; it has no mode for JSON '
            f"without one. Sent was {show(shape)}.",
            code="unsupported_field",
            param="text.format",
        )
    fields["output_config"] = {"format": {"type": "json_schema", "schema": shape["schema"]}}


def _translate_reasoning(body: JsonObject, fields: JsonObject, dropped: list[str]) -> None:
    reasoning = body.get("reasoning")
    if not is_object(reasoning):
        return
    dropped += left_of(reasoning, ("effort", *_SUMMARIES), "reasoning")
    effort = reasoning.get("effort")
    if effort == "none":
        fields["thinking"] = {"type": "disabled"}
        return
    thinking: JsonObject = {}
    if effort is not None:
        if not isinstance(effort, str) or effort not in EFFORTS:
            raise InvalidRequest(
                f'"reasoning.effort" must be none, {", ".join(EFFORTS)}, not {show(effort)}.', param="reasoning.effort"
            )
        config = fields.get("output_config")
        fields["output_config"] = {**(config if is_object(config) else {}), "effort": EFFORTS[effort]}
        thinking = {"type": "adaptive"}
    if any(reasoning.get(name) is not None for name in _SUMMARIES):
        thinking = {"type": "adaptive", "display": "summarized"}
    if thinking:
        fields["thinking"] = thinking


def _translate_account(body: JsonObject, fields: JsonObject, dropped: list[str]) -> None:
    """Translate whose request it is and which tier shall serve it; tiers of other names are left out."""
    user, tier = body.get("safety_identifier") or body.get("user"), body.get("service_tier")
    if user is not None:
        fields["metadata"] = {"user_id": user}
    if isinstance(tier, str) and tier in TIERS:
        fields["service_tier"] = TIERS[tier]
    elif tier is not None:
        dropped.append("service_tier")
