"""Three chat streams as a provider sends them, with their decisive byte offsets known by construction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from headrace.testing.openai_replies import (
    DONE_FRAME,
    Chat,
    ToolCall,
    chat_chunk,
    finish_chunk,
    sse_frame,
    stream_reply,
    usage_object,
    words,
)
from headrace.testing.script import Frame, Reply

_MULTIBYTE = (
    "水は 山から 流れる。 \U0001f600 \U0001f469\u200d\U0001f527 \U0001f3f3\ufe0f\u200d\U0001f308 "
    "Öl cafe\u0301 a\u0323\u0308 मिल चलता 물레방아 Ω≈ç \U0001d518\U0001d52b \u0642\u0646\u0627\u0629 "
    "\U0001f6b0\U0001f30a終。"
)

FrameKind: TypeAlias = Literal["opening", "comment", "content", "finish", "usage", "done"]


@dataclass(frozen=True, slots=True)
class Seen:
    """When a reader has a frame: not before `possible_bytes` arrived, certainly once `certain_bytes` did.

    The two differ only where lines end in CR LF: a reader may take the last CR for the end of the frame.
    """

    possible_bytes: int
    certain_bytes: int


@dataclass(frozen=True, slots=True)
class Recording:
    """A complete stream, its frames, and what a reader must make of it.

    Shapes: `kinds` runs beside `frames`; `text` and `tool_arguments` are what the deltas add up to.
    """

    name: str
    frames: tuple[Frame, ...]
    kinds: tuple[FrameKind, ...]
    text: str
    tool_arguments: tuple[str, ...]
    prompt_tokens: int
    usage: Mapping[str, object]

    @property
    def body(self) -> bytes:
        """The whole stream."""
        return b"".join(frame.data for frame in self.frames)

    @property
    def completion_tokens(self) -> int:
        """What the whole stream bills."""
        return sum(frame.tokens for frame in self.frames)

    @property
    def first_meaningful(self) -> Seen:
        """The first frame that carries text, reasoning or a tool call."""
        return self.seen("content")

    @property
    def finish(self) -> Seen:
        """The frame that carries the finish reason."""
        return self.seen("finish")

    @property
    def usage_frame(self) -> Seen:
        """The frame that carries the usage."""
        return self.seen("usage")

    @property
    def done(self) -> Seen:
        """The `[DONE]` frame."""
        return self.seen("done")

    def seen(self, kind: FrameKind) -> Seen:
        """When a reader has the first frame of that kind."""
        place = self.kinds.index(kind)
        end = sum(len(frame.data) for frame in self.frames[: place + 1])
        return Seen(end - 1 if self.frames[place].data.endswith(b"\r\n") else end, end)

    def reply(self) -> Reply:
        """The recording as a scripted reply, to cut, split and hold."""
        return stream_reply(self.frames, prompt_tokens=self.prompt_tokens)


def multibyte_recording() -> Recording:
    """Text of two, three and four byte code points, with combining marks and joined emoji."""
    chat = Chat(model="recorded-multibyte", prompt_tokens=23, id="chatcmpl-rec1")
    frames = [_Part("opening", sse_frame(_chunk(chat, {"role": "assistant", "content": "", "refusal": None})))]
    frames += [_Part("content", sse_frame(_chunk(chat, {"content": word})), 1) for word in words(_MULTIBYTE)]
    return _recording("multibyte", chat, frames, text=_MULTIBYTE)


def tools_recording() -> Recording:
    """Two parallel tool calls whose arguments arrive interleaved, in pieces that break JSON escapes."""
    chat = Chat(model="recorded-tools", prompt_tokens=181, finish_reason="tool_calls", id="chatcmpl-rec2")
    weather = '{"city":"Zürich \\"HB\\"","days":[1,2,3],"note":"\\u6c34 水\\n"}'
    search = '{"query":"C:\\\\turbine\\\\headrace","deep":{"a":[{}]}}'
    calls = (
        ToolCall("call_weather", "get_weather", weather, 8),
        ToolCall("call_search", "search_docs", search, 7),
    )
    frames = [_Part("opening", sse_frame(_chunk(chat, {"role": "assistant", "content": None})))]
    for place, call in enumerate(calls):
        function = {"name": call.name, "arguments": ""}
        named = {"index": place, "id": call.id, "type": "function", "function": function}
        frames.append(_Part("content", sse_frame(_chunk(chat, {"tool_calls": [named]}))))
    for turn in range(max(len(call.pieces) for call in calls)):
        for place, call in enumerate(calls):
            for piece in call.pieces[turn : turn + 1]:
                delta = {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}
                frames.append(_Part("content", sse_frame(_chunk(chat, delta)), 1))
    return _recording("tools", chat, frames, tool_arguments=tuple(call.arguments for call in calls))


def vendor_recording() -> Recording:
    """A stream in every liberty of the format: CR LF, comments, `retry`, log probabilities, vendor fields."""
    chat = Chat(model="recorded-vendor", prompt_tokens=42, id="chatcmpl-rec3")
    text = "The headrace carries water to the turbine, and the tailrace away."
    frames = [
        _Part("comment", b": connected\n\n"),
        _Part("opening", sse_frame(_chunk(chat, {"role": "assistant", "content": ""}))),
    ]
    # No `id` field: the official client takes the blank line after a comment for an event once it saw an id.
    for place, word in enumerate(words(text)):
        if place % 5 == 4:
            frames.append(_Part("comment", b": keep-alive\n\n"))
        more: dict[str, object] = {"usage": None, "x_vendor": {"queue_ms": place * 1.5, "node": None}}
        payload = msgspec.json.encode(_chunk(chat, {"content": word}) | more | _logprobs(word))
        frames.append(_Part("content", b"retry: %d\nevent: message\ndata:%b\n\n" % (1000 + place, payload), 1))
    with_crlf = [_Part(part.kind, part.data.replace(b"\n", b"\r\n"), part.tokens) for part in frames]
    return _recording("vendor", chat, with_crlf, text=text, line_end=b"\r\n")


def recordings() -> dict[str, Recording]:
    """All recordings by name."""
    made = (multibyte_recording(), tools_recording(), vendor_recording())
    return {recording.name: recording for recording in made}


@dataclass(frozen=True, slots=True)
class _Part:
    kind: FrameKind
    data: bytes
    tokens: int = 0


def _recording(
    name: str,
    chat: Chat,
    parts: list[_Part],
    *,
    text: str = "",
    tool_arguments: tuple[str, ...] = (),
    line_end: bytes = b"\n",
) -> Recording:
    usage = usage_object(chat.prompt_tokens, sum(part.tokens for part in parts)) | {
        "prompt_tokens_details": {"cached_tokens": chat.prompt_tokens // 2, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
    closing = (
        _Part("finish", sse_frame(finish_chunk(chat, usage=None))),
        _Part("usage", sse_frame(chat_chunk(chat, None, usage=usage))),
        _Part("done", DONE_FRAME),
    )
    whole = [*parts, *(_Part(part.kind, part.data.replace(b"\n", line_end)) for part in closing)]
    return Recording(
        name=name,
        frames=tuple(Frame(part.data, part.tokens) for part in whole),
        kinds=tuple(part.kind for part in whole),
        text=text,
        tool_arguments=tool_arguments,
        prompt_tokens=chat.prompt_tokens,
        usage=usage,
    )


def _chunk(chat: Chat, delta: Mapping[str, object]) -> dict[str, object]:
    return chat_chunk(chat, delta, usage=None)


def _logprobs(word: str) -> dict[str, object]:
    token = {"token": word, "logprob": -0.125, "bytes": list(word.encode()), "top_logprobs": None}
    choice = {"index": 0, "delta": {"content": word}, "logprobs": {"content": [token]}, "finish_reason": None}
    return {"choices": [choice]}
