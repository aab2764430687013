"""Anthropic's Messages stream behind the Reader's door: bytes pass through, scanned for meaning, usage and the end.

Content deltas are checked to be JSON and forwarded as they came; other frames are parsed. Frames from the final
`message_delta` on are held back until the turn has settled. Only `message_stop` makes an answer complete.
Source: Anthropic API reference, "Streaming messages" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from headrace.domain.errors import HeadraceError, UpstreamProtocol, UpstreamTruncated
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.anthropic_failure import error_in_answer
from headrace.wire.anthropic_usage import merge_usage, read_usage, write_usage
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.sse import FrameSplitter, FrameTooLong, frame_data, named_frame

MAX_KEPT_BYTES = 16 * 1024 * 1024
_RAW = msgspec.json.Decoder(msgspec.Raw)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_DELTA_STARTS = (b'{"type":"content_block_delta"', b'{"type": "content_block_delta"')
_WRITTEN_FIELDS = ("text", "thinking", "partial_json", "signature", "citation")
_SILENT_BLOCKS: Mapping[str, str] = {"text": "text", "thinking": "thinking"}


class MessagesStreamReader:
    """Reads one streamed answer."""

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id
        self._splitter = FrameSplitter()
        self._early: list[bytes] = []
        self._held: list[bytes] = []
        self._kept_bytes = 0
        self._final: JsonObject | None = None
        self._final_place = 0
        self._usage_block: JsonObject | None = None
        self.meaningful = False
        self.ended = False
        self.failure: HeadraceError | None = None
        self.output_tokens_seen = 0

    @property
    def usage(self) -> Usage | None:
        """The usage of `message_start` with what later frames say instead; never a sum.

        An answer that broke off has no final count of its output: that is ours then, and the usage says so.
        """
        usage = read_usage(self._usage_block)
        if usage is None or self._final is not None:
            return usage
        return replace(usage, output_text=max(usage.output_text, self.output_tokens_seen), source="counted")

    def feed(self, block: bytes) -> bytes:
        """Return the frames of this block that may leave now."""
        if self.failure is not None or self.ended:
            return b""
        try:
            frames = self._splitter.feed(block)
        except FrameTooLong as error:
            self.failure = UpstreamProtocol("The upstream sent an endless frame.", detail=str(error))
            return b""
        out: list[bytes] = []
        for frame in frames:
            ready = self._read_frame(frame)
            if ready is not None:
                out.append(ready)
            if self.failure is not None or self.ended:
                break
        return b"".join(out)

    def close(self) -> None:
        """Judge the end of the upstream's body: complete, or cut off."""
        if self.failure is not None or self.ended:
            return
        rest = self._splitter.rest.rstrip()
        if rest and frame_data(rest + b"\n\n") is not None:
            self._read_frame(rest + b"\n\n")
        self._judge_end()

    def _judge_end(self) -> None:
        if not self.ended and (self.failure is None or isinstance(self.failure, UpstreamProtocol)):
            self.failure = UpstreamTruncated("The upstream's stream ended before its answer was complete.")

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the held frames; the final `message_delta` carries the usage and what it cost."""
        held = list(self._held)
        if self._final is not None:
            given = self._final.get("usage")
            block = write_usage(usage, given if is_object(given) else self._usage_block)
            final = {**self._final, "usage": block, "headrace": dict(money)}
            held[self._final_place] = named_frame(b"message_delta", encode(final))
        return b"".join(self._early + held)

    def _read_frame(self, frame: bytes) -> bytes | None:
        data = frame_data(frame)
        if data is None:
            return self._place(frame)
        try:
            if self.meaningful and self._final is None and data.startswith(_DELTA_STARTS):
                return self._read_plain(frame, data)
            return self._read_event(frame, decode_trusted(data))
        except _NOT_JSON as error:
            self.failure = UpstreamProtocol("The upstream sent a frame that is not JSON.", detail=str(error))
            return None

    def _read_plain(self, frame: bytes, data: bytes) -> bytes:
        _RAW.decode(data)
        if not data.isascii():
            data.decode()
        self.output_tokens_seen += 1
        return frame

    def _read_event(self, frame: bytes, event: JsonValue) -> bytes | None:
        if not is_object(event):
            self.failure = UpstreamProtocol("The upstream sent a frame that is not an object.")
            return None
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
            self._final = event
            self._final_place = len(self._held)

    def _stopped(self, frame: bytes) -> bytes | None:
        if self._final is None:
            self.failure = UpstreamTruncated("The upstream ended its stream before its answer was finished.")
            return None
        self._keep(frame)
        self.ended = self.failure is None
        return None

    def _place(self, frame: bytes) -> bytes | None:
        if self._final is not None or not self.meaningful:
            self._keep(frame)
            return None
        if self._early:
            frame = b"".join([*self._early, frame])
            self._early = []
        return frame

    def _keep(self, frame: bytes) -> None:
        (self._held if self._final is not None else self._early).append(frame)
        self._kept_bytes += len(frame)
        if self._kept_bytes > MAX_KEPT_BYTES:
            self.failure = UpstreamProtocol(
                "The upstream sends and sends without content.", detail=f"{self._kept_bytes} bytes were kept back"
            )
