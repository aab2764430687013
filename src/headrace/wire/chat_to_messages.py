"""Chat completions in, Anthropic's Messages upstream: the request's fields.

Turns and their parts are chat_to_messages_content's, the way back is chat_to_messages_reply's.
Source: OpenAI API reference, "Create chat completion"; Anthropic API reference, "Create a message" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.domain.call import Dialect
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.chat_to_messages_content import MessageTurns
from headrace.wire.chat_to_messages_reply import ChatFromMessages, chat_reply
from headrace.wire.dialect_fields import Fate, judge_fields, left_of
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import CAP_FIELDS, show
from headrace.wire.pair import StreamTranslator, Translated

FATES: Mapping[str, Fate] = {
    "model": Fate.TRANSLATED,
    "messages": Fate.TRANSLATED,
    "max_tokens": Fate.TRANSLATED,
    "max_completion_tokens": Fate.TRANSLATED,
    "stream": Fate.TRANSLATED,
    "stream_options": Fate.TRANSLATED,
    "stop": Fate.TRANSLATED,
    "temperature": Fate.TRANSLATED,
    "top_p": Fate.TRANSLATED,
    "tools": Fate.TRANSLATED,
    "tool_choice": Fate.TRANSLATED,
    "parallel_tool_calls": Fate.TRANSLATED,
    "response_format": Fate.TRANSLATED,
    "reasoning_effort": Fate.TRANSLATED,
    "user": Fate.TRANSLATED,
    "safety_identifier": Fate.TRANSLATED,
    "service_tier": Fate.TRANSLATED,
    # Fields of Messages that chat clients send beside chat's own, because chat has no word for them.
    "thinking": Fate.TRANSLATED,
    "top_k": Fate.TRANSLATED,
    "cache_control": Fate.TRANSLATED,
    # What these ask for would be missing from the answer, or would make it another one.
    "audio": Fate.REFUSED,
    "function_call": Fate.REFUSED,
    "functions": Fate.REFUSED,
    "logit_bias": Fate.REFUSED,
    "logprobs": Fate.REFUSED,
    "modalities": Fate.REFUSED,
    "moderation": Fate.REFUSED,
    "n": Fate.REFUSED,
    "top_logprobs": Fate.REFUSED,
    "web_search_options": Fate.REFUSED,
    # What these ask for is a wish, a saving or a label.
    "frequency_penalty": Fate.DROPPED,
    "metadata": Fate.DROPPED,
    "prediction": Fate.DROPPED,
    "presence_penalty": Fate.DROPPED,
    "prompt_cache_key": Fate.DROPPED,
    "prompt_cache_options": Fate.DROPPED,
    "prompt_cache_retention": Fate.DROPPED,
    "seed": Fate.DROPPED,
    "store": Fate.DROPPED,
    "verbosity": Fate.DROPPED,
}
NEUTRAL: Mapping[str, JsonValue] = {
    "frequency_penalty": 0,
    "functions": [],
    "logit_bias": {},
    "logprobs": False,
    "metadata": {},
    "modalities": ["text"],
    "n": 1,
    "presence_penalty": 0,
    "store": False,
    "top_logprobs": 0,
}
COPIED = ("model", "top_p", "thinking", "top_k", "cache_control")
MAX_TEMPERATURE = 1
FUNCTION_FATES: Mapping[str, Fate] = {
    "name": Fate.TRANSLATED,
    "description": Fate.TRANSLATED,
    "parameters": Fate.TRANSLATED,
    "strict": Fate.TRANSLATED,
}
EFFORTS: Mapping[str, str] = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh"}
TIERS: Mapping[str, str] = {"auto": "auto", "default": "standard_only"}
CHOICES: Mapping[str, str] = {"auto": "auto", "required": "any", "none": "none"}


class ChatToMessages:
    """Serves chat completions by an upstream that speaks Messages, whose answers do not say when they were made."""

    client = Dialect.CHAT
    upstream = Dialect.MESSAGES

    def __init__(self, unix_seconds: Callable[[], int]) -> None:
        self._unix_seconds = unix_seconds

    def request(self, body: JsonObject) -> Translated:
        """Return the request as a Messages request; raises InvalidRequest naming what Messages cannot express."""
        dropped = list(judge_fields(body, FATES, NEUTRAL))
        turns = MessageTurns()
        turns.read(body)
        if not turns.messages:
            raise InvalidRequest(
                '"messages" has instructions only, and this model\'s provider answers a conversation only. '
                "Add a message of the user.",
                param="messages",
            )
        fields: JsonObject = {name: body[name] for name in COPIED if body.get(name) is not None}
        if turns.system:
            fields["system"] = turns.system
        fields["messages"] = turns.messages
        cap = next((body[name] for name in CAP_FIELDS if body.get(name) is not None), None)
        if cap is not None:
            fields["max_tokens"] = cap
        if body.get("stream"):
            fields["stream"] = True
        _translate_sampling(body, fields)
        dropped += _translate_tools(body, fields)
        dropped += _translate_output(body, fields)
        dropped += _translate_account(body, fields)
        dropped += left_of(body.get("stream_options"), ("include_usage",), "stream_options")
        return Translated(fields, tuple(dict.fromkeys([*dropped, *turns.dropped])))

    def reply(self, body: JsonObject, request: JsonObject) -> JsonObject:
        """Return a message as a chat completion."""
        return chat_reply(body, self._unix_seconds())

    def stream(self, request: JsonObject) -> StreamTranslator:
        """Return a translator of Messages events to chat chunks."""
        options = request.get("stream_options")
        show_usage = is_object(options) and options.get("include_usage") is True
        return ChatFromMessages(self._unix_seconds(), show_usage=show_usage)


def _translate_sampling(body: JsonObject, fields: JsonObject) -> None:
    temperature, stop = body.get("temperature"), body.get("stop")
    if temperature is not None:
        if isinstance(temperature, bool) or not isinstance(temperature, int | float) or temperature > MAX_TEMPERATURE:
            raise InvalidRequest(
                f'"temperature" may be at most {MAX_TEMPERATURE} for this model, not {show(temperature)}.',
                param="temperature",
            )
        fields["temperature"] = temperature
    if stop is not None:
        fields["stop_sequences"] = [stop] if isinstance(stop, str) else stop


def _translate_tools(body: JsonObject, fields: JsonObject) -> list[str]:
    dropped: list[str] = []
    tools = body.get("tools")
    if not isinstance(tools, list) or not tools:
        return dropped
    fields["tools"] = [_tool(tool, f"tools[{index}]", dropped) for index, tool in enumerate(tools)]
    choice = _tool_choice(body.get("tool_choice"), dropped)
    if body.get("parallel_tool_calls") is False:
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    if choice is not None:
        fields["tool_choice"] = choice
    return dropped


def _tool_choice(choice: JsonValue, dropped: list[str]) -> JsonObject | None:
    if choice is None:
        return None
    if isinstance(choice, str) and choice in CHOICES:
        return {"type": CHOICES[choice]}
    function = choice.get("function") if is_object(choice) and choice.get("type") == "function" else None
    if is_object(function):
        dropped += left_of(choice, ("type", "function"), "tool_choice")
        dropped += left_of(function, ("name",), "tool_choice.function")
        return {"type": "tool", "name": function.get("name")}
    raise InvalidRequest(
        f'"tool_choice" must be auto, none, required or one function for this model, not {show(choice)}.',
        code="unsupported_field",
        param="tool_choice",
    )


def _tool(tool: JsonValue, param: str, dropped: list[str]) -> JsonObject:
    function = tool.get("function") if is_object(tool) else None
    if not is_object(tool) or tool.get("type") != "function" or not is_object(function):
        kind = tool.get("type") if is_object(tool) else tool
        raise InvalidRequest(
            f'"{param}" must be a function for this model, not {show(kind)}.',
            code="unsupported_field",
            param=f"{param}.type",
        )
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise InvalidRequest(f'"{param}.function.name" must be a non-empty string.', param=f"{param}.function.name")
    dropped += [f"tools.function.{name}" for name in judge_fields(function, FUNCTION_FATES, {})]
    dropped += left_of(tool, ("type", "function", "cache_control"), "tools")
    translated: JsonObject = {"name": function["name"]}
    if function.get("description") is not None:
        translated["description"] = function["description"]
    translated["input_schema"] = function.get("parameters") or {"type": "object", "properties": {}}
    if function.get("strict") is not None:
        translated["strict"] = function["strict"]
    if tool.get("cache_control") is not None:
        translated["cache_control"] = tool["cache_control"]
    return translated


def _translate_output(body: JsonObject, fields: JsonObject) -> list[str]:
    config: JsonObject = {}
    dropped: list[str] = []
    shape = body.get("response_format")
    dropped += left_of(shape, ("type", "json_schema"), "response_format")
    if is_object(shape) and shape.get("type") != "text":
        given = shape.get("json_schema")
        if shape.get("type") != "json_schema" or not is_object(given) or not is_object(given.get("schema")):
            raise InvalidRequest(
                '"response_format" must have the type json_schema with a schema for this model; it has no mode for'
                f" JSON without one. Sent was {show(shape)}.",
                code="unsupported_field",
                param="response_format",
            )
        config["format"] = {"type": "json_schema", "schema": given["schema"]}
        dropped += left_of(given, ("name", "schema", "strict"), "response_format.json_schema")
    effort = body.get("reasoning_effort")
    if effort == "none":
        fields.setdefault("thinking", {"type": "disabled"})
    elif effort is not None:
        if not isinstance(effort, str) or effort not in EFFORTS:
            raise InvalidRequest(
                f'"reasoning_effort" must be none, {", ".join(EFFORTS)}, not {show(effort)}.', param="reasoning_effort"
            )
        config["effort"] = EFFORTS[effort]
        fields.setdefault("thinking", {"type": "adaptive"})
    if config:
        fields["output_config"] = config
    return dropped


def _translate_account(body: JsonObject, fields: JsonObject) -> list[str]:
    """Translate whose request it is and which tier shall serve it; tiers of other names are left out."""
    user = body.get("safety_identifier") or body.get("user")
    if user is not None:
        fields["metadata"] = {"user_id": user}
    tier = body.get("service_tier")
    if isinstance(tier, str) and tier in TIERS:
        fields["service_tier"] = TIERS[tier]
        return []
    return [] if tier is None else ["service_tier"]
