"""The engine's stream with tool calls made from its text, put before the common reader of OpenAI's stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from headrace.domain.errors import HeadraceError, UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Usage
from headrace.drivers.engines.llamacpp_choice import ToolChoice
from headrace.drivers.engines.llamacpp_tools import ToolUse
from headrace.ports.upstream import Reader
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.sse import DONE, FrameSplitter, FrameTooLong, data_frame, frame_data


class ToolReader:
    """Rewrites frames by ToolChoice and pushes them into an inner reader, which knows everything else."""

    def __init__(self, inner: Reader, use: ToolUse, new_id: Callable[[], str]) -> None:
        self._inner = inner
        self._use = use
        self._new_id = new_id
        self._splitter = FrameSplitter()
        self._choices: dict[int, ToolChoice] = {}
        self._head: JsonObject = {}
        self._failure: HeadraceError | None = None
        self._content_frames = 0

    @property
    def meaningful(self) -> bool:
        """Whether content was read, also when it is still held back."""
        return self._content_frames > 0 or self._inner.meaningful

    @property
    def ended(self) -> bool:
        """Whether the stream's terminator was read."""
        return self._inner.ended

    @property
    def failure(self) -> HeadraceError | None:
        """What is wrong with the answer so far."""
        return self._failure or self._inner.failure

    @property
    def usage(self) -> Usage | None:
        """The engine's usage."""
        return self._inner.usage

    @property
    def output_tokens_seen(self) -> int:
        """Frames of content that the engine sent, held back or not."""
        return self._content_frames

    def feed(self, block: bytes) -> bytes:
        """Take a block and return what may leave now."""
        if self.failure is not None:
            return b""
        try:
            frames = self._splitter.feed(block)
        except FrameTooLong as error:
            self._failure = UpstreamProtocol("The engine sent an endless frame.", detail=str(error))
            return b""
        return self._inner.feed(b"".join(self._rewritten(frame) for frame in frames))

    def close(self) -> None:
        """Judge the end of the engine's stream."""
        last = self._splitter.rest.rstrip() + b"\n\n"
        if _is_whole(last):
            self._inner.feed(self._rewritten(last))
        self._inner.close()

    def finish(self, usage: Usage, money: Mapping[str, int | str]) -> bytes:
        """Return the held-back end of the reply."""
        return self._inner.finish(usage, money)

    def _rewritten(self, frame: bytes) -> bytes:
        data = frame_data(frame)
        if data is None:
            return frame
        if data == b"[DONE]":
            held = [piece for choice in self._choices.values() for piece in choice.flush()]
            return b"".join([*(self._chunk(piece) for piece in held), DONE])
        try:
            chunk = decode_trusted(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return frame
        choices = chunk.get("choices") if is_object(chunk) else None
        if not is_object(chunk) or not isinstance(choices, list) or not choices:
            return frame
        self._head = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
        rest: JsonObject = {name: value for name, value in chunk.items() if name == "usage"}
        out = [self._chunk(piece) for choice in choices for piece in self._taken(choice)]
        if rest.get("usage") is not None:
            out.append(data_frame(encode({**self._head, "choices": [], **rest})))
        return b"".join(out)

    def _taken(self, choice: JsonValue) -> list[JsonObject]:
        if not is_object(choice):
            return []
        delta = choice.get("delta")
        if is_object(delta) and (delta.get("content") or delta.get("tool_calls") or delta.get("reasoning_content")):
            self._content_frames += 1
        index = choice.get("index")
        number = index if isinstance(index, int) else 0
        if number not in self._choices:
            self._choices[number] = ToolChoice(number, self._use, self._new_id)
        return self._choices[number].take(choice)

    def _chunk(self, choice: JsonObject) -> bytes:
        return data_frame(encode({**self._head, "choices": [choice]}))


def _is_whole(frame: bytes) -> bool:
    """Whether a last frame without its blank line is complete all the same, and not what a cut left of one."""
    data = frame_data(frame)
    if data is None or data == b"[DONE]":
        return data is not None
    try:
        decode_trusted(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
