"""Chat completions, whole or streamed, as Messages: content blocks, stop reasons and usage.

Source: OpenAI API reference, "Chat completion object" and "chunk object"; Anthropic API reference, "Streaming
messages" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.domain.errors import UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object
from headrace.wire.messages_writer import BlockWriter, tool_use, written_usage
from headrace.wire.openai_usage import read_usage

STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_REASONING_FIELDS = ("reasoning_content", "reasoning")


def messages_reply(body: JsonObject, request: JsonObject) -> JsonObject:
    """Return a chat completion as a message."""
    choice = _first(body.get("choices"))
    given = choice.get("message")
    message = given if is_object(given) else {}
    blocks = _thoughts(message)
    for name in ("content", "refusal"):
        if message.get(name):
            blocks.append({"type": "text", "text": message[name]})
    calls = message.get("tool_calls")
    for index, call in enumerate(calls if isinstance(calls, list) else ()):
        if is_object(call):
            blocks.append(_tool_use(call, index, is_cut=choice.get("finish_reason") == "length"))
    ending = _Ending.of(choice, message, request, has_tools=isinstance(calls, list) and bool(calls))
    return {
        **_head(body),
        "content": list[JsonValue](blocks),
        "stop_reason": ending.reason,
        "stop_sequence": ending.sequence,
        "usage": _usage(body.get("usage")),
    }


class MessagesFromChat:
    """Turns the chunks of one chat stream into Messages events; one content block is open at a time."""

    def __init__(self, request: JsonObject) -> None:
        self._request = request
        self._writer = BlockWriter()
        self._calls: dict[int, _StreamedCall] = {}
        self._call: int | None = None
        self._ending: _Ending | None = None
        self._usage: JsonValue = None
        self._money: JsonValue = None
        self._is_refusal = False

    def event(self, data: JsonObject) -> bytes:
        """Take one chunk and return the events that it becomes; raises UpstreamProtocol when it contradicts itself."""
        out = b"" if self._writer.is_started else self._writer.start(_head(data))
        if is_object(data.get("usage")):
            self._usage = data["usage"]
        if data.get("headrace") is not None:
            self._money = data["headrace"]
        choice = _first(data.get("choices"))
        delta = choice.get("delta")
        if is_object(delta):
            out += self._delta(delta)
        if choice.get("finish_reason") is not None:
            message: JsonObject = {"refusal": True} if self._is_refusal else {}
            self._ending = _Ending.of(choice, message, self._request, has_tools=bool(self._calls))
        return out

    def finish(self) -> bytes:
        """Return the end of the open block, the stop reason with the usage, and the end of the message."""
        out = b"" if self._writer.is_started else self._writer.start(_head({}))
        ending = self._ending or _Ending("end_turn", None)
        end = self._writer.finish(ending.reason, ending.sequence, _usage(self._usage), self._money)
        return out + self._writer.close() + end

    def _delta(self, delta: JsonObject) -> bytes:
        out = b""
        for name in _REASONING_FIELDS:
            text = delta.get(name)
            if isinstance(text, str) and text:
                out += self._writer.write("thinking", {"type": "thinking_delta", "thinking": text})
                break
        out += self._seals(delta.get("thinking_blocks"))
        for name in ("content", "refusal"):
            text = delta.get(name)
            if isinstance(text, str) and text:
                self._is_refusal = self._is_refusal or name == "refusal"
                out += self._writer.write("text", {"type": "text_delta", "text": text})
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if is_object(call):
                out += self._tool_delta(call)
        return out

    def _seals(self, blocks: JsonValue) -> bytes:
        """Return what seals thinking: the signature of the open block, or a sealed block of its own."""
        out = b""
        for block in blocks if isinstance(blocks, list) else ():
            if not is_object(block):
                continue
            if block.get("type") == "redacted_thinking":
                out += self._writer.begin("redacted_thinking", block)
            elif block.get("signature"):
                out += self._writer.write("thinking", {"type": "signature_delta", "signature": block["signature"]})
                out += self._writer.close()
        return out

    def _tool_delta(self, item: JsonObject) -> bytes:
        place = self._place_of(item)
        call = self._calls.setdefault(place, _StreamedCall())
        piece = call.take(item)
        if place != self._call or self._writer.open != "tool_use":
            if call.is_open:
                raise UpstreamProtocol("The upstream went back to a tool call that it had left.")
            if not call.name:
                return b""
            call.is_open, self._call = True, place
            use: JsonObject = {"type": "tool_use", "id": call.id or f"toolu_{place}", "name": call.name, "input": {}}
            out, piece = self._writer.begin("tool_use", use), call.early
        else:
            out = b""
        if not piece:
            return out
        return out + self._writer.add({"type": "input_json_delta", "partial_json": piece})

    def _place_of(self, item: JsonObject) -> int:
        """Return which call a delta belongs to; upstreams that leave the index out send whole calls with ids."""
        index, name = item.get("index"), item.get("id")
        if isinstance(index, int):
            return index
        known = (place for place, call in self._calls.items() if call.id == name)
        return next(known, len(self._calls)) if name else self._call or 0


class _StreamedCall:
    """One tool call of a stream; its arguments wait until its name is known."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.early = ""
        self.is_open = False

    def take(self, item: JsonObject) -> str:
        function = item.get("function")
        if isinstance(item.get("id"), str):
            self.id = self.id or str(item["id"])
        if not is_object(function):
            return ""
        if not self.is_open and isinstance(function.get("name"), str):
            self.name += str(function["name"])
        piece = function.get("arguments")
        piece = piece if isinstance(piece, str) else ""
        if not self.is_open:
            self.early += piece
        return piece


@dataclass(frozen=True, slots=True)
class _Ending:
    """Why a message stopped, and the stop sequence when one was it and the upstream says which."""

    reason: str
    sequence: str | None

    @classmethod
    def of(cls, choice: JsonObject, message: JsonObject, request: JsonObject, *, has_tools: bool) -> _Ending:
        finish, matched = choice.get("finish_reason"), choice.get("stop_reason")
        reason = STOP_REASONS.get(finish, "end_turn") if isinstance(finish, str) else "end_turn"
        if reason == "end_turn" and has_tools:
            return cls("tool_use", None)
        if reason == "end_turn" and message.get("refusal"):
            return cls("refusal", None)
        sequences = request.get("stop_sequences")
        if reason == "end_turn" and isinstance(matched, str) and isinstance(sequences, list) and matched in sequences:
            return cls("stop_sequence", matched)
        return cls(reason, None)


def _first(choices: JsonValue) -> JsonObject:
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if is_object(first) else {}


def _thoughts(message: JsonObject) -> list[JsonObject]:
    sealed = message.get("thinking_blocks")
    if isinstance(sealed, list) and sealed:
        return [block for block in sealed if is_object(block)]
    for name in _REASONING_FIELDS:
        if message.get(name):
            return [{"type": "thinking", "thinking": message[name], "signature": ""}]
    return []


def _tool_use(call: JsonObject, index: int, *, is_cut: bool) -> JsonObject:
    given = call.get("function")
    function = given if is_object(given) else {}
    name = call.get("id") or f"toolu_{index}"
    return tool_use(name, function.get("name"), function.get("arguments"), is_cut=is_cut)


def _head(body: JsonObject) -> JsonObject:
    given = body.get("id")
    stem = given.removeprefix("chatcmpl-").removeprefix("msg_") if isinstance(given, str) else ""
    return {"id": f"msg_{stem}", "type": "message", "role": "assistant", "model": body.get("model")}


def _usage(block: JsonValue) -> JsonObject:
    return written_usage(read_usage(block), block)
