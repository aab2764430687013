"""What an upstream's answer says as text, gathered from its bytes as they come, for each dialect and streamed or whole.

Only complete answers have said something: one that was cut by its cap, refused or turned into tool calls has not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

import msgspec

from headrace.domain.call import Dialect
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import decode_trusted, is_object
from headrace.wire.sse import MAX_FRAME_BYTES, FrameSplitter, frame_data

# No frame of so little can be too long for the splitter.
MOST_BYTES = MAX_FRAME_BYTES
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class AnswerText(ABC):
    """Gathers the text of one answer; a dialect adds how it is written."""

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}
        self._complete: set[int] = set()
        self._spoilt: set[int] = set()
        self._splitter = FrameSplitter()
        self._whole: bytearray | None = None
        self._is_begun = False
        self._size = 0

    def feed(self, block: bytes) -> None:
        """Take a block of the answer as it came; what is too long or no JSON is not gathered."""
        self._size += len(block)
        if self._size > MOST_BYTES:
            return
        if not self._is_begun and block.strip():
            self._is_begun = True
            self._whole = bytearray() if block.lstrip().startswith(b"{") else None
        if self._whole is not None:
            self._whole += block
            return
        for frame in self._splitter.feed(block):
            self._take(frame_data(frame))

    def texts(self) -> Iterator[str]:
        """Return what each complete choice said, when the answer has ended."""
        if self._size > MOST_BYTES:
            return
        if self._whole is not None:
            self._take(bytes(self._whole))
        else:
            self._take(frame_data(self._splitter.rest.rstrip() + b"\n\n"))
        for index in sorted(self._complete - self._spoilt):
            yield "".join(self._texts.get(index, ()))

    @abstractmethod
    def _read(self, value: JsonObject) -> None:
        """Take one event, or the whole answer."""

    def _take(self, data: bytes | None) -> None:
        if not data or data == b"[DONE]":
            return
        try:
            value = decode_trusted(data)
        except _NOT_JSON:
            return
        if is_object(value):
            self._read(value)

    def _say(self, index: int, text: JsonValue) -> None:
        if isinstance(text, str):
            self._texts.setdefault(index, []).append(text)


class ChatText(AnswerText):
    """Of chat completions, each choice by itself."""

    def _read(self, value: JsonObject) -> None:
        choices = value.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if is_object(choice):
                self._choice(choice)

    def _choice(self, choice: JsonObject) -> None:
        index, reason = choice.get("index"), choice.get("finish_reason")
        number = index if isinstance(index, int) else 0
        said = choice.get("delta") or choice.get("message")
        if is_object(said):
            self._say(number, said.get("content"))
            if said.get("tool_calls") or said.get("refusal") or said.get("function_call"):
                self._spoilt.add(number)
        if reason == "stop":
            self._complete.add(number)


class MessagesText(AnswerText):
    """Of Messages."""

    def _read(self, value: JsonObject) -> None:
        for holder in (value, value.get("delta")):
            if is_object(holder) and holder.get("stop_reason") in ("end_turn", "stop_sequence"):
                self._complete.add(0)
        delta, block = value.get("delta"), value.get("content_block")
        if is_object(delta) and delta.get("type") == "text_delta":
            self._say(0, delta.get("text"))
        content = value.get("content")
        for each in [block, *(content if isinstance(content, list) else [])]:
            if not is_object(each):
                continue
            if each.get("type") == "text":
                self._say(0, each.get("text"))
            elif each.get("type") == "tool_use":
                self._spoilt.add(0)


class ResponsesText(AnswerText):
    """Of the Responses dialect: the whole response, which the last event of a stream carries too."""

    def _read(self, value: JsonObject) -> None:
        kind, inner = value.get("type"), value.get("response")
        response = inner if kind == "response.completed" else value if "output" in value else None
        if not is_object(response) or response.get("status") not in (None, "completed"):
            return
        self._complete.add(0)
        output = response.get("output")
        for item in output if isinstance(output, list) else ():
            if is_object(item):
                self._item(item)

    def _item(self, item: JsonObject) -> None:
        if item.get("type") == "function_call":
            self._spoilt.add(0)
        parts = item.get("content")
        if item.get("type") != "message" or not isinstance(parts, list):
            return
        for part in parts:
            if not is_object(part):
                continue
            if part.get("type") == "refusal":
                self._spoilt.add(0)
            elif part.get("type") == "output_text":
                self._say(0, part.get("text"))


_GATHERERS: Mapping[Dialect, type[AnswerText]] = {
    Dialect.CHAT: ChatText,
    Dialect.MESSAGES: MessagesText,
    Dialect.RESPONSES: ResponsesText,
}


def answer_text(dialect: Dialect) -> AnswerText:
    """Return what gathers the text of one answer in an upstream's dialect."""
    return _GATHERERS[dialect]()
