"""A caller of chat completions served by an upstream that speaks the Responses dialect.

Source: OpenAI API reference, "Create chat completion" and "Create a model response" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Dialect
from headrace.domain.errors import InvalidRequest, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.chat_to_responses_items import response_items
from headrace.wire.chat_to_responses_stream import ResponseEventsToChunks, finish_reason, logprobs_object
from headrace.wire.dialect_fields import Fate, judge_fields, left_of
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import CAP_FIELDS, show
from headrace.wire.openai_responses import LOGPROBS_INCLUDED
from headrace.wire.pair import Translated
from headrace.wire.responses_object import id_stem
from headrace.wire.responses_usage import shown_chat_usage
from headrace.wire.sealed_reasoning import block_of_item

SAME_NAME = (
    "metadata",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "temperature",
    "top_p",
    "user",
)
FATES: Mapping[str, Fate] = {
    **dict.fromkeys(SAME_NAME, Fate.TRANSLATED),
    **dict.fromkeys(CAP_FIELDS, Fate.TRANSLATED),
    "logprobs": Fate.TRANSLATED,
    "messages": Fate.TRANSLATED,
    "model": Fate.TRANSLATED,
    "parallel_tool_calls": Fate.TRANSLATED,
    "reasoning_effort": Fate.TRANSLATED,
    "response_format": Fate.TRANSLATED,
    "stream": Fate.TRANSLATED,
    "stream_options": Fate.TRANSLATED,
    "tool_choice": Fate.TRANSLATED,
    "tools": Fate.TRANSLATED,
    "top_logprobs": Fate.TRANSLATED,
    "verbosity": Fate.TRANSLATED,
    "audio": Fate.REFUSED,
    "function_call": Fate.REFUSED,
    "functions": Fate.REFUSED,
    "logit_bias": Fate.REFUSED,
    "modalities": Fate.REFUSED,
    "n": Fate.REFUSED,
    "stop": Fate.REFUSED,
    "web_search_options": Fate.REFUSED,
    "frequency_penalty": Fate.DROPPED,
    "prediction": Fate.DROPPED,
    "presence_penalty": Fate.DROPPED,
    "seed": Fate.DROPPED,
    "store": Fate.DROPPED,
}
NEUTRAL: Mapping[str, JsonValue] = {
    "frequency_penalty": 0,
    "logit_bias": {},
    "modalities": ["text"],
    "n": 1,
    "presence_penalty": 0,
    "stop": [],
    "store": False,
}


class ChatToResponses:
    """The pair; it keeps nothing."""

    client = Dialect.CHAT
    upstream = Dialect.RESPONSES

    def request(self, body: JsonObject) -> Translated:
        """Return the Responses request; raises InvalidRequest naming the field that it has no place for."""
        dropped = [*judge_fields(body, FATES, NEUTRAL)]
        items, dropped_of_messages = response_items(body)
        given: JsonObject = {name: value for name, value in body.items() if value is not None}
        asked: JsonObject = {"model": given.get("model"), "input": items}
        asked |= {name: given[name] for name in SAME_NAME if name in given}
        caps = [given[name] for name in CAP_FIELDS if name in given]
        if caps:
            asked["max_output_tokens"] = caps[0]
        if given.get("stream") is True:
            asked["stream"] = True
        asked |= _tool_use(given, dropped)
        asked |= _text_fields(given)
        dropped += left_of(given.get("response_format"), ("type", "json_schema"), "response_format")
        asked |= _logprobs(given)
        if "reasoning_effort" in given:
            asked["reasoning"] = {"effort": given["reasoning_effort"]}
        dropped += left_of(given.get("stream_options"), ("include_usage",), "stream_options")
        return Translated(asked, tuple(dict.fromkeys((*dropped, *dropped_of_messages))))

    def reply(self, body: JsonObject, request: JsonObject) -> JsonObject:
        """Return a response as a chat completion."""
        message, logprobs = _message(body.get("output"))
        created = body.get("created_at")
        usage = body.get("usage")
        completion: JsonObject = {
            "id": f"chatcmpl-{id_stem(body.get('id'))}",
            "object": "chat.completion",
            "created": int(created) if isinstance(created, int | float) else 0,
            "model": body.get("model"),
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": logprobs_object(logprobs),
                    "finish_reason": finish_reason(body, called="tool_calls" in message),
                }
            ],
        }
        if is_object(usage):
            completion["usage"] = shown_chat_usage(usage)
        if body.get("service_tier") is not None:
            completion["service_tier"] = body["service_tier"]
        return completion

    def stream(self, request: JsonObject) -> ResponseEventsToChunks:
        """Return a translator of one typed stream into chat chunks."""
        options = request.get("stream_options")
        return ResponseEventsToChunks(show_usage=is_object(options) and options.get("include_usage") is True)


def _message(output: JsonValue) -> tuple[JsonObject, list[JsonValue]]:
    """Return the assistant's message of all output items and the log probabilities of its text."""
    said: dict[str, str] = {}
    calls: list[JsonValue] = []
    sealed: list[JsonValue] = []
    logprobs: list[JsonValue] = []
    for item in output if isinstance(output, list) else ():
        if not is_object(item):
            continue
        match item.get("type"):
            case "message":
                logprobs += _add_parts(said, item.get("content"))
            case "reasoning":
                thoughts = _joined(item.get("content")) or _joined(item.get("summary"))
                said["reasoning_content"] = said.get("reasoning_content", "") + thoughts
                sealed += block_of_item(item)
            case "function_call":
                function: JsonObject = {"name": item.get("name"), "arguments": item.get("arguments")}
                calls.append({"id": item.get("call_id"), "type": "function", "function": function})
            case kind:
                raise UpstreamProtocol(f'The upstream answered with an item of type "{kind}", which chat cannot show.')
    message: JsonObject = {
        "role": "assistant",
        "content": said.get("text"),
        "refusal": said.get("refusal"),
        "annotations": [],
    }
    if said.get("reasoning_content"):
        message["reasoning_content"] = said["reasoning_content"]
    if sealed:
        message["thinking_blocks"] = sealed
    if calls:
        message["tool_calls"] = calls
    return message, logprobs


