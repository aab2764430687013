"""Reads a script from a TOML file, for the upstream as its own process; a mistake names the field."""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from headrace.testing.obedient import obedient_answer, obedient_chat
from headrace.testing.openai_replies import Chat, ToolCall, UsageShape, error_reply
from headrace.testing.recordings import recordings
from headrace.testing.script import Answer, Reply, UpstreamRequest, answering, raw_reply
from headrace.wire.converter import Converter


class ToolCallEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[reply.tool_calls]]`."""

    id: str
    name: str
    arguments: str
    piece_characters: int = 8


class ReplyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[reply]]`: what it answers to, what it says, and what goes wrong with it.

    Shapes: `match` is a path, a model name or `*`. Of `recording`, `body` and `status` >= 400 the first given
    decides what is sent; otherwise a chat is answered in the form that the request asks for. `times` left
    out: for ever.
    """

    match: str = "*"
    times: int | None = None
    text: str = "Hello from the fake upstream."
    usage: UsageShape = "final"
    finish_reason: str = "stop"
    reasoning: str = ""
    tool_calls: list[ToolCallEntry] = []
    error_at_frame: int | None = None
    recording: Literal["multibyte", "tools", "vendor"] | None = None
    body: str | None = None
    status: int = 200
    headers: dict[str, str] = {}
    retry_after: str | None = None
    split_every_bytes: int | None = None
    cut_after_bytes: int | None = None
    reset_after_bytes: int | None = None
    stall_after_bytes: int | None = None
    delay_before_headers_seconds: float = 0.0
    delay_between_writes_seconds: float = 0.0


class ScriptFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    reply: list[ReplyEntry]


_FILE = Converter(ScriptFile)


def read_script(path: Path) -> Answer:
    """Read and check a script; raises ValueError naming the file and the field at fault."""
    try:
        file = _FILE.convert(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{path}: {error}") from error
    return script_answer(file.reply)


def script_answer(entries: Sequence[ReplyEntry]) -> Answer:
    """Answer by the first entry that matches and has replies left; what matches none gets a good answer."""
    left = [entry.times for entry in entries]
    matches = {entry.match for entry in entries}

    def answer(request: UpstreamRequest) -> Reply:
        keys = {request.path, request.model, "*"}
        if not keys & matches:
            return obedient_answer(request)
        for place, entry in enumerate(entries):
            times = left[place]
            if entry.match not in keys or times == 0:
                continue
            left[place] = None if times is None else times - 1
            return entry_reply(entry, request)
        return answering(())(request)

    return answer


def entry_reply(entry: ReplyEntry, request: UpstreamRequest) -> Reply:
    """The reply that an entry makes for a request."""
    reply = _content(entry, request)
    if entry.split_every_bytes is not None:
        reply = reply.split_every(entry.split_every_bytes)
    if entry.cut_after_bytes is not None:
        reply = reply.cut(entry.cut_after_bytes)
    if entry.reset_after_bytes is not None:
        reply = reply.reset(entry.reset_after_bytes)
    if entry.stall_after_bytes is not None:
        reply = reply.stall(entry.stall_after_bytes)
    return replace(
        reply,
        headers=dict(reply.headers) | entry.headers,
        delay_before_headers_seconds=entry.delay_before_headers_seconds,
        delay_between_writes_seconds=entry.delay_between_writes_seconds,
    )


def _content(entry: ReplyEntry, request: UpstreamRequest) -> Reply:
    if entry.recording is not None:
        return recordings()[entry.recording].reply()
    if entry.body is not None:
        return raw_reply(entry.body.encode(), status=entry.status)
    if entry.status >= 400:
        return error_reply(entry.status, retry_after=entry.retry_after)
    if not request.path.endswith("/chat/completions"):
        return obedient_answer(request)
    calls = tuple(ToolCall(call.id, call.name, call.arguments, call.piece_characters) for call in entry.tool_calls)
    chat = Chat(
        entry.text,
        finish_reason="tool_calls" if calls else entry.finish_reason,
        reasoning=entry.reasoning,
        tool_calls=calls,
        usage=entry.usage,
        error_at_frame=entry.error_at_frame,
    )
    return obedient_chat(request, chat)
