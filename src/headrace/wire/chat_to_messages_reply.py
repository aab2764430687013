"""Messages, whole or streamed, as chat completions: content, tool calls, reasoning, finish reasons and usage.

Source: Anthropic API reference, "Messages" and "Streaming messages"; OpenAI API reference, "Chat completion object"
and "chunk object" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.anthropic_usage import read_usage
from headrace.wire.json_strict import encode, is_object
from headrace.wire.messages_events import MessagesEvents
from headrace.wire.sse import DONE, data_frame

FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_SEALED = ("thinking", "redacted_thinking")


def chat_reply(body: JsonObject, created_unix_seconds: int) -> JsonObject:
    """Return a message as a chat completion."""
    given = body.get("content")
    blocks = [block for block in given if is_object(block)] if isinstance(given, list) else []
    text = "".join(str(block.get("text")) for block in blocks if block.get("type") == "text")
    message: JsonObject = {"role": "assistant", "content": text or None, "refusal": None}
    thoughts = [block for block in blocks if block.get("type") in _SEALED]
    reasoning = "".join(str(block.get("thinking") or "") for block in thoughts)
    if reasoning:
        message["reasoning_content"] = reasoning
    if any(block.get("signature") or block.get("data") for block in thoughts):
        message["thinking_blocks"] = list[JsonValue](thoughts)
    calls = [_tool_call(block) for block in blocks if block.get("type") == "tool_use"]
    if calls:
        message["tool_calls"] = list[JsonValue](calls)
    finish = finish_reason(body.get("stop_reason"))
    return {
        "id": body.get("id"),
        "object": "chat.completion",
        "created": created_unix_seconds,
        "model": body.get("model"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": chat_usage(body.get("usage")),
    }


def finish_reason(stop_reason: JsonValue) -> str:
    """Return chat's finish reason; a reason that is not known here is a plain stop."""
    return FINISH_REASONS.get(stop_reason, "stop") if isinstance(stop_reason, str) else "stop"


def chat_usage(block: JsonValue) -> JsonObject:
    """Return a usage block in chat's form: its prompt count includes what was read from and written to the cache."""
    usage = read_usage(block) or Usage()
    written = usage.input_cache_write_5m + usage.input_cache_write_1h
    chat: JsonObject = {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.input_total + usage.output_total,
        "prompt_tokens_details": {"cached_tokens": usage.input_cache_read, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": usage.output_reasoning},
    }
    if is_object(block) and block.get("estimated") is True:
        chat["estimated"] = True
    return chat


class ChatFromMessages(MessagesEvents):
    """Turns the events of one Messages stream into chat chunks."""

    def __init__(self, created_unix_seconds: int, *, show_usage: bool) -> None:
        super().__init__()
        self._head: JsonObject = {"object": "chat.completion.chunk", "created": created_unix_seconds}
        self._show_usage = show_usage
        self._tool_index = -1

    def finish(self) -> bytes:
        """Return the finish reason, the usage when the caller asked for it, and the terminator."""
        choice: JsonObject = {"index": 0, "delta": {}, "finish_reason": finish_reason(self._stop_reason)}
        out = self._chunk([choice])
        if self._show_usage:
            out += self._chunk([], usage=chat_usage(self._usage), headrace=self._money)
        return out + DONE

    def _start(self, message: JsonObject) -> bytes:
        if not message:
            return b""
        self._head = {"id": message.get("id"), **self._head, "model": message.get("model")}
        return self._content({"role": "assistant", "content": ""})

    def _open(self) -> bytes:
        match self._block.get("type"):
            case "tool_use":
                self._tool_index += 1
                function: JsonObject = {"name": self._block.get("name"), "arguments": ""}
                return self._tool({"id": self._block.get("id"), "type": "function", "function": function})
            case "text" if self._block.get("text"):
                return self._content({"content": self._block["text"]})
            case "thinking" if self._block.get("thinking"):
                return self._content({"reasoning_content": self._block["thinking"]})
            case "redacted_thinking":
                return self._content({"thinking_blocks": [self._block]})
            case _:
                return b""

    def _delta(self, delta: JsonObject) -> bytes:
        match delta.get("type"):
            case "text_delta":
                return self._content({"content": delta.get("text")})
            case "thinking_delta":
                self._extend("thinking", delta.get("thinking"))
                return self._content({"reasoning_content": delta.get("thinking")})
            case "signature_delta":
                self._extend("signature", delta.get("signature"))
                return b""
            case "input_json_delta" if self._block.get("type") == "tool_use" and delta.get("partial_json"):
                self._has_arguments = True
                return self._tool({"function": {"arguments": delta.get("partial_json")}})
            case _:
                return b""

    def _close(self, block: JsonObject) -> bytes:
        if block.get("type") == "thinking" and block.get("signature"):
            return self._content({"thinking_blocks": [block]})
        if block.get("type") == "tool_use" and not self._has_arguments:
            return self._tool({"function": {"arguments": encode(block.get("input") or {}).decode()}})
        return b""

    def _content(self, delta: JsonObject) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": None}])

    def _tool(self, call: JsonObject) -> bytes:
        return self._content({"tool_calls": [{"index": self._tool_index, **call}]})

    def _chunk(self, choices: list[JsonValue], **more: JsonValue) -> bytes:
        return data_frame(encode({**self._head, "choices": choices, **more}))


def _tool_call(block: JsonObject) -> JsonObject:
    function: JsonObject = {"name": block.get("name"), "arguments": encode(block.get("input") or {}).decode()}
    return {"id": block.get("id"), "type": "function", "function": function}
