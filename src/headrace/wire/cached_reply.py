"""A reply that is sent again: the fields about money in its last events renewed, everything else byte for byte."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.json_value import JsonObject
from headrace.wire.json_strict import decode_trusted, encode, is_object
from headrace.wire.sse import FrameSplitter, data_frame, frame_data, named_frame

FIELD = "headrace"
_MARK = b'"headrace"'


def renewed_end(end: bytes, money: Mapping[str, int | str]) -> bytes:
    """Return the last events of a stream with these fields in place of the additive ones of the first time."""
    if _MARK not in end:
        return end
    splitter = FrameSplitter()
    frames = [_renewed(frame, money) for frame in splitter.feed(end)]
    return b"".join(frames) + splitter.rest


def _renewed(frame: bytes, money: Mapping[str, int | str]) -> bytes:
    data = frame_data(frame)
    if data is None or _MARK not in data:
        return frame
    event = decode_trusted(data)
    if not is_object(event):
        return frame
    response = event.get("response")
    changed = {**event, "response": _with(response, money)} if is_object(response) else _with(event, money)
    if changed == event:
        return frame
    payload = encode(changed)
    return named_frame(str(event.get("type")).encode(), payload) if frame.startswith(b"event:") else data_frame(payload)


def _with(holder: JsonObject, money: Mapping[str, int | str]) -> JsonObject:
    return {**holder, FIELD: dict(money)} if FIELD in holder else holder
