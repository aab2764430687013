"""Writing an answer as OpenAI's typed events and as one response object, whatever dialect it came in.

Events have their type as the event's name and an increasing sequence number. Text, refusals and reasoning come one
item after the other; tool calls stay open beside one another until the end, because their arguments may interleave.
Source: OpenAI API reference, "Streaming events" of Responses (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import encode
from headrace.wire.responses_object import response_head
from headrace.wire.sse import named_frame

PartType: TypeAlias = Literal["output_text", "refusal", "reasoning_text"]
_EVENTS: Mapping[PartType, str] = {
    "output_text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning_text": "response.reasoning_text",
}


@dataclass(slots=True)
class _Part:
    """A part of a message or of reasoning that is being written."""

    kind: PartType
    index: int
    pieces: list[str] = field(default_factory=list[str])
    logprobs: list[JsonValue] = field(default_factory=list[JsonValue])


@dataclass(slots=True)
class _Item:
    """An output item that is being written; tool calls have pieces of arguments, others have parts."""

    index: int
    fields: JsonObject
    parts: list[JsonValue] = field(default_factory=list[JsonValue])
    part: _Part | None = None
    pieces: list[str] = field(default_factory=list[str])

    @property
    def id(self) -> str:
        return str(self.fields["id"])


class ResponseWriter:
    """Writes one response; `request` is what the caller sent. Every method returns the frames to forward now."""

    def __init__(self, request: JsonObject) -> None:
        self._request = request
        self._sequence = 0
        self._stem = ""
        self._open: _Item | None = None
        self._calls: dict[int, _Item] = {}
        self._done: dict[int, JsonObject] = {}
        self._count = 0
        self.response: JsonObject = {}

    @property
    def started(self) -> bool:
        """Whether the response was begun."""
        return bool(self.response)

    def start(self, stem: str, created_at: int, model: str) -> bytes:
        """Begin the response; `stem` is what all its ids are made of."""
        self._stem = stem
        self.response = response_head(self._request, stem, created_at, model)
        return self._event("response.created", response=self.response) + self._event(
            "response.in_progress", response=self.response
        )

    def reasoning(self, delta: str) -> bytes:
        """Add a piece of reasoning."""
        return self._write("reasoning_text", delta, None)

    def seal_reasoning(self, sealed: str) -> bytes:
        """End the reasoning with its opaque form, which a later turn sends back."""
        item, frames = self._item_for("reasoning_text")
        item.fields["encrypted_content"] = sealed
        return frames + self._close_open("completed")

    def text(self, delta: str, logprobs: list[JsonValue] | None = None) -> bytes:
        """Add a piece of the answer's text; `logprobs` are those of its tokens."""
        return self._write("output_text", delta, logprobs or [])

    def refusal(self, delta: str) -> bytes:
        """Add a piece of a refusal."""
        return self._write("refusal", delta, None)

    def tool_call(self, key: int, call_id: str, name: str) -> bytes:
        """Begin a function call; `key` is how its arguments are found."""
        frames = self._close_open("completed")
        item = self._new_item(
            "fc", {"type": "function_call", "status": "in_progress", "arguments": "", "call_id": call_id, "name": name}
        )
        self._calls[key] = item
        return frames + self._event("response.output_item.added", output_index=item.index, item=item.fields)

    def arguments(self, key: int, delta: str) -> bytes:
        """Add a piece of a begun call's arguments."""
        item = self._calls[key]
        item.pieces.append(delta)
        return self._event(
            "response.function_call_arguments.delta", item_id=item.id, output_index=item.index, delta=delta
        )

    def end(self, incomplete: str | None, usage: JsonObject | None, more: JsonObject) -> bytes:
        """End the response; `incomplete` is the reason why it stops short, `more` are fields beside our own."""
        status = "completed" if incomplete is None else "incomplete"
        frames = self._close_open(status) + self._close_calls(status)
        self.response = {
            **self.response,
            "status": status,
            "incomplete_details": None if incomplete is None else {"reason": incomplete},
            "output": [self._done[index] for index in sorted(self._done)],
            "usage": usage,
            **more,
        }
        return frames + self._event(f"response.{status}", response=self.response)

    def _write(self, kind: PartType, delta: str, logprobs: list[JsonValue] | None) -> bytes:
        item, frames = self._item_for(kind)
        part = item.part
        if part is None or part.kind != kind:
            frames += self._close_part(item)
            part = item.part = _Part(kind, len(item.parts))
            frames += self._event("response.content_part.added", **_place(item, part), part=_part_object(part))
        part.pieces.append(delta)
        more: JsonObject = {} if logprobs is None else {"logprobs": logprobs}
        part.logprobs.extend(logprobs or ())
        return frames + self._event(f"{_EVENTS[kind]}.delta", **_place(item, part), delta=delta, **more)

    def _item_for(self, kind: PartType) -> tuple[_Item, bytes]:
        item_type = "reasoning" if kind == "reasoning_text" else "message"
        if self._open is not None and self._open.fields["type"] == item_type:
            return self._open, b""
        frames = self._close_open("completed")
        if item_type == "reasoning":
            item = self._new_item("rs", {"type": "reasoning", "summary": []})
        else:
            begun: JsonObject = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
            item = self._new_item("msg", begun)
        self._open = item
        return item, frames + self._event("response.output_item.added", output_index=item.index, item=item.fields)

    def _new_item(self, prefix: str, fields: JsonObject) -> _Item:
        item = _Item(self._count, {"id": f"{prefix}_{self._stem}_{self._count}", **fields})
        self._count += 1
        return item

    def _close_part(self, item: _Item) -> bytes:
        part = item.part
        if part is None:
            return b""
        item.part = None
        whole = _part_object(part)
        item.parts.append(whole)
        place = _place(item, part)
        said: JsonObject = {"refusal" if part.kind == "refusal" else "text": "".join(part.pieces)}
        if part.kind == "output_text":
            said["logprobs"] = part.logprobs
        frames = self._event(f"{_EVENTS[part.kind]}.done", **place, **said)
        return frames + self._event("response.content_part.done", **place, part=whole)

    def _close_open(self, status: str) -> bytes:
        item = self._open
        if item is None:
            return b""
        self._open = None
        frames = self._close_part(item)
        whole: JsonObject = {**item.fields, "content": item.parts}
        if whole["type"] == "message":
            whole["status"] = status
        return frames + self._end_item(item, whole)

    def _close_calls(self, status: str) -> bytes:
        frames: list[bytes] = []
        for item in self._calls.values():
            said = "".join(item.pieces)
            frames.append(
                self._event(
                    "response.function_call_arguments.done",
                    item_id=item.id,
                    output_index=item.index,
                    name=item.fields["name"],
                    arguments=said,
                )
            )
            frames.append(self._end_item(item, {**item.fields, "arguments": said, "status": status}))
        self._calls = {}
        return b"".join(frames)

    def _end_item(self, item: _Item, whole: JsonObject) -> bytes:
        self._done[item.index] = whole
        return self._event("response.output_item.done", output_index=item.index, item=whole)

    def _event(self, kind: str, **fields: JsonValue) -> bytes:
        frame = named_frame(kind.encode(), encode({"type": kind, "sequence_number": self._sequence, **fields}))
        self._sequence += 1
        return frame


def _place(item: _Item, part: _Part) -> JsonObject:
    return {"item_id": item.id, "output_index": item.index, "content_index": part.index}


def _part_object(part: _Part) -> JsonObject:
    said = "".join(part.pieces)
    if part.kind == "output_text":
        return {"type": "output_text", "text": said, "annotations": [], "logprobs": part.logprobs}
    return {"type": part.kind, "refusal" if part.kind == "refusal" else "text": said}
