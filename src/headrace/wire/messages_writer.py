"""Writing answers in Messages: content blocks as events, one open at a time, tool uses and the usage.

Source: Anthropic API reference, "Streaming messages" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.domain.errors import UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.anthropic_usage import usage_block
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.sse import named_frame

_EMPTY: Mapping[str, JsonObject] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


class BlockWriter:
    """Writes the events of one message; `open` is the type of the block that is open, or None."""

    def __init__(self) -> None:
        self.open: str | None = None
        self.is_started = False
        self._next_index = 0

    def start(self, head: JsonObject) -> bytes:
        """Return the beginning of the message; its usage is told at the end, in the final message_delta."""
        self.is_started = True
        empty: JsonObject = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage_block(Usage())}
        return _frame({"type": "message_start", "message": {**head, **empty}})

    def write(self, kind: str, delta: JsonObject) -> bytes:
        """Return a piece of text or thinking, after the beginning of its block where that is not open."""
        out = b"" if self.open == kind else self.begin(kind, _EMPTY[kind])
        return out + self.add(delta)

    def begin(self, kind: str, block: JsonObject) -> bytes:
        """Return the beginning of a block, after the end of the open one."""
        out = self.close()
        self.open = kind
        return out + _frame({"type": "content_block_start", "index": self._next_index, "content_block": block})

    def add(self, delta: JsonObject) -> bytes:
        """Return a piece of the open block."""
        return _frame({"type": "content_block_delta", "index": self._next_index, "delta": delta})

    def close(self) -> bytes:
        """Return the end of the open block, nothing when none is open."""
        if self.open is None:
            return b""
        self.open = None
        self._next_index += 1
        return _frame({"type": "content_block_stop", "index": self._next_index - 1})

    def finish(self, reason: str, sequence: str | None, usage: JsonObject, money: JsonValue) -> bytes:
        """Return why the message stopped, its usage and what it cost, and its end."""
        final: JsonObject = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": usage,
        }
        if money is not None:
            final["headrace"] = money
        return _frame(final) + _frame({"type": "message_stop"})


def tool_use(call_id: JsonValue, name: JsonValue, arguments: JsonValue, *, is_cut: bool) -> JsonObject:
    """Return a tool's use; raises UpstreamProtocol for arguments that are no JSON object, unless they were cut off."""
    use: JsonObject = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    text = arguments if isinstance(arguments, str) and arguments.strip() else "{}"
    try:
        given = decode_trusted(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        if is_cut:
            return {**use, "partial_json": text}
        raise UpstreamProtocol("The upstream's tool call has arguments that are not JSON.", detail=str(error)) from None
    if not is_object(given):
        raise UpstreamProtocol("The upstream's tool call has arguments that are not a JSON object.")
    return {**use, "input": given}


def written_usage(usage: Usage | None, block: JsonValue) -> JsonObject:
    """Return the usage as Messages write it, with the mark that the upstream's block has when we estimated it."""
    written = usage_block(usage or Usage())
    return {**written, "estimated": True} if is_object(block) and block.get("estimated") is True else written


def _frame(event: JsonObject) -> bytes:
    return named_frame(str(event["type"]).encode(), encode(event))
