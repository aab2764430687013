"""Server-sent events as bytes: splitting a stream into frames and reading a frame's data.

Source: WHATWG HTML, "Server-sent events" (read 2026-11-24).
"""

from __future__ import annotations

import re

MAX_FRAME_BYTES = 16 * 1024 * 1024
DONE = b"data: [DONE]\n\n"
_BLANK_LINE = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_LINE_END = re.compile(rb"\r\n|\r|\n")


class FrameTooLong(ValueError):
    """A frame passed MAX_FRAME_BYTES without ending."""


class FrameSplitter:
    """Cuts pushed blocks into whole frames, each with its terminating blank line, bytes unchanged.

    What comes out does not depend on how the stream was cut into blocks: a frame whose last byte is a carriage
    return waits for the next byte, which may be the line feed that belongs to it.
    """

    __slots__ = ("_has_return", "_rest", "_scanned")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._scanned = 0
        self._has_return = False

    @property
    def rest(self) -> bytes:
        """Bytes after the last whole frame."""
        return bytes(self._rest)

    def feed(self, block: bytes) -> list[bytes]:
        """Return the frames that this block completes; raises FrameTooLong."""
        if self._rest:
            self._rest += block
            data: bytes | bytearray = self._rest
        else:
            data = block
        self._has_return = self._has_return or b"\r" in block
        frames: list[bytes] = []
        start = 0
        while (end := self._frame_end(data, max(start, self._scanned))) >= 0:
            frames.append(bytes(data[start:end]))
            start = end
        self._keep(data, start)
        return frames

    def _frame_end(self, data: bytes | bytearray, start: int) -> int:
        if not self._has_return:
            end = data.find(b"\n\n", start)
            return end + 2 if end >= 0 else -1
        found = _BLANK_LINE.search(data, start)
        if found is None or (found.end() == len(data) and data[-1:] == b"\r"):
            return -1
        return found.end()

    def _keep(self, data: bytes | bytearray, start: int) -> None:
        if data is self._rest:
            del self._rest[:start]
        else:
            self._rest += data[start:]
        # The longest blank line has four bytes, so up to three of them may have been seen already.
        self._scanned = max(len(self._rest) - 3, 0)
        if not self._rest:
            self._has_return = False
        if len(self._rest) > MAX_FRAME_BYTES:
            raise FrameTooLong(f"a frame passes {MAX_FRAME_BYTES} bytes")


def frame_data(frame: bytes) -> bytes | None:
    """Return the data of a frame, or None when it has none (comments, retry, a bare event name)."""
    if frame.startswith(b"data: ") and frame.find(b"\n", 6) == len(frame) - 2:
        return frame[6:-2]
    lines = [_field_value(line) for line in _LINE_END.split(frame) if line.startswith(b"data")]
    data = [line for line in lines if line is not None]
    return b"\n".join(data) if data else None


def data_frame(payload: bytes) -> bytes:
    """Return a frame that carries one line of data."""
    return b"data: " + payload + b"\n\n"


def named_frame(name: bytes, payload: bytes) -> bytes:
    """Return a frame with an event name and one line of data."""
    return b"event: " + name + b"\ndata: " + payload + b"\n\n"


def comment_frame(text: bytes) -> bytes:
    """Return a comment, which clients ignore; it keeps a waiting connection alive."""
    return b": " + text + b"\n\n"


def _field_value(line: bytes) -> bytes | None:
    if line == b"data":
        return b""
    if not line.startswith(b"data:"):
        return None
    value = line[5:]
    return value[1:] if value.startswith(b" ") else value
