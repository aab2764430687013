"""Sinks of shadow sampling: one that hears a caller's reply as it passes, and one for a turn without a caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from headrace.ports.sink import Sink

Headers: TypeAlias = tuple[tuple[str, str], ...]
# More is not compared.
MAX_HEARD_BYTES = 1024 * 1024
FIRST_FAILURE = 300


class Heard:
    """What a reply said, as far as it is not too long."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._size = 0

    def add(self, block: bytes) -> None:
        """Hear more."""
        self._size += len(block)
        if self._size <= MAX_HEARD_BYTES:
            self._blocks.append(block)
        else:
            self._blocks.clear()

    @property
    def content(self) -> bytes | None:
        """All of it, None when it was too long."""
        return b"".join(self._blocks) if self._size <= MAX_HEARD_BYTES else None


class OverhearingSink:
    """Passes one reply on unchanged; `ended` is called with what it said after its end has left, if it is complete."""

    def __init__(self, sink: Sink, ended: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._ended = ended
        self._heard = Heard()
        self._is_answer = False

    @property
    def started(self) -> bool:
        """Whether status and headers have left."""
        return self._sink.started

    @property
    def gone(self) -> bool:
        """Whether the caller has left."""
        return self._sink.gone

    @property
    def departure(self) -> str | None:
        """How the caller left; None while the caller is there."""
        return self._sink.departure

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        self._is_answer = status < FIRST_FAILURE
        await self._sink.start(status, headers)

    async def write(self, block: bytes) -> None:
        """Send bytes."""
        self._heard.add(block)
        await self._sink.write(block)

    async def end(self, block: bytes) -> None:
        """Send the end, then tell what was said."""
        self._heard.add(block)
        await self._sink.end(block)
        content = self._heard.content
        if self._is_answer and content is not None:
            self._ended(content)

    async def break_off(self, block: bytes) -> None:
        """Send the last bytes of a reply that has no proper end."""
        await self._sink.break_off(block)


class LoneSink:
    """Takes a reply that nobody waits for."""

    gone = False
    departure = None

    def __init__(self) -> None:
        self.started = False
        self._heard = Heard()

    @property
    def content(self) -> bytes | None:
        """What was said, None when it was too long."""
        return self._heard.content

    async def start(self, status: int, headers: Headers) -> None:
        """Begin."""
        self.started = True

    async def write(self, block: bytes) -> None:
        """Take bytes."""
        self._heard.add(block)

    async def end(self, block: bytes) -> None:
        """Take the last bytes."""
        self._heard.add(block)

    async def break_off(self, block: bytes) -> None:
        """Take the last bytes of what has no proper end: the turn raises what went wrong."""
