"""Reasoning that only its maker can open, carried through a dialect that has another place for it.

Chat carries it as `thinking_blocks`, the Responses dialect as `encrypted_content`; both are opaque to the caller.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import decode_trusted, encode, is_object

_BLOCKS, _ITEM = "thinking_blocks:", "reasoning_item:"
_BROKEN = (binascii.Error, UnicodeError, msgspec.DecodeError, RecursionError)


def seal_blocks(blocks: Sequence[JsonValue]) -> str:
    """Return thinking blocks as one `encrypted_content`."""
    return _BLOCKS + _packed(list(blocks))


def open_blocks(sealed: JsonValue) -> list[JsonValue]:
    """Return the thinking blocks that `seal_blocks` was given; nothing for what somebody else has sealed."""
    value = _unpacked(sealed, _BLOCKS)
    return value if isinstance(value, list) else []


def block_of_item(item: JsonObject) -> list[JsonValue]:
    """Return a sealed reasoning item as one thinking block, and nothing when it is not sealed."""
    sealed = item.get("encrypted_content")
    if not isinstance(sealed, str) or not sealed:
        return []
    kept: JsonObject = {"id": item.get("id"), "encrypted_content": sealed}
    return [{"type": "redacted_thinking", "data": _ITEM + _packed(kept)}]


def items_of_blocks(blocks: JsonValue) -> list[JsonObject]:
    """Return the reasoning items among thinking blocks; blocks of other makers are left out."""
    given = blocks if isinstance(blocks, list) else []
    found = [_unpacked(block.get("data"), _ITEM) for block in given if is_object(block)]
    return [{"type": "reasoning", "summary": [], **each} for each in found if is_object(each)]


def _packed(value: JsonValue) -> str:
    return base64.urlsafe_b64encode(encode(value)).decode()


def _unpacked(text: JsonValue, prefix: str) -> JsonValue:
    if not isinstance(text, str) or not text.startswith(prefix):
        return None
    try:
        return decode_trusted(base64.urlsafe_b64decode(text.removeprefix(prefix).encode()))
    except _BROKEN:
        return None
