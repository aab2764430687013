"""OpenAI's typed Responses stream behind the Reader's door: bytes pass through, the terminal event is held back.

A delta on the fast path is checked to be JSON and forwarded; only events that carry the response itself are parsed
and renamed to our model id. A reported failure is a failure of the attempt, never forwarded as an answer.
Source: OpenAI API reference, "Streaming events" of Responses (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.errors import UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.frame_reader import FrameReader, check_json
from headrace.wire.json_strict import encode, is_object
from headrace.wire.responses_body import failure_in_response, finished_response, is_terminal_status
from headrace.wire.responses_usage import read_usage
from headrace.wire.sse import named_frame

TERMINAL_TYPES = frozenset({"response.completed", "response.incomplete"})
FAILURE_TYPES = frozenset({"error", "response.failed", "response.cancelled"})
_TYPE = b'"type":"'
_TYPE_SPACED = b'"type": "'


class ResponsesStreamReader(FrameReader):
    """Reads one typed stream; the model of every response in it is renamed to ours."""

    def __init__(self, model_id: str) -> None:
        super().__init__(model_id)
        self._final: JsonObject = {}
        self._response: JsonObject = {}
        self.usage: Usage | None = None

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return what was kept and the terminal event, with the settled usage and the additive money fields."""
        response: JsonObject = {**finished_response(self._response, self._model_id, usage), "headrace": {**money}}
        return self.kept + _event_frame({**self._final, "response": response})

    def _read_data(self, frame: bytes, data: bytes) -> bytes | None:
        if data == b"[DONE]":
            return None
        if event_type(data).endswith(".delta"):
            return self._read_delta(frame, data)
        return self._read_event(frame, data)

    def _read_delta(self, frame: bytes, data: bytes) -> bytes | None:
        check_json(data)
        self.meaningful = True
        self.output_tokens_seen += 1
        return self._place(frame)

    def _read_event(self, frame: bytes, data: bytes) -> bytes | None:
        event = self._decode(data)
        if event is None:
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
