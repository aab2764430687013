"""OpenAI's typed Responses stream behind the Reader's door: bytes pass through, the terminal event is held back.

A delta on the fast path is checked to be JSON and forwarded; only events that carry the response itself are parsed
and renamed to our model id. A reported failure is a failure of the attempt, never forwarded as an answer.
Source: OpenAI API reference, "Streaming events" of Responses (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.domain.errors import HeadraceError, UpstreamProtocol, UpstreamTruncated
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.responses_body import failure_in_response, finished_response, is_terminal_status
from headrace.wire.responses_usage import read_usage
from headrace.wire.sse import FrameSplitter, FrameTooLong, frame_data, named_frame

MAX_KEPT_BYTES = 16 * 1024 * 1024
TERMINAL_TYPES = frozenset({"response.completed", "response.incomplete"})
FAILURE_TYPES = frozenset({"error", "response.failed", "response.cancelled"})
_RAW = msgspec.json.Decoder(msgspec.Raw)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_TYPE = b'"type":"'
_TYPE_SPACED = b'"type": "'


class ResponsesStreamReader:
    """Reads one typed stream; the model of every response in it is renamed to ours."""

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id
        self._splitter = FrameSplitter()
        self._early: list[bytes] = []
        self._kept_bytes = 0
        self._final: JsonObject = {}
        self._response: JsonObject = {}
        self.usage: Usage | None = None
        self.meaningful = False
        self.ended = False
        self.failure: HeadraceError | None = None
        self.output_tokens_seen = 0

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
        """Return what was kept and the terminal event, with the settled usage and the additive money fields."""
        response: JsonObject = {**finished_response(self._response, self._model_id, usage), "headrace": {**money}}
        return b"".join(self._early) + _event_frame({**self._final, "response": response})

    def _read_frame(self, frame: bytes) -> bytes | None:
        data = frame_data(frame)
        if data is None or data == b"[DONE]":
            return self._place(frame) if data is None else None
        kind = event_type(data)
        try:
            if kind.endswith(".delta"):
                return self._read_delta(frame, data)
            return self._read_event(frame, data)
        except _NOT_JSON as error:
            self.failure = UpstreamProtocol("The upstream sent a frame that is not JSON.", detail=str(error))
            return None

    def _read_delta(self, frame: bytes, data: bytes) -> bytes | None:
        _RAW.decode(data)
        if not data.isascii():
            data.decode()
        self.meaningful = True
        self.output_tokens_seen += 1
        return self._place(frame)

    def _read_event(self, frame: bytes, data: bytes) -> bytes | None:
        event = decode_trusted(data)
        if not is_object(event):
            self.failure = UpstreamProtocol("The upstream sent a frame that is not an object.")
            return None
        response = event.get("response")
        kind = event.get("type")
        if kind in FAILURE_TYPES or (kind is None and event.get("error") is not None):
            self.failure = failure_in_response(response if is_object(response) else event)
            return None
        if kind in TERMINAL_TYPES and is_object(response):
            self._read_terminal(event, response)
            return None
        if is_object(response):
            event["response"] = {**response, "model": self._model_id}
            return self._place(_event_frame(event))
        self._note_content(event, kind)
        return self._place(frame)

    def _read_terminal(self, event: JsonObject, response: JsonObject) -> None:
        if not is_terminal_status(response.get("status")):
            self.failure = UpstreamProtocol("The upstream ended its stream with an unfinished answer.")
            return
        self._final, self._response = event, response
        self.usage = read_usage(response.get("usage"))
        self.meaningful = self.ended = True

    def _note_content(self, event: JsonObject, kind: JsonValue) -> None:
        """A tool call without arguments has no deltas, and its coming is content all the same."""
        item = event.get("item")
        if isinstance(kind, str) and kind.endswith(".delta"):
            self.meaningful = True
            self.output_tokens_seen += 1
        elif is_object(item) and (item.get("type") not in ("message", "reasoning") or _has_content(item)):
            self.meaningful = True

    def _place(self, frame: bytes) -> bytes | None:
        if not self.meaningful:
            self._early.append(frame)
            self._kept_bytes += len(frame)
            if self._kept_bytes > MAX_KEPT_BYTES:
                self.failure = UpstreamProtocol("The upstream sends and sends without content.")
            return None
        if self._early:
            frame = b"".join([*self._early, frame])
            self._early = []
        return frame


def event_type(data: bytes) -> str:
    """Return the type that an event names first, or nothing; events name theirs before anything nested."""
    for key in (_TYPE, _TYPE_SPACED):
        start = data.find(key, 0, 40)
        if start >= 0:
            start += len(key)
            return data[start : data.find(b'"', start)].decode("ascii", "replace")
    return ""


def _has_content(item: JsonObject) -> bool:
    return bool(item.get("content")) or bool(item.get("summary"))


def _event_frame(event: JsonObject) -> bytes:
    kind: JsonValue = event.get("type")
    return named_frame(kind.encode() if isinstance(kind, str) else b"message", encode(event))