def _add_parts(said: dict[str, str], content: JsonValue) -> list[JsonValue]:
    logprobs: list[JsonValue] = []
    for part in content if isinstance(content, list) else ():
        if not is_object(part):
            continue
        for name in ("text", "refusal"):
            piece = part.get(name)
            if isinstance(piece, str):
                said[name] = said.get(name, "") + piece
        tokens = part.get("logprobs")
        logprobs += tokens if isinstance(tokens, list) else []
    return logprobs


def _joined(parts: JsonValue) -> str:
    texts = [part.get("text") for part in parts if is_object(part)] if isinstance(parts, list) else []
    return "\n\n".join(text for text in texts if isinstance(text, str) and text)


def _tool_use(given: JsonObject, dropped: list[str]) -> JsonObject:
    tools = given.get("tools")
    if not isinstance(tools, list) or not tools:
        return {}
    asked: JsonObject = {"tools": [_tool(tool, f"tools[{index}]", dropped) for index, tool in enumerate(tools)]}
    if "parallel_tool_calls" in given:
        asked["parallel_tool_calls"] = given["parallel_tool_calls"]
    if "tool_choice" in given:
        asked["tool_choice"] = _tool_choice(given["tool_choice"], dropped)
    return asked


def _tool(tool: JsonValue, param: str, dropped: list[str]) -> JsonObject:
    kind = tool.get("type") if is_object(tool) else None
    function = tool.get("function") if is_object(tool) else None
    if kind != "function" or not is_object(function):
        raise InvalidRequest(
            f'"{param}" is a tool of type "{kind}"; this model takes function tools only.',
            code="unsupported_field",
            param=f"{param}.type",
        )
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise InvalidRequest(f'"{param}.function.name" must be a non-empty string.', param=f"{param}.function.name")
    dropped += left_of(tool, ("type", "function"), "tools")
    # Chat's default is a schema that need not be strict; the other dialect's is a strict one.
    return {"type": "function", "strict": False, "parameters": None} | {
        name: value for name, value in function.items() if value is not None
    }


def _tool_choice(choice: JsonValue, dropped: list[str]) -> JsonValue:
    if isinstance(choice, str):
        return choice
    kind = choice.get("type") if is_object(choice) else None
    inner = choice.get(kind) if is_object(choice) and isinstance(kind, str) else None
    dropped += left_of(choice, ("type", "function", "allowed_tools"), "tool_choice")
    if kind == "function" and is_object(inner):
        dropped += left_of(inner, ("name",), "tool_choice.function")
        return {"type": "function", "name": inner.get("name")}
    if kind == "allowed_tools" and is_object(inner):
        dropped += left_of(inner, ("mode", "tools"), "tool_choice.allowed_tools")
        tools = inner.get("tools")
        named = [_tool_choice(tool, dropped) for tool in tools] if isinstance(tools, list) else []
        return {"type": "allowed_tools", "mode": inner.get("mode"), "tools": named}
    raise InvalidRequest(
        f'"tool_choice" {show(choice)} cannot be served by this model: it takes function tools only.',
        code="unsupported_field",
        param="tool_choice",
    )


def _text_fields(given: JsonObject) -> JsonObject:
    text: JsonObject = {}
    shape = given.get("response_format")
    if is_object(shape):
        inner = shape.get("json_schema")
        text["format"] = {**inner, "type": "json_schema"} if is_object(inner) else {"type": shape.get("type")}
    if "verbosity" in given:
        text["verbosity"] = given["verbosity"]
    return {"text": text} if text else {}


def _logprobs(given: JsonObject) -> JsonObject:
    if given.get("logprobs") is not True:
        if given.get("top_logprobs"):
            raise InvalidRequest('"top_logprobs" needs "logprobs": true.', param="top_logprobs")
        return {}
    asked: JsonObject = {"include": [LOGPROBS_INCLUDED]}
    return {**asked, "top_logprobs": given["top_logprobs"]} if given.get("top_logprobs") else asked
