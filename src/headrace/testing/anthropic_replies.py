"""Ready-made replies in Anthropic's Messages dialect: messages, streams of events, errors; sends nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, cast

import msgspec

from headrace.testing.openai_replies import ToolCall, stream_reply, words
from headrace.testing.script import Frame, Reply, UpstreamRequest, json_reply

StartUsage: TypeAlias = Literal["full", "absent"]


@dataclass(frozen=True, slots=True)
class Message:
    """A message; every word, and every piece of tool input, bills one token.

    Shapes: `usage` overrides counts of the usage block; with `usage_shape` "absent" there is none at all. A
    `signature` closes the thinking. `error_at_frame` replaces that frame and all after it by an error event, and
    `stopped` False leaves `message_stop` out.
    """

    text: str = "Hello from the fake upstream."
    model: str = "fake-claude"
    input_tokens: int = 7
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    thinking: str = ""
    signature: str = ""
    redacted: str = ""
    tool_uses: tuple[ToolCall, ...] = ()
    usage: Mapping[str, object] = field(default_factory=dict[str, object])
    usage_shape: StartUsage = "full"
    error_at_frame: int | None = None
    error_type: str = "overloaded_error"
    stopped: bool = True
    id: str = "msg_fake"

    @property
    def output_tokens(self) -> int:
        """What the whole reply bills."""
        pieces = sum(len(call.pieces) for call in self.tool_uses)
        return len(words(self.text)) + len(words(self.thinking)) + pieces


def messages_reply(message: Message | str = "Hello from the fake upstream.") -> Reply:
    """A message in one piece; the whole body is one frame, billed when all of it is written."""
    message = Message(message) if isinstance(message, str) else message
    body: dict[str, object] = _head(message) | {
        "content": [*_whole_blocks(message)],
        "stop_reason": message.stop_reason,
        "stop_sequence": message.stop_sequence,
    }
    if message.usage_shape == "full":
        body["usage"] = _usage(message, message.output_tokens)
    frame = Frame(msgspec.json.encode(body), message.output_tokens)
    return Reply(headers=_HEADERS, frames=(frame,), prompt_tokens=message.input_tokens)


def messages_stream(message: Message | str = "Hello from the fake upstream.") -> Reply:
    """A streamed message: start, ping, blocks with one delta per word or input piece, the final delta, stop."""
    message = Message(message) if isinstance(message, str) else message
    frames = [*stream_frames(message)]
    if message.error_at_frame is not None:
        error = {"type": "error", "error": {"type": message.error_type, "message": "Overloaded"}}
        frames = [*frames[: message.error_at_frame], event_frame(error)]
    reply = stream_reply(frames, prompt_tokens=message.input_tokens)
    return replace(reply, headers={**reply.headers, "request-id": "req_fake"})


def event_frame(event: Mapping[str, object], tokens: int = 0) -> Frame:
    """One named event with its JSON; text stays UTF-8."""
    name = str(event["type"]).encode()
    return Frame(b"event: " + name + b"\ndata: " + msgspec.json.encode(event) + b"\n\n", tokens)


def messages_error(
    status: int,
    message: str = "The fake upstream was told to fail.",
    *,
    kind: str = "api_error",
    retry_after: str | int | None = None,
) -> Reply:
    """An error in Anthropic's shape; bills nothing."""
    reply = json_reply({"type": "error", "error": {"type": kind, "message": message}}, status=status)
    extra = {} if retry_after is None else {"retry-after": str(retry_after)}
    return replace(reply, headers={**reply.headers, **extra})


def obedient_messages(request: UpstreamRequest, message: Message | None = None) -> Reply:
    """Answer with that message in the form asked for: stream or not, cut at `max_tokens`."""
    message = message or Message()
    cap = request.fields.get("max_tokens")
    spoken = words(message.text)
    if isinstance(cap, int) and cap < len(spoken):
        message = replace(message, text="".join(spoken[:cap]), stop_reason="max_tokens")
    message = replace(message, model=request.model or message.model, id=f"msg_fake_{request.number}")
    return messages_stream(message) if request.fields.get("stream") is True else messages_reply(message)


def stream_frames(message: Message) -> Iterator[Frame]:
    """The frames of a streamed message."""
    nothing: dict[str, object] = {"content": list[object](), "stop_reason": None, "stop_sequence": None}
    start = _head(message) | nothing
    if message.usage_shape == "full":
        start["usage"] = _usage(message, 1)
    yield event_frame({"type": "message_start", "message": start})
    yield event_frame({"type": "ping"})
    for index, (block, deltas) in enumerate(_streamed_blocks(message)):
        yield event_frame({"type": "content_block_start", "index": index, "content_block": block})
        for delta, tokens in deltas:
            yield event_frame({"type": "content_block_delta", "index": index, "delta": delta}, tokens)
        yield event_frame({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": message.stop_reason, "stop_sequence": message.stop_sequence}
    final: dict[str, object] = {"type": "message_delta", "delta": delta}
    if message.usage_shape == "full":
        final["usage"] = {"output_tokens": _usage(message, message.output_tokens)["output_tokens"]}
    yield event_frame(final)
    if message.stopped:
        yield event_frame({"type": "message_stop"})


_HEADERS: Mapping[str, str] = {"content-type": "application/json", "request-id": "req_fake"}
_Deltas: TypeAlias = list[tuple[dict[str, object], int]]


def _streamed_blocks(message: Message) -> Iterator[tuple[dict[str, object], _Deltas]]:
    if message.thinking:
        deltas: _Deltas = [({"type": "thinking_delta", "thinking": word}, 1) for word in words(message.thinking)]
        if message.signature:
            deltas.append(({"type": "signature_delta", "signature": message.signature}, 0))
        yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if message.redacted:
        yield {"type": "redacted_thinking", "data": message.redacted}, []
    if message.text:
        yield {"type": "text", "text": ""}, [({"type": "text_delta", "text": word}, 1) for word in words(message.text)]
    for call in message.tool_uses:
        pieces: _Deltas = [({"type": "input_json_delta", "partial_json": piece}, 1) for piece in call.pieces]
        use: dict[str, object] = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        yield use, pieces


def _whole_blocks(message: Message) -> Iterator[dict[str, object]]:
    if message.thinking:
        yield {"type": "thinking", "thinking": message.thinking, "signature": message.signature}
    if message.redacted:
        yield {"type": "redacted_thinking", "data": message.redacted}
    if message.text:
        yield {"type": "text", "text": message.text}
    for call in message.tool_uses:
        value = cast("object", msgspec.json.decode(call.arguments or "{}"))
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": value}


def _head(message: Message) -> dict[str, object]:
    return {"id": message.id, "type": "message", "role": "assistant", "model": message.model}


def _usage(message: Message, output_tokens: int) -> dict[str, object]:
    counts: dict[str, object] = {
        "input_tokens": message.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    }
    return counts | dict(message.usage)
