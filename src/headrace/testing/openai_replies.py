"""Ready-made replies in OpenAI's dialect: chat, streams, embeddings, errors; chooses and sends nothing."""

import base64
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from headrace.testing.script import Frame, Reply, json_reply

UsageShape: TypeAlias = Literal["final", "in_finish", "every_chunk", "absent", "null", "zero"]

DONE_FRAME = b"data: [DONE]\n\n"
CREATED_UNIX_SECONDS = 1_764_000_000


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call of a reply; its arguments are streamed in pieces of that many characters."""

    id: str
    name: str
    arguments: str
    piece_characters: int = 8

    @property
    def pieces(self) -> tuple[str, ...]:
        """The argument deltas; one token is billed for each."""
        size = self.piece_characters
        return tuple(self.arguments[start : start + size] for start in range(0, len(self.arguments), size))


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat completion; every word, and every piece of tool arguments, bills one token per choice.

    Shapes: `usage` is where a stream carries it: `final` (a last frame without choices), `in_finish` (beside
    the finish reason), `every_chunk` (growing), `absent`, `null` or `zero`. `reported` overrides its numbers
    (an upstream that lies); what is billed stays true. `error_at_frame` replaces that frame and all after it
    by an error event.
    """

    text: str = "Hello from the fake upstream."
    model: str = "fake-model"
    prompt_tokens: int = 7
    finish_reason: str | None = "stop"
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    choices: int = 1
    usage: UsageShape = "final"
    reported: Mapping[str, object] | None = None
    error_at_frame: int | None = None
    error: Mapping[str, object] = field(default_factory=lambda: dict(_OVERLOADED))
    done: bool = True
    id: str = "chatcmpl-fake"

    @property
    def completion_tokens(self) -> int:
        """What the whole reply bills."""
        pieces = sum(len(call.pieces) for call in self.tool_calls)
        return self.choices * (len(words(self.text)) + len(words(self.reasoning)) + pieces)


_OVERLOADED: Mapping[str, object] = {
    "message": "The server is overloaded.",
    "type": "server_error",
    "param": None,
    "code": "overloaded",
}


def words(text: str) -> tuple[str, ...]:
    """Split a text into words that keep their leading space, so that joining them gives the text again."""
    return tuple(re.findall(r"\s*\S+(?:\s+$)?", text))


def usage_object(prompt_tokens: int, completion_tokens: int) -> dict[str, object]:
    """Usage as OpenAI reports it."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def sse_frame(value: object) -> bytes:
    """One server-sent event with a JSON value; text stays UTF-8."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def chat_reply(chat: Chat | str = "Hello from the fake upstream.") -> Reply:
    """A chat completion in one piece; the whole body is one frame, billed when all of it is written."""
    chat = Chat(chat) if isinstance(chat, str) else chat
    message: dict[str, object] = {"role": "assistant", "content": chat.text or None}
    if chat.reasoning:
        message["reasoning_content"] = chat.reasoning
    if chat.tool_calls:
        message["tool_calls"] = [_whole_call(call) for call in chat.tool_calls]
    body: dict[str, object] = _head(chat, "chat.completion") | {
        "choices": [
            {"index": index, "message": message, "logprobs": None, "finish_reason": chat.finish_reason}
            for index in range(chat.choices)
        ],
    }
    if chat.usage != "absent":
        body["usage"] = _reported(chat, chat.completion_tokens)
    frame = Frame(msgspec.json.encode(body), chat.completion_tokens)
    return Reply(headers={"content-type": "application/json"}, frames=(frame,), prompt_tokens=chat.prompt_tokens)


def chat_stream(chat: Chat | str = "Hello from the fake upstream.") -> Reply:
    """A streamed chat completion: role, one frame per word or argument piece, finish, usage, `[DONE]`."""
    chat = Chat(chat) if isinstance(chat, str) else chat
    frames = [*_stream_frames(chat)]
    if chat.error_at_frame is not None:
        frames = [*frames[: chat.error_at_frame], Frame(sse_frame({"error": dict(chat.error)}))]
    return stream_reply(frames, prompt_tokens=chat.prompt_tokens)


def stream_reply(frames: Iterable[Frame], *, prompt_tokens: int = 0) -> Reply:
    """A server-sent event stream of ready-made frames."""
    headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
    return Reply(headers=headers, frames=tuple(frames), prompt_tokens=prompt_tokens, framing="chunked")


