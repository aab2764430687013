"""Streams to cut: each dialect as its upstream speaks it, in four kinds, every frame's meaning known by construction.

A thirteenth has chat's tool calls one after the other: `chat-tools` interleaves them, which Messages cannot express.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal, TypeAlias

from headrace.testing.anthropic_replies import Message, event_frame, messages_stream
from headrace.testing.openai_replies import Chat, ToolCall, chat_stream, stream_reply, usage_object, words
from headrace.testing.recordings import Recording, Seen, multibyte_recording, tools_recording, vendor_recording
from headrace.testing.responses_replies import response_stream
from headrace.testing.script import Frame, Reply

Dialect: TypeAlias = Literal["chat", "messages", "responses"]
FrameKind: TypeAlias = Literal["comment", "passing", "call", "content", "finish", "usage", "done"]
DIALECTS: tuple[Dialect, ...] = ("chat", "messages", "responses")
# What no translation can express: Messages has one block after the other, and there is no going back to one.
NO_PAIR: tuple[Dialect, str] = ("messages", "chat-tools")
TEXT = multibyte_recording().text
SHORT = " ".join(TEXT.split()[:9])
THOUGHT = "まず \U0001f914 considère l'eau: वह नीचे बहती है, then 물레방아."
STRUCTURED = (
    '{"city":"Zürich \\"HB\\"", "note":"水は 山から", "deep":{"a":[{}, 1, 2.5]}, "ok":true, "x":"\\u6c34 \U0001f6b0"}'
)
SIGNATURE = "c2lnbmF0dXJlIG9mIGEgdGhvdWdodA=="
CALLS = (
    ToolCall("call_weather", "get_weather", '{"city":"Zürich \\"HB\\"","days":[1,2,3],"note":"\\u6c34 水\\n"}', 4),
    ToolCall("call_search", "search_docs", '{"query":"C:\\\\turbine\\\\headrace","deep":{"a":[{}]}}', 5),
)


@dataclass(frozen=True)
class CutStream:
    """One complete stream of an upstream.

    Shapes: `kinds` runs beside `frames`. `passing` leaves and counts nothing, `call` is a tool's name that counts
    nothing either, `content` counts one token; `finish`, `usage` and `done` leave only after the settlement.
    `billed` is what the whole stream costs: fresh input, input from the cache, output.
    """

    name: str
    dialect: Dialect
    frames: tuple[Frame, ...]
    kinds: tuple[FrameKind, ...]
    billed: tuple[int, int, int]

    @cached_property
    def body(self) -> bytes:
        """The whole stream."""
        return b"".join(frame.data for frame in self.frames)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The offset behind each frame."""
        return tuple(accumulate(len(frame.data) for frame in self.frames))

    @cached_property
    def first_meaningful(self) -> Seen:
        """The first frame that carries text, reasoning or a tool call."""
        return self._seen(min(place for place, kind in enumerate(self.kinds) if kind in ("call", "content")))

    @cached_property
    def usage_frame(self) -> Seen:
        """The frame that carries the final usage."""
        usage: Mapping[Dialect, FrameKind] = {"chat": "usage", "messages": "finish", "responses": "done"}
        return self._seen(self.kinds.index(usage[self.dialect]))

    @cached_property
    def done(self) -> Seen:
        """The terminator."""
        return self._seen(self.kinds.index("done"))

    def reply(self) -> Reply:
        """The stream as a scripted reply, to cut and to split."""
        return stream_reply(self.frames, prompt_tokens=self.billed[0] + self.billed[1])

    def near_boundaries(self) -> set[int]:
        """Every frame's end with the byte before it and the one behind it."""
        whole = len(self.body)
        return {place for end in (0, *self.ends) for place in range(end - 1, end + 2) if 0 <= place <= whole}

    def _seen(self, place: int) -> Seen:
        end = self.ends[place]
        return Seen(end - 1 if self.frames[place].data.endswith(b"\r\n") else end, end)


def cut_streams() -> dict[str, CutStream]:
    """All of them by name."""
    made = [*_chat_streams(), *_messages_streams(), *_responses_streams()]
    return {stream.name: stream for stream in made}


def event_of(frame: bytes) -> dict[str, Any] | None:
    """What a frame says, read by nobody's parser but the standard library's; None without JSON data."""
    lines = [line[5:].strip() for line in frame.decode().splitlines() if line.startswith("data:")]
    return None if not lines or lines == ["[DONE]"] else json.loads("\n".join(lines))


def _chat_streams() -> Iterable[CutStream]:
    for kind, recording in (
        ("text", multibyte_recording()),
        ("tools", tools_recording()),
        ("vendor", vendor_recording()),
    ):
        yield _of_recording(f"chat-{kind}", recording)
    spoken = Chat(SHORT, model="recorded", prompt_tokens=31, reasoning=THOUGHT, id="chatcmpl-cut")
    yield _of_chat("chat-reasoning", spoken)
    yield _of_chat("chat-calls", replace(spoken, text="", reasoning="", tool_calls=CALLS, finish_reason="tool_calls"))


