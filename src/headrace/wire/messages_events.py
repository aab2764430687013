"""Reading the events of a Messages stream; what each becomes is the translation's to say.

Source: Anthropic API reference, "Streaming messages" (read 2026-11-24).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_usage import merge_usage
from headrace.wire.json_strict import is_object


class MessagesEvents(ABC):
    """Follows one message: its open block, its usage so far, why it stopped, and the money that its end tells."""

    def __init__(self) -> None:
        self._block: JsonObject = {}
        self._has_arguments = False
        self._usage: JsonObject | None = None
        self._stop_reason: JsonValue = None
        self._money: JsonValue = None

    def event(self, data: JsonObject) -> bytes:
        """Take one event and return what it becomes; those that the other dialect has no event for are silent."""
        match data.get("type"):
            case "message_start":
                message = data.get("message")
                given = message if is_object(message) else {}
                self._usage = merge_usage(self._usage, given.get("usage"))
                return self._start(given)
            case "content_block_start":
                block = data.get("content_block")
                self._block = dict(block) if is_object(block) else {}
                self._has_arguments = False
                return self._open()
            case "content_block_delta":
                delta = data.get("delta")
                return self._delta(delta) if is_object(delta) else b""
            case "content_block_stop":
                block, self._block = self._block, {}
                return self._close(block)
            case "message_delta":
                self._note_end(data)
            case _:
                pass
        return b""

    @abstractmethod
    def _start(self, message: JsonObject) -> bytes: ...

    @abstractmethod
    def _open(self) -> bytes: ...

    @abstractmethod
    def _delta(self, delta: JsonObject) -> bytes: ...

    @abstractmethod
    def _close(self, block: JsonObject) -> bytes: ...

    def _extend(self, name: str, piece: JsonValue) -> None:
        self._block[name] = f"{self._block.get(name) or ''}{piece or ''}"

    def _note_end(self, data: JsonObject) -> None:
        delta = data.get("delta")
        if is_object(delta) and delta.get("stop_reason") is not None:
            self._stop_reason = delta["stop_reason"]
        self._usage = merge_usage(self._usage, data.get("usage"))
        if data.get("headrace") is not None:
            self._money = data["headrace"]
