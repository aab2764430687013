"""A caller of the Responses dialect served by an upstream that speaks chat completions.

Source: OpenAI API reference, "Create a model response" and "Create chat completion" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from headrace.domain.call import Dialect
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.dialect_fields import Fate, judge_fields, left_of
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import show
from headrace.wire.openai_responses import LOGPROBS_INCLUDED, wants_logprobs
from headrace.wire.pair import Translated
from headrace.wire.responses_input import function_tool
from headrace.wire.responses_object import id_stem
from headrace.wire.responses_to_chat_items import chat_messages
from headrace.wire.responses_usage import responses_usage
from headrace.wire.responses_writer import ResponseWriter
from headrace.wire.sealed_reasoning import seal_blocks

SAME_NAME = (
    "frequency_penalty",
    "moderation",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "temperature",
    "top_p",
    "user",
)
# Served by us and said back in the answer: they need no place in the upstream's request.
OURS = ("metadata", "previous_response_id", "store")
FATES: Mapping[str, Fate] = {
    **dict.fromkeys(SAME_NAME, Fate.TRANSLATED),
    **dict.fromkeys(OURS, Fate.TRANSLATED),
    "include": Fate.TRANSLATED,
    "input": Fate.TRANSLATED,
    "instructions": Fate.TRANSLATED,
    "max_output_tokens": Fate.TRANSLATED,
    "model": Fate.TRANSLATED,
    "parallel_tool_calls": Fate.TRANSLATED,
    "reasoning": Fate.TRANSLATED,
    "stream": Fate.TRANSLATED,
    "stream_options": Fate.TRANSLATED,
    "text": Fate.TRANSLATED,
    "tool_choice": Fate.TRANSLATED,
    "tools": Fate.TRANSLATED,
    "top_logprobs": Fate.TRANSLATED,
    "access_programs": Fate.REFUSED,
    "background": Fate.REFUSED,
    "background_options": Fate.REFUSED,
    "conversation": Fate.REFUSED,
    "prompt": Fate.REFUSED,
    "context_management": Fate.DROPPED,
    "image": Fate.DROPPED,
    "max_tool_calls": Fate.DROPPED,
    "truncation": Fate.DROPPED,
}
NEUTRAL: Mapping[str, JsonValue] = {"background": False, "truncation": "disabled"}
_TOOL_FIELDS = ("name", "description", "parameters", "strict")
_INCOMPLETE: Mapping[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesToChat:
    """The pair; it keeps nothing."""

    client = Dialect.RESPONSES
    upstream = Dialect.CHAT

    def request(self, body: JsonObject) -> Translated:
        """Return the chat request; raises InvalidRequest naming the field that chat has no place for."""
        dropped = [*judge_fields(body, FATES, NEUTRAL)]
        messages, dropped_of_items = chat_messages(body)
        given: JsonObject = {name: value for name, value in body.items() if value is not None}
        chat: JsonObject = {"model": given.get("model"), "messages": messages}
        chat |= {name: given[name] for name in SAME_NAME if name in given}
        if "max_output_tokens" in given:
            chat["max_completion_tokens"] = given["max_output_tokens"]
        if given.get("stream") is True:
            chat |= {"stream": True, "stream_options": {"include_usage": True}}
        chat |= _tool_use(given, dropped)
        chat |= _text_fields(given, dropped)
        chat |= _logprobs(given)
        reasoning = given.get("reasoning")
        if is_object(reasoning) and reasoning.get("effort") is not None:
            chat["reasoning_effort"] = reasoning["effort"]
        dropped += left_of(reasoning, ("effort",), "reasoning") + left_of(
            given.get("stream_options"), (), "stream_options"
        )
        include = given.get("include")
        asked = include if isinstance(include, list) else []
        dropped += [f"include.{name}" for name in asked if name != LOGPROBS_INCLUDED]
        return Translated(chat, tuple(dict.fromkeys((*dropped, *dropped_of_items))))

    def reply(self, body: JsonObject, request: JsonObject) -> JsonObject:
        """Return a chat completion as a response."""
        translator = ChatChunksToResponse(request)
        translator.event(_as_chunk(body))
        translator.finish()
        return translator.response

    def stream(self, request: JsonObject) -> ChatChunksToResponse:
        """Return a translator of one stream of chat chunks into typed events."""
        return ChatChunksToResponse(request)


class ChatChunksToResponse:
    """Turns chat chunks into the typed events of one response."""

    def __init__(self, request: JsonObject) -> None:
        self._writer = ResponseWriter(request)
        self._stem = "0"
        self._usage: JsonObject | None = None
        self._more: JsonObject = {}
        self._finish_reason: str | None = None
        self._waiting: dict[int, JsonObject] = {}
        self._begun: set[int] = set()

    @property
    def response(self) -> JsonObject:
        """The response as far as it was written."""
        return self._writer.response

    def event(self, data: JsonObject) -> bytes:
        """Take one chunk."""
        frames = b"" if self._writer.started else self._start(data)
        usage = data.get("usage")
        if is_object(usage):
            self._usage = responses_usage(usage)
        for name in ("headrace", "service_tier"):
            if data.get(name) is not None:
                self._more[name] = data[name]
        choices = data.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if is_object(choice):
                frames += self._choice(choice)
        return frames

    def finish(self) -> bytes:
        """Return the end of the response, incomplete when the model stopped short."""
        return self._writer.end(_INCOMPLETE.get(self._finish_reason or ""), self._usage, self._more)

    def _start(self, data: JsonObject) -> bytes:
        created, model = data.get("created"), data.get("model")
        self._stem = id_stem(data.get("id"))
        return self._writer.start(
            self._stem, created if isinstance(created, int) else 0, model if isinstance(model, str) else ""
        )

    def _choice(self, choice: JsonObject) -> bytes:
        reason, delta = choice.get("finish_reason"), choice.get("delta")
        if isinstance(reason, str):
            self._finish_reason = reason
        if not is_object(delta):
            return b""
        frames = b""
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            frames += self._writer.reasoning(thought)
        blocks = delta.get("thinking_blocks")
        if isinstance(blocks, list) and blocks:
            frames += self._writer.seal_reasoning(seal_blocks(blocks))
        return frames + self._said(choice, delta)

    def _said(self, choice: JsonObject, delta: JsonObject) -> bytes:
        frames = b""
        said, refused = delta.get("content"), delta.get("refusal")
        if isinstance(said, str) and said:
            frames += self._writer.text(said, _token_logprobs(choice.get("logprobs")))
        if isinstance(refused, str) and refused:
            frames += self._writer.refusal(refused)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if is_object(call):
                frames += self._call(call)
        return frames

    def _call(self, call: JsonObject) -> bytes:
        index, function = call.get("index"), call.get("function")
        key = index if isinstance(index, int) else 0
        part = function if is_object(function) else {}
        waiting = self._waiting.setdefault(key, {"id": f"call_{self._stem}_{key}", "arguments": ""})
        frames, name = b"", part.get("name")
        if call.get("id"):
            waiting["id"] = call["id"]
        if key not in self._begun and isinstance(name, str) and name:
            self._begun.add(key)
            frames = self._writer.tool_call(key, str(waiting["id"]), name)
            if waiting["arguments"]:
                frames += self._writer.arguments(key, str(waiting["arguments"]))
        piece = part.get("arguments")
        if not isinstance(piece, str) or not piece:
            return frames
        if key in self._begun:
            return frames + self._writer.arguments(key, piece)
        waiting["arguments"] = f"{waiting['arguments']}{piece}"
        return frames


def _as_chunk(body: JsonObject) -> JsonObject:
    """Return a chat completion as if it were one chunk: the first choice's message is its delta."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    choice = first if is_object(first) else {}
    message = choice.get("message")
    delta = dict(message) if is_object(message) else {}
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        delta["tool_calls"] = [
            {**call, "index": index} if is_object(call) else call for index, call in enumerate(calls)
        ]
    return {**body, "choices": [{**choice, "delta": delta}]}


