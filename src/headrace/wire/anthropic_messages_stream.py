"""Anthropic's Messages stream behind the Reader's door: bytes pass through, scanned for meaning, usage and the end.

Content deltas are checked to be JSON and forwarded as they came; other frames are parsed. Frames from the final
`message_delta` on are held back until the turn has settled. Only `message_stop` makes an answer complete.
Source: Anthropic API reference, "Streaming messages" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headrace.domain.errors import UpstreamTruncated
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.anthropic_failure import error_in_answer
from headrace.wire.anthropic_usage import merge_usage, read_usage, write_usage
from headrace.wire.frame_reader import FrameReader, check_json
from headrace.wire.json_strict import encode, is_object
from headrace.wire.sse import named_frame

_DELTA_STARTS = (b'{"type":"content_block_delta"', b'{"type": "content_block_delta"')
_WRITTEN_FIELDS = ("text", "thinking", "partial_json", "signature", "citation")
_SILENT_BLOCKS: Mapping[str, str] = {"text": "text", "thinking": "thinking"}


class MessagesStreamReader(FrameReader):
    """Reads one streamed answer."""

    def __init__(self, model_id: str) -> None:
        super().__init__(model_id)
        self._final: JsonObject | None = None
        self._final_place = 0
        self._usage_block: JsonObject | None = None

    @property
    def usage(self) -> Usage | None:
        """The usage of `message_start` with what later frames say instead; never a sum.

        An answer that broke off has no final count of its output: that is ours then, and the usage says so.
        """
        usage = read_usage(self._usage_block)
        if usage is None or self._final is not None:
            return usage
        return replace(usage, output_text=max(usage.output_text, self.output_tokens_seen), source="counted")

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the held frames; the final `message_delta` carries the usage and what it cost."""
        held = list(self._held)
        if self._final is not None:
            given = self._final.get("usage")
            block = write_usage(usage, given if is_object(given) else self._usage_block)
            final = {**self._final, "usage": block, "headrace": dict(money)}
            held[self._final_place] = named_frame(b"message_delta", encode(final))
        return b"".join(self._early + held)

    def _read_data(self, frame: bytes, data: bytes) -> bytes | None:
        if self.meaningful and not self._is_finished and data.startswith(_DELTA_STARTS):
            return self._read_plain(frame, data)
        event = self._decode(data)
        return None if event is None else self._read_event(frame, event)

    def _read_plain(self, frame: bytes, data: bytes) -> bytes:
        check_json(data)
        self.output_tokens_seen += 1
        return frame

    def _read_event(self, frame: bytes, event: JsonObject) -> bytes | None:
        match event.get("type"):
            case "error":
                self.failure = error_in_answer(event)
                return None
            case "message_start":
                return self._place(self._started(frame, event))
            case "content_block_start":
                self._note_block(event.get("content_block"))
            case "content_block_delta":
                self._note_delta(event.get("delta"))
            case "message_delta":
                self._note_message_delta(event)
            case "message_stop":
                return self._stopped(frame)
            case _:
                pass
        return self._place(frame)

    def _started(self, frame: bytes, event: JsonObject) -> bytes:
        message = event.get("message")
        if not is_object(message):
            return frame
        self._usage_block = merge_usage(self._usage_block, message.get("usage"))
        return named_frame(b"message_start", encode({**event, "message": {**message, "model": self._model_id}}))

    def _note_block(self, block: JsonValue) -> None:
        if not is_object(block):
            return
        kind = block.get("type")
        silent = _SILENT_BLOCKS.get(kind) if isinstance(kind, str) else None
        if silent is None or block.get(silent):
            self.meaningful = True
            self.output_tokens_seen += 1

    def _note_delta(self, delta: JsonValue) -> None:
        if is_object(delta) and any(delta.get(name) for name in _WRITTEN_FIELDS):
            self.meaningful = True
            self.output_tokens_seen += 1

    def _note_message_delta(self, event: JsonObject) -> None:
        self._usage_block = merge_usage(self._usage_block, event.get("usage"))
        delta = event.get("delta")
        if self._final is not None or (is_object(delta) and delta.get("stop_reason") is not None):
            self.meaningful = True
            self._is_finished = True
            self._final = event
            self._final_place = len(self._held)

    def _stopped(self, frame: bytes) -> bytes | None:
        if self._final is None:
            self.failure = UpstreamTruncated("The upstream ended its stream before its answer was finished.")
            return None
        self._keep(frame)
        self.ended = self.failure is None
        return None