def _of_chat(name: str, chat: Chat) -> CutStream:
    cached = 15
    usage = usage_object(chat.prompt_tokens, chat.completion_tokens)
    chat = replace(chat, reported={**usage, "prompt_tokens_details": {"cached_tokens": cached}})
    frames = chat_stream(chat).frames
    contents: tuple[FrameKind, ...] = ("content",) * (len(frames) - 4)
    kinds: tuple[FrameKind, ...] = ("passing", *contents, "finish", "usage", "done")
    return CutStream(name, "chat", frames, kinds, (chat.prompt_tokens - cached, cached, chat.completion_tokens))


def _of_recording(name: str, recording: Recording) -> CutStream:
    kinds: tuple[FrameKind, ...] = tuple("passing" if kind == "opening" else kind for kind in recording.kinds)
    cached = recording.prompt_tokens // 2
    billed = (recording.prompt_tokens - cached, cached, recording.completion_tokens)
    return CutStream(name, "chat", recording.frames, kinds, billed)


def _messages_streams() -> Iterable[CutStream]:
    cached = {"cache_read_input_tokens": 19}
    whole = Message(f"{TEXT} {TEXT}", model="recorded", input_tokens=23, usage=cached, id="msg_cut")
    thinking = replace(whole, thinking=THOUGHT, signature=SIGNATURE, redacted="cmVkYWN0ZWQ=", text=TEXT)
    structured = replace(whole, text=f"[{STRUCTURED}, {STRUCTURED}, 3]")
    yield _of_messages("messages-text", whole)
    yield _of_messages("messages-tools", replace(whole, text="", tool_uses=CALLS, stop_reason="tool_use"))
    yield _of_messages("messages-reasoning", thinking)
    yield _with_liberties(_of_messages("messages-vendor", structured), _messages_extra)


def _of_messages(name: str, message: Message) -> CutStream:
    frames = messages_stream(message).frames
    kinds: list[FrameKind] = []
    for frame in frames:
        event = event_of(frame.data) or {}
        match event["type"]:
            case "content_block_delta":
                kinds.append("content")
            case "content_block_start" if event["content_block"]["type"] in ("tool_use", "redacted_thinking"):
                kinds.append("content")
            case "message_delta":
                kinds.append("finish")
            case "message_stop":
                kinds.append("done")
            case _:
                kinds.append("passing")
    billed = (message.input_tokens, 19, message.output_tokens)
    return CutStream(name, "messages", frames, tuple(kinds), billed)


def _responses_streams() -> Iterable[CutStream]:
    whole = Chat(SHORT, model="recorded", prompt_tokens=27, id="cut")
    yield _of_responses("responses-text", whole)
    yield _of_responses("responses-tools", replace(whole, text="", tool_calls=_coarser(CALLS, 12)))
    yield _of_responses("responses-reasoning", replace(whole, text=" ".join(TEXT.split()[:4]), reasoning=THOUGHT))
    yield _with_liberties(_of_responses("responses-vendor", replace(whole, text=STRUCTURED)), _responses_extra)


def _coarser(calls: Sequence[ToolCall], characters: int) -> tuple[ToolCall, ...]:
    return tuple(replace(call, piece_characters=characters) for call in calls)


def _of_responses(name: str, chat: Chat) -> CutStream:
    cached = 12
    reported = {
        "input_tokens": chat.prompt_tokens,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": chat.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": len(words(chat.reasoning))},
        "total_tokens": chat.prompt_tokens + chat.completion_tokens,
    }
    frames = response_stream(replace(chat, reported=reported)).frames
    kinds: list[FrameKind] = []
    for frame in frames:
        event = event_of(frame.data) or {}
        match event["type"]:
            case "response.completed":
                kinds.append("done")
            case "response.output_item.added" if event["item"]["type"] == "function_call":
                kinds.append("call")
            case str() as other if other.endswith(".delta"):
                kinds.append("content")
            case _:
                kinds.append("passing")
    billed = (chat.prompt_tokens - cached, cached, chat.completion_tokens)
    return CutStream(name, "responses", frames, tuple(kinds), billed)


def _with_liberties(stream: CutStream, extra: Callable[[int], Frame]) -> CutStream:
    """The same stream in CR LF, with comments, `retry`, and events and fields that no document names."""
    frames: list[Frame] = [Frame(b": connected\n\n")]
    kinds: list[FrameKind] = ["comment"]
    between: tuple[FrameKind, FrameKind] = ("comment", "passing")
    for place, (frame, kind) in enumerate(zip(stream.frames, stream.kinds, strict=True)):
        if kind == "content" and place % 6 == 5:
            frames += [Frame(b": keep-alive\n\n"), extra(place)]
            kinds += between
        data = b"retry: %d\n%b" % (1000 + place, frame.data) if kind == "content" else frame.data
        frames.append(replace(frame, data=data))
        kinds.append(kind)
    with_crlf = tuple(replace(frame, data=frame.data.replace(b"\n", b"\r\n")) for frame in frames)
    return replace(stream, frames=with_crlf, kinds=tuple(kinds))


def _messages_extra(place: int) -> Frame:
    return event_frame({"type": "vendor_note", "queue_ms": place * 1.5, "node": None})


def _responses_extra(place: int) -> Frame:
    return event_frame({"type": "response.vendor_note", "queue_ms": place * 1.5, "node": None})
