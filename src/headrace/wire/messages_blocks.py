"""Content blocks of Messages, written from parts of other dialects: pictures, documents and tool arguments."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

import msgspec

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.dialect_fields import left_of
from headrace.wire.json_strict import decode_trusted, is_object
from headrace.wire.openai_chat import show

BREAKPOINT = "prompt_cache_breakpoint"
MAX_CACHE_MARKS = 4
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=-]+)*;base64,(.*)", re.DOTALL)


class CacheMarks:
    """Marks where prompts may be cached, as OpenAI's dialects set them; Messages takes four in a request."""

    def __init__(self) -> None:
        self._marked: list[JsonObject] = []

    def mark(self, block: JsonObject, part: JsonObject) -> list[str]:
        """Mark a block like the part that became it, and return what was dropped; an empty text cannot be marked."""
        mark = part.get(BREAKPOINT)
        if mark is None or block.get("text") == "":
            return []
        # A lifetime that is named is longer than five minutes; an hour is the longest that Messages has.
        is_long = is_object(mark) and mark.get("ttl") is not None
        block["cache_control"] = {"type": "ephemeral", "ttl": "1h"} if is_long else {"type": "ephemeral"}
        self._marked.append(block)
        return left_of(mark, ("mode", "ttl"), BREAKPOINT)

    def surplus(self) -> list[str]:
        """Take back the marks before the last four, and return what was dropped by that."""
        earlier = self._marked[:-MAX_CACHE_MARKS]
        for block in earlier:
            del block["cache_control"]
        return [BREAKPOINT] if earlier else []


def content_blocks(content: JsonValue, param: str, block: Callable[[JsonValue, str], JsonObject]) -> list[JsonValue]:
    """Return a text or parts as blocks, each part turned into one by `block`; raises InvalidRequest for others.

    Text without letters is left out: Messages refuses it, which OpenAI's dialects take.
    """
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        raise InvalidRequest(f'"{param}" must be a string or an array of parts, not {show(content)}.', param=param)
    blocks = [block(part, f"{param}[{index}]") for index, part in enumerate(content)]
    return [each for each in blocks if each["type"] != "text" or each["text"]]


def image_block(url: str) -> JsonObject:
    """Return a picture that its URL brings along or names."""
    data = _DATA_URL.fullmatch(url)
    if data is None:
        return {"type": "image", "source": {"type": "url", "url": url}}
    return {"type": "image", "source": {"type": "base64", "media_type": data[1], "data": data[2]}}


def document_source(url: JsonValue, param: str) -> JsonObject | None:
    """Return the source of a document that a data URL brings along, None for any other value.

    Raises InvalidRequest for text that is not UTF-8.
    """
    data = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
    if data is None:
        return None
    if not data[1].startswith("text/"):
        return {"type": "base64", "media_type": data[1], "data": data[2]}
    try:
        text = base64.b64decode(data[2], validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidRequest(f'"{param}" is not UTF-8 text in base64.', param=param) from None
    return {"type": "text", "media_type": "text/plain", "data": text}


def read_arguments(text: JsonValue) -> JsonObject | None:
    """Return the arguments of a tool call, empty when there are none; None for what is not a JSON object."""
    try:
        arguments = decode_trusted(text.encode()) if isinstance(text, str) and text.strip() else {}
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return arguments if is_object(arguments) else None
