"""OpenAI's chat stream behind the Reader's door: bytes pass through, scanned only for meaning, usage and the end.

A frame on the fast path is found, checked to be JSON, renamed to our model id and forwarded; it is parsed into
objects only when it may carry a finish reason, usage or an error. Frames from the last finish reason on are held
back until the turn has settled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from headrace.domain.errors import HeadraceError, UpstreamProtocol, UpstreamTruncated
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.openai_failure import error_in_answer
from headrace.wire.openai_usage import read_usage, write_usage
from headrace.wire.sse import DONE, FrameSplitter, FrameTooLong, data_frame, frame_data

MAX_KEPT_BYTES = 16 * 1024 * 1024
_RAW = msgspec.json.Decoder(msgspec.Raw)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NO_USAGE = b',"usage":null'
_CONTENT_FIELDS = (
    "content",
    "reasoning_content",
    "reasoning",
    "refusal",
    "tool_calls",
    "function_call",
    "audio",
    "text",
)


class ChatStreamReader:
    """Reads one streamed answer; `choices` is how many finish reasons make it complete."""

    def __init__(self, model_id: str, *, show_usage: bool, choices: int, reasoning_apart: bool = False) -> None:
        self._model_id = model_id
        self._reasoning_apart = reasoning_apart
        self._ours = b'"model":' + encode(model_id)
        self._theirs: bytes | None = None
        self._show_usage = show_usage
        self._open_choices = choices
        self._splitter = FrameSplitter()
        self._early: list[bytes] = []
        self._held: list[bytes] = []
        self._kept_bytes = 0
        self._finished: set[int] = set()
        self._head: JsonObject = {}
        self._usage_block: JsonObject | None = None
        self.meaningful = False
        self.ended = False
        self.failure: HeadraceError | None = None
        self.output_tokens_seen = 0

    @property
    def usage(self) -> Usage | None:
        """The last usage that the upstream sent; never a sum."""
        return read_usage(self._usage_block, reasoning_apart=self._reasoning_apart)

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
        is_whole = not rest or frame_data(rest + b"\n\n") is not None
        if rest and is_whole:
            self._read_frame(rest + b"\n\n")
        self._judge_end(is_whole)

    def _judge_end(self, is_whole: bool) -> None:
        if self.ended:
            return
        if self.failure is None and self._is_finished and is_whole:
            self.ended = True
        elif self.failure is None or isinstance(self.failure, UpstreamProtocol):
            self.failure = UpstreamTruncated("The upstream's stream ended before its answer was complete.")

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the held frames, the usage frame when the caller asked for one, and the terminator."""
        frames = [self.kept]
        if self._show_usage:
            frames.append(data_frame(encode(self._usage_chunk(usage, money))))
        frames.append(DONE)
        return b"".join(frames)

    @property
    def usage_block(self) -> JsonObject | None:
        """The usage as the upstream wrote it."""
        return self._usage_block

    @property
    def kept(self) -> bytes:
        """The frames that were read and are not given out yet."""
        return b"".join(self._early + self._held)

    @property
    def _is_finished(self) -> bool:
        return len(self._finished) >= self._open_choices

    def _read_frame(self, frame: bytes) -> bytes | None:
        data = frame_data(frame)
        if data is None:
            return self._place(frame)
        if data == b"[DONE]":
            self._read_done()
            return None
        try:
            if self.meaningful and _is_plain(data):
                return self._read_plain(frame, data)
            return self._read_chunk(frame, data)
        except _NOT_JSON as error:
            self.failure = UpstreamProtocol("The upstream sent a frame that is not JSON.", detail=str(error))
            return None

    def _read_plain(self, frame: bytes, data: bytes) -> bytes | None:
        _RAW.decode(data)
        if not data.isascii():
            data.decode()
        ready = self._renamed(frame, data)
        self.output_tokens_seen += 1
        return self._place(ready if self._show_usage else ready.replace(_NO_USAGE, b""))

    def _read_done(self) -> None:
        if self._is_finished:
            self.ended = True
        else:
            self.failure = UpstreamTruncated("The upstream ended its stream before its answer was finished.")

    def _read_chunk(self, frame: bytes, data: bytes) -> bytes | None:
        chunk = decode_trusted(data)
        if not is_object(chunk):
            self.failure = UpstreamProtocol("The upstream sent a frame that is not an object.")
            return None
        error = _error_in(chunk)
        if error is not None:
            self.failure = error_in_answer(error)
            return None
        has_choices = self._note_choices(chunk)
        block = chunk.get("usage")
        if is_object(block):
            if self._usage_block is None or read_usage(block) is not None:
                self._usage_block = block
            self._head = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
            if not has_choices:
                return None
        elif not self._head:
            self._head = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
        if "usage" in chunk and (block is not None or not self._show_usage):
            del chunk["usage"]
            return self._place(self._rewritten(chunk))
        return self._place(self._renamed(frame, data))

    def _note_choices(self, chunk: JsonObject) -> bool:
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return False
        for choice in choices:
            if not is_object(choice):
                continue
            delta = choice.get("delta")
            piece = delta if is_object(delta) else choice
            if any(piece.get(name) for name in _CONTENT_FIELDS):
                self.meaningful = True
                self.output_tokens_seen += 1
            if choice.get("finish_reason") is not None:
                self.meaningful = True
                index = choice.get("index")
                self._finished.add(index if isinstance(index, int) else 0)
        return bool(choices)

    def _place(self, frame: bytes) -> bytes | None:
        if self._is_finished or not self.meaningful:
            self._keep(frame)
            return None
        if self._early:
            frame = b"".join([*self._early, frame])
            self._early = []
        return frame

    def _keep(self, frame: bytes) -> None:
        (self._held if self._is_finished else self._early).append(frame)
        self._kept_bytes += len(frame)
        if self._kept_bytes > MAX_KEPT_BYTES:
            self.failure = UpstreamProtocol(
                "The upstream sends and sends without content.", detail=f"{self._kept_bytes} bytes were kept back"
            )

    def _renamed(self, frame: bytes, data: bytes) -> bytes:
        theirs = self._theirs
        if theirs is not None and theirs in data and data.count(b'"model"') == 1:
            return frame if theirs == self._ours else frame.replace(theirs, self._ours, 1)
        chunk = cast("JsonObject", decode_trusted(data))
        self._learn_name(chunk.get("model"), data)
        return self._rewritten(chunk)

    def _learn_name(self, name: object, data: bytes) -> None:
        if not isinstance(name, str):
            return
        for separator in (b'"model":', b'"model": '):
            pattern = separator + encode(name)
            if pattern in data:
                self._theirs = pattern

    def _rewritten(self, chunk: JsonObject) -> bytes:
        chunk["model"] = self._model_id
        return data_frame(encode(chunk))

    def _usage_chunk(self, usage: Usage, money: Mapping[str, int | str]) -> JsonObject:
        chunk: JsonObject = {**self._head, "model": self._model_id, "choices": []}
        chunk["usage"] = write_usage(usage, self._usage_block)
        chunk["headrace"] = dict(money)
        return chunk


def _error_in(chunk: JsonObject) -> JsonValue:
    """Return the error that a chunk carries, in OpenAI's form or as the whole chunk, or None."""
    return chunk if chunk.get("object") == "error" else chunk.get("error")


def _is_plain(data: bytes) -> bool:
    """Whether a frame is an object that can neither finish a choice nor carry usage or an error.

    A quote inside a string is escaped, so these byte patterns can only be keys.
    """
    if not data.startswith(b"{") or data.count(b'"finish_reason"') != data.count(b'"finish_reason":null'):
        return False
    if b'"usage"' in data and data.count(b'"usage"') != data.count(_NO_USAGE):
        return False
    return b'"error"' not in data
