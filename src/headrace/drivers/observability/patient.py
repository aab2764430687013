"""The stream that the log goes to, written without ever waiting for whoever reads it.

A log that nobody reads must not stop requests: what its pipe has no room for is lost, and counted in the line after.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
from typing import TextIO

# A pipe that is ready takes so many characters at once, of up to four bytes each. Source: POSIX, "write", PIPE_BUF.
ROOM_CHARACTERS = select.PIPE_BUF // 4
LOST = '{{"lost_lines":{},"event":"the log was not read","level":"warning"}}\n'


class PatientStream(io.TextIOBase):
    """Passes whole lines on while there is room for them; a stream without a file descriptor always has room."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor: int | None = None
        self._ready = select.poll()
        self._is_cut = False
        self.lost = 0
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._descriptor = stream.fileno()
            self._ready.register(self._descriptor, select.POLLOUT)

    def write(self, text: str, /) -> int:
        """Write lines, or lose them."""
        if self.lost and self._has_room():
            lost, self.lost = self.lost, 0
            self._send(LOST.format(lost))
        self._send(text)
        return len(text)

    def flush(self) -> None:
        """Write what a stream without a descriptor keeps back; another keeps nothing."""
        if self._descriptor is None:
            self._stream.flush()

    def _send(self, text: str) -> None:
        if self._descriptor is None:
            self._stream.write(text)
            return
        text = f"\n{text}" if self._is_cut else text
        for first in range(0, len(text), ROOM_CHARACTERS):
            piece = text[first : first + ROOM_CHARACTERS].encode("utf-8", "replace")
            if not self._has_room() or not _wrote(self._descriptor, piece):
                self.lost += 1
                self._is_cut = self._is_cut or bool(first)
                return
        self._is_cut = False

    def _has_room(self) -> bool:
        return self._descriptor is None or bool(self._ready.poll(0))


def _wrote(descriptor: int, piece: bytes) -> bool:
    """Write to a descriptor itself, so that nothing of a reader who is gone is left in a buffer for the end."""
    try:
        return os.write(descriptor, piece) == len(piece)
    except OSError:
        return False
