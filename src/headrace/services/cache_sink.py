"""A sink that says how the cache dealt with a reply and remembers one that is to be kept; storing is its owner's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from headrace.ports.sink import Sink
from headrace.services.keepalive import COMMENT
from headrace.services.kept_sink import MAX_KEPT_BYTES

Headers: TypeAlias = tuple[tuple[str, str], ...]
LARGE_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Recorded:
    """A complete reply: its headers, its blocks (small ones joined) and its end."""

    headers: Headers
    blocks: tuple[bytes, ...]
    end: bytes


Keep: TypeAlias = Callable[[Recorded], Awaitable[None]]


class CacheSink:
    """Passes one reply on; `keep` is called with it before its end leaves, when it is complete and not too large."""

    def __init__(self, sink: Sink, says: str, keep: Keep | None = None) -> None:
        self._sink = sink
        self._says = says
        self._keep = keep
        self._headers: Headers = ()
        self._blocks: list[bytearray] = []
        self._size = 0

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
        self._headers = headers
        await self._sink.start(status, (*headers, ("x-headrace-cache", self._says)))

    async def write(self, block: bytes) -> None:
        """Send bytes."""
        if block != COMMENT:
            self._note(block)
        await self._sink.write(block)

    async def end(self, block: bytes) -> None:
        """Have the reply kept, then send its end."""
        if self._keep is not None and self._size + len(block) <= MAX_KEPT_BYTES:
            await self._keep(Recorded(self._headers, tuple(map(bytes, self._blocks)), block))
        await self._sink.end(block)

    async def break_off(self, block: bytes) -> None:
        """Send the last bytes of a reply that has no proper end."""
        await self._sink.break_off(block)

    def _note(self, block: bytes) -> None:
        self._size += len(block)
        if self._keep is None or self._size > MAX_KEPT_BYTES:
            self._blocks.clear()
        elif self._blocks and len(self._blocks[-1]) + len(block) <= LARGE_BLOCK_BYTES:
            self._blocks[-1] += block
        else:
            self._blocks.append(bytearray(block))
