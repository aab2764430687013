"""Blobs in memory with the expiry of the real ones; a store that is down on demand."""

from __future__ import annotations

from headrace.domain.errors import MeteringUnavailable
from headrace.ports.ambient import Clock


class MemoryBlobs:
    """Keeps blobs by owner, kind and id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.kept: dict[tuple[str, str, str], tuple[bytes, int]] = {}
        self.is_down = False

    async def put(self, owner: str, kind: str, blob_id: str, content: bytes, expires_at_micros: int) -> None:
        if self.is_down:
            raise MeteringUnavailable("The store is down.")
        self.kept[owner, kind, blob_id] = (content, expires_at_micros)

    async def get(self, owner: str, kind: str, blob_id: str) -> bytes | None:
        content, expires = self.kept.get((owner, kind, blob_id), (None, 0))
        return content if expires > self._clock.unix_micros() else None

    async def delete(self, owner: str, kind: str, blob_id: str) -> bool:
        found = await self.get(owner, kind, blob_id) is not None
        self.kept.pop((owner, kind, blob_id), None)
        return found

    async def sweep(self) -> int:
        if self.is_down:
            raise MeteringUnavailable("The store is down.")
        gone = [key for key, (_, expires) in self.kept.items() if expires <= self._clock.unix_micros()]
        for key in gone:
            del self.kept[key]
        return len(gone)