def embeddings_reply(
    count: int = 1,
    *,
    dimensions: int = 8,
    model: str = "fake-embedding",
    prompt_tokens: int = 3,
    encoding: Literal["float", "base64"] = "float",
) -> Reply:
    """Embeddings whose vectors depend on their index only, as floats or base64 of little-endian float32."""
    vectors = [[(index * 31 + place * 7) % 64 / 64.0 for place in range(dimensions)] for index in range(count)]
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, encoding)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    body = msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})
    return Reply(headers={"content-type": "application/json"}, frames=(Frame(body),), prompt_tokens=prompt_tokens)


def models_reply(names: Sequence[str]) -> Reply:
    """The list of models."""
    data = [{"id": name, "object": "model", "created": CREATED_UNIX_SECONDS, "owned_by": "fake"} for name in names]
    return json_reply({"object": "list", "data": data})


def error_reply(
    status: int,
    message: str = "The fake upstream was told to fail.",
    *,
    kind: str = "server_error",
    code: str | None = None,
    retry_after: str | int | None = None,
) -> Reply:
    """An error in OpenAI's shape; bills nothing; `retry_after` is sent as it stands, even nonsense."""
    reply = json_reply({"error": {"message": message, "type": kind, "param": None, "code": code}}, status=status)
    headers = dict(reply.headers)
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return Reply(status=status, headers=headers, frames=reply.frames)


def chat_chunk(chat: Chat, delta: Mapping[str, object] | None, index: int = 0, **more: object) -> dict[str, object]:
    """One `chat.completion.chunk`; without a delta it has no choices."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
    return _head(chat, "chat.completion.chunk") | {"choices": [] if delta is None else [choice]} | more


def finish_chunk(chat: Chat, index: int = 0, **more: object) -> dict[str, object]:
    """The chunk that carries the finish reason of one choice."""
    nothing: dict[str, object] = {}
    choice = {"index": index, "delta": nothing, "logprobs": None, "finish_reason": chat.finish_reason}
    return _head(chat, "chat.completion.chunk") | {"choices": [choice]} | more


def _stream_frames(chat: Chat) -> Iterator[Frame]:
    spent = 0
    for index in range(chat.choices):
        yield _frame(chat, chat_chunk(chat, {"role": "assistant", "content": ""}, index), spent)
    for delta, tokens in _deltas(chat):
        for index in range(chat.choices):
            spent += tokens
            yield _frame(chat, chat_chunk(chat, delta, index), spent, tokens)
    if chat.finish_reason is not None:
        for index in range(chat.choices):
            yield _finish_frame(chat, index, spent)
    if chat.usage in {"final", "every_chunk", "null", "zero"}:
        yield Frame(sse_frame(chat_chunk(chat, None, usage=_reported(chat, spent))))
    if chat.done:
        yield Frame(DONE_FRAME)


def _deltas(chat: Chat) -> Iterator[tuple[dict[str, object], int]]:
    for word in words(chat.reasoning):
        yield {"reasoning_content": word}, 1
    for word in words(chat.text) if not chat.tool_calls else ():
        yield {"content": word}, 1
    for place, call in enumerate(chat.tool_calls):
        function = {"name": call.name, "arguments": ""}
        yield {"tool_calls": [{"index": place, "id": call.id, "type": "function", "function": function}]}, 0
        for piece in call.pieces:
            yield {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}, 1


def _frame(chat: Chat, chunk: dict[str, object], spent: int, tokens: int = 0) -> Frame:
    if chat.usage == "every_chunk":
        chunk["usage"] = _reported(chat, spent)
    elif chat.usage != "absent":
        chunk["usage"] = None
    return Frame(sse_frame(chunk), tokens)


def _finish_frame(chat: Chat, index: int, spent: int) -> Frame:
    chunk = finish_chunk(chat, index)
    if chat.usage == "in_finish" and index == chat.choices - 1:
        return Frame(sse_frame(chunk | {"usage": _reported(chat, spent)}))
    return _frame(chat, chunk, spent)


def _reported(chat: Chat, completion_tokens: int) -> Mapping[str, object] | None:
    if chat.usage == "null":
        return None
    if chat.reported is not None:
        return chat.reported
    return usage_object(0, 0) if chat.usage == "zero" else usage_object(chat.prompt_tokens, completion_tokens)


def _head(chat: Chat, kind: str) -> dict[str, object]:
    return {"id": chat.id, "object": kind, "created": CREATED_UNIX_SECONDS, "model": chat.model}


def _whole_call(call: ToolCall) -> dict[str, object]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _encoded(vector: Sequence[float], encoding: Literal["float", "base64"]) -> object:
    if encoding == "float":
        return list(vector)
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
