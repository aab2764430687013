"""OpenAI's chat stream behind the Reader's door: bytes pass through, scanned only for meaning, usage and the end.

A frame on the fast path is found, checked to be JSON, renamed to our model id and forwarded; it is parsed into
objects only when it may carry a finish reason, usage or an error. Frames from the last finish reason on are held
back until the turn has settled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, cast

from headrace.domain.errors import UpstreamTruncated
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.frame_reader import FrameReader, check_json
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.openai_failure import error_in_answer
from headrace.wire.openai_usage import read_usage, write_usage
from headrace.wire.sse import DONE, data_frame

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


class ChatStreamReader(FrameReader):
    """Reads one streamed answer; `choices` is how many finish reasons make it complete."""

    _ends_with_body: ClassVar[bool] = True

    def __init__(self, model_id: str, *, show_usage: bool, choices: int, reasoning_apart: bool = False) -> None:
        super().__init__(model_id)
        self._reasoning_apart = reasoning_apart
        self._ours = b'"model":' + encode(model_id)
        self._theirs: bytes | None = None
        self._show_usage = show_usage
        self._open_choices = choices
        self._finished: set[int] = set()
        self._head: JsonObject = {}
        self._usage_block: JsonObject | None = None

    @property
    def usage(self) -> Usage | None:
        """The last usage that the upstream sent; never a sum."""
        return read_usage(self._usage_block, reasoning_apart=self._reasoning_apart)

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

    def _read_data(self, frame: bytes, data: bytes) -> bytes | None:
        if data == b"[DONE]":
            self._read_done()
            return None
        if self.meaningful and _is_plain(data):
            return self._read_plain(frame, data)
        return self._read_chunk(frame, data)

    def _read_plain(self, frame: bytes, data: bytes) -> bytes | None:
        check_json(data)
        ready = self._renamed(frame, data)
        self.output_tokens_seen += 1
        return self._place(ready if self._show_usage else ready.replace(_NO_USAGE, b""))

    def _read_done(self) -> None:
        if self._is_finished:
            self.ended = True
        else:
            self.failure = UpstreamTruncated("The upstream ended its stream before its answer was finished.")

    def _read_chunk(self, frame: bytes, data: bytes) -> bytes | None:
        chunk = self._decode(data)
        if chunk is None:
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
                self._is_finished = len(self._finished) >= self._open_choices
        return bool(choices)

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
