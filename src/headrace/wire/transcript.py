"""What was asked and what was answered as plain text, in every dialect, for somebody to compare answers by.

Pictures, sound, tools and reasoning are left out; what is not understood is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from headrace.domain.call import Dialect
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import decode_trusted, is_object
from headrace.wire.sse import FrameSplitter, FrameTooLong, frame_data

MOST_CHARS = 32_000
CUT = "\n[…]\n"
_SPOKEN = frozenset({"text", "input_text", "output_text"})


def asked_text(body: Mapping[str, JsonValue]) -> str:
    """Return a conversation, a paragraph for each message with its speaker; of a long one the beginning is cut off."""
    said = [("system", body.get(name)) for name in ("system", "instructions")]
    listed = body.get("messages", body.get("input"))
    messages = listed if isinstance(listed, list) else [{"role": "user", "content": listed}]
    said += [(str(each.get("role", "user")), each.get("content")) for each in messages if is_object(each)]
    paragraphs = [f"{role}: {words}" for role, content in said if (words := _words(content))]
    return _kept_end("\n\n".join(paragraphs))


def answered_text(dialect: Dialect, content: bytes, *, stream: bool) -> str:
    """Return the text of a reply as the caller got it; nothing where it has none."""
    try:
        texts = list(_streamed(dialect, content) if stream else _whole(dialect, _object(content)))
    except (msgspec.DecodeError, FrameTooLong):
        return ""
    return _kept_end("".join(texts))


def _whole(dialect: Dialect, body: JsonObject) -> Iterator[str]:
    if dialect is Dialect.CHAT:
        for choice in _objects(body.get("choices"))[:1]:
            yield _words(_part(choice, "message").get("content"))
    elif dialect is Dialect.MESSAGES:
        yield _words(body.get("content"))
    else:
        yield "\n".join(_words(item.get("content")) for item in _objects(body.get("output")))


def _streamed(dialect: Dialect, content: bytes) -> Iterator[str]:
    for frame in FrameSplitter().feed(content):
        data = frame_data(frame)
        if data is None or data == b"[DONE]":
            continue
        event = _object(data)
        if dialect is Dialect.CHAT:
            for choice in _objects(event.get("choices"))[:1]:
                yield _words(_part(choice, "delta").get("content"))
        elif dialect is Dialect.MESSAGES:
            yield _words(_part(event, "delta").get("text"))
        elif event.get("type") == "response.output_text.delta":
            yield _words(event.get("delta"))


def _words(content: JsonValue) -> str:
    if isinstance(content, str):
        return content
    texts = [each.get("text") for each in _objects(content) if each.get("type") in _SPOKEN]
    return "\n".join(each for each in texts if isinstance(each, str))


def _objects(value: JsonValue) -> list[JsonObject]:
    return [each for each in value if is_object(each)] if isinstance(value, list) else []


def _part(item: JsonObject, name: str) -> JsonObject:
    value = item.get(name)
    return value if is_object(value) else {}


def _object(content: bytes) -> JsonObject:
    value: JsonValue = decode_trusted(content)
    return value if is_object(value) else {}


def _kept_end(text: str) -> str:
    return text if len(text) <= MOST_CHARS else CUT + text[-MOST_CHARS:]