def _tool_use(given: JsonObject, dropped: list[str]) -> JsonObject:
    tools = given.get("tools")
    if not isinstance(tools, list) or not tools:
        return {}
    chat: JsonObject = {
        "tools": [_tool(function_tool(tool, f"tools[{index}]"), dropped) for index, tool in enumerate(tools)]
    }
    if "parallel_tool_calls" in given:
        chat["parallel_tool_calls"] = given["parallel_tool_calls"]
    if "tool_choice" in given:
        chat["tool_choice"] = _tool_choice(given["tool_choice"], dropped)
    return chat


def _tool(tool: JsonObject, dropped: list[str]) -> JsonObject:
    dropped += [f"tools.{name}" for name in tool if name not in (*_TOOL_FIELDS, "type") and tool[name] is not None]
    return {"type": "function", "function": {name: tool[name] for name in _TOOL_FIELDS if tool.get(name) is not None}}


def _tool_choice(choice: JsonValue, dropped: list[str]) -> JsonValue:
    if isinstance(choice, str):
        return choice
    if is_object(choice) and choice.get("type") == "function":
        dropped += left_of(choice, ("type", "name"), "tool_choice")
        return {"type": "function", "function": {"name": choice.get("name")}}
    if is_object(choice) and choice.get("type") == "allowed_tools":
        dropped += left_of(choice, ("type", "mode", "tools"), "tool_choice")
        tools = choice.get("tools")
        named = [_tool_choice(tool, dropped) for tool in tools] if isinstance(tools, list) else []
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode"), "tools": named}}
    raise InvalidRequest(
        f'"tool_choice" {show(choice)} cannot be served by this model: it takes function tools only.',
        code="unsupported_field",
        param="tool_choice",
    )


