"""A streamed chat answer assembled into one body, for callers that did not ask for a stream.

Engines are always asked for a stream, so that a caller who leaves is noticed and usage arrives. The parts are merged
as they come, so that a broken one is known before the turn settles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from headrace.domain.errors import HeadraceError, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.openai_chat_stream import ChatStreamReader
from headrace.wire.openai_usage import write_usage
from headrace.wire.sse import FrameSplitter, frame_data

_HEAD_FIELDS = ("id", "created", "system_fingerprint", "service_tier")
_TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")
MAX_TOOL_CALLS = 256
MAX_ASSEMBLED_BYTES = 64 * 1024 * 1024


class ChatAssembler:
    """Reads a stream through ChatStreamReader and gives out one chat completion in `finish`."""

    def __init__(self, model_id: str, *, choices: int) -> None:
        self._stream = ChatStreamReader(model_id, show_usage=True, choices=choices)
        self._splitter = FrameSplitter()
        self._failure: HeadraceError | None = None
        self._size = 0
        self._choices: dict[int, JsonObject] = {}
        self._body: JsonObject = {"object": "chat.completion", "model": model_id}

    @property
    def meaningful(self) -> bool:
        """Whether content was read."""
        return self._stream.meaningful

    @property
    def ended(self) -> bool:
        """Whether the stream's terminator was read."""
        return self._stream.ended and self._failure is None

    @property
    def failure(self) -> HeadraceError | None:
        """What is wrong with the stream so far."""
        return self._failure or self._stream.failure

    @property
    def usage(self) -> Usage | None:
        """The upstream's usage."""
        return self._stream.usage

    @property
    def output_tokens_seen(self) -> int:
        """Content events so far."""
        return self._stream.output_tokens_seen

    def feed(self, block: bytes) -> bytes:
        """Merge what the stream gives out; nothing leaves."""
        if self.failure is None and not self.ended:
            self._merge(self._stream.feed(block))
            self._merge_kept()
        return b""

    def close(self) -> None:
        """Judge the end of the stream."""
        if self.failure is None and not self.ended:
            self._stream.close()
            self._merge_kept()

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the assembled chat completion."""
        block = self._stream.usage_block
        body = {**self._body, "choices": [self._choices[index] for index in sorted(self._choices)]}
        return encode({**body, "usage": write_usage(usage, block)})

    def _merge_kept(self) -> None:
        if self._stream.ended:
            self._merge(self._stream.kept)

    def _merge(self, frames: bytes) -> None:
        self._size += len(frames)
        if self._size > MAX_ASSEMBLED_BYTES:
            self._failure = UpstreamProtocol(f"The upstream's answer passes {MAX_ASSEMBLED_BYTES} bytes.")
            return
        try:
            for frame in self._splitter.feed(frames):
                self._merge_frame(frame)
        except UpstreamProtocol as error:
            self._failure = error

    def _merge_frame(self, frame: bytes) -> None:
        data = frame_data(frame)
        chunk = None if data is None else decode_trusted(data)
        if not is_object(chunk):
            return
        for name in _HEAD_FIELDS:
            if name in chunk:
                self._body.setdefault(name, chunk[name])
        _merge_choices(self._choices, chunk.get("choices"))


def _merge_choices(choices: dict[int, JsonObject], items: JsonValue) -> None:
    for item in items if isinstance(items, list) else ():
        if not is_object(item):
            continue
        index = item.get("index")
        index = index if isinstance(index, int) else 0
        choice = choices.setdefault(
            index,
            {
                "index": index,
                "message": {"role": "assistant", "content": None},
                "logprobs": None,
                "finish_reason": None,
            },
        )
        message, delta = choice["message"], item.get("delta")
        if is_object(message) and is_object(delta):
            _merge_delta(message, delta)
        if item.get("finish_reason") is not None:
            choice["finish_reason"] = item["finish_reason"]
        _merge_logprobs(choice, item.get("logprobs"))


def _merge_delta(message: JsonObject, delta: JsonObject) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            _merge_tool_calls(message, value)
        elif name in _TEXT_FIELDS and isinstance(value, str):
            before = message.get(name)
            message[name] = (before if isinstance(before, str) else "") + value
        elif value is not None:
            message[name] = value


def _merge_tool_calls(message: JsonObject, items: JsonValue) -> None:
    calls = message.setdefault("tool_calls", [])
    for item in items if isinstance(items, list) else ():
        if not is_object(item) or not isinstance(calls, list):
            continue
        index = item.get("index")
        position = index if isinstance(index, int) else 0
        if not 0 <= position < MAX_TOOL_CALLS:
            raise UpstreamProtocol(f"The upstream sent a tool call with the index {position}.")
        while len(calls) <= position:
            calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        _merge_tool_call(cast("JsonObject", calls[position]), item)


def _merge_tool_call(call: JsonObject, item: JsonObject) -> None:
    for name in ("id", "type"):
        if isinstance(item.get(name), str) and item[name]:
            call[name] = item[name]
    into, part = call.get("function"), item.get("function")
    if is_object(into) and is_object(part):
        for name in ("name", "arguments"):
            piece, before = part.get(name), into.get(name)
            if isinstance(piece, str):
                into[name] = (before if isinstance(before, str) else "") + piece


def _merge_logprobs(choice: JsonObject, logprobs: JsonValue) -> None:
    if not is_object(logprobs):
        return
    merged = choice.get("logprobs")
    if not is_object(merged):
        merged = choice["logprobs"] = {}
    for name, items in logprobs.items():
        before = merged.get(name)
        if isinstance(items, list):
            merged[name] = (before if isinstance(before, list) else []) + items
        elif name not in merged:
            merged[name] = items
