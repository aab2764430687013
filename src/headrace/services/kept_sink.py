"""A sink that remembers what it passes on, and goes on alone when its caller has left; storing is its owner's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from headrace.ports.sink import Sink

Headers: TypeAlias = tuple[tuple[str, str], ...]
MAX_KEPT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a caller was sent; `code` and `message` are of the error that broke it off, else None."""

    status: int
    headers: Headers
    blocks: tuple[bytes, ...]
    code: str | None = None
    message: str | None = None


class KeptSink:
    """Passes one reply on; `keep` is called before its end leaves. To the turn its caller is always there."""

    gone = False
    departure = None

    def __init__(self, sink: Sink, keep: Callable[[], Awaitable[None]]) -> None:
        self._sink = sink
        self._keep = keep
        self._is_attached = True
        self._head: tuple[int, Headers] | None = None
        self._blocks: list[bytes] = []
        self._size = 0

    @property
    def started(self) -> bool:
        """Whether status and headers have left."""
        return self._head is not None

    def detach(self) -> None:
        """Pass nothing on any more: the caller has left."""
        self._is_attached = False

    def outcome(self, code: str | None = None, message: str | None = None) -> Outcome | None:
        """Return what was sent, or None when nothing was or it is too much to keep."""
        if self._head is None or self._size > MAX_KEPT_BYTES:
            return None
        return Outcome(*self._head, tuple(self._blocks), code, message)

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        self._head = (status, headers)
        if self._is_attached:
            await self._sink.start(status, headers)

    async def write(self, block: bytes) -> None:
        """Send bytes."""
        self._note(block)
        if self._is_attached:
            await self._sink.write(block)

    async def end(self, block: bytes) -> None:
        """Keep what was sent, then send the end of it."""
        self._note(block)
        await self._keep()
        if self._is_attached:
            await self._sink.end(block)

    async def break_off(self, block: bytes) -> None:
        """Send the last bytes of a reply that has no proper end."""
        if self._is_attached:
            await self._sink.break_off(block)

    def _note(self, block: bytes) -> None:
        self._size += len(block)
        if self._size <= MAX_KEPT_BYTES:
            self._blocks.append(block)
        else:
            self._blocks.clear()