def _text_fields(given: JsonObject, dropped: list[str]) -> JsonObject:
    text = given.get("text")
    if not is_object(text):
        return {}
    chat: JsonObject = {}
    if text.get("verbosity") is not None:
        chat["verbosity"] = text["verbosity"]
    shape = text.get("format")
    if is_object(shape) and shape.get("type") != "text":
        chat["response_format"] = _response_format(shape, dropped)
    elif is_object(shape):
        dropped += left_of(shape, ("type",), "text.format")
    dropped += left_of(text, ("verbosity", "format"), "text")
    return chat


def _response_format(shape: JsonObject, dropped: list[str]) -> JsonObject:
    if shape.get("type") != "json_schema":
        dropped += left_of(shape, ("type",), "text.format")
        return {"type": shape.get("type")}
    inner: JsonObject = {name: value for name, value in shape.items() if name != "type" and value is not None}
    return {"type": "json_schema", "json_schema": inner}


def _logprobs(given: JsonObject) -> JsonObject:
    if not wants_logprobs(given):
        return {}
    most = given.get("top_logprobs")
    return {"logprobs": True, "top_logprobs": most} if most else {"logprobs": True}


def _token_logprobs(logprobs: JsonValue) -> list[JsonValue]:
    content = logprobs.get("content") if is_object(logprobs) else None
    return [_token(token) for token in content if is_object(token)] if isinstance(content, list) else []


def _token(token: JsonObject) -> JsonObject:
    top = token.get("top_logprobs")
    others = [_bare_token(other) for other in top if is_object(other)] if isinstance(top, list) else []
    return {**_bare_token(token), "top_logprobs": cast("list[JsonValue]", others)}


def _bare_token(token: JsonObject) -> JsonObject:
    text, its_bytes = token.get("token"), token.get("bytes")
    spelled = its_bytes if isinstance(its_bytes, list) else list[JsonValue](str(text).encode())
    return {"token": text, "logprob": token.get("logprob"), "bytes": spelled}
