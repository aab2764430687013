"""What a connection may take before it is turned away, and how many there are; what a request may take is edge's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Deadlines and sizes of one connection, and how many there may be; the names carry the units.

    A body must come at `body_bytes_per_second` on average once `body_grace_seconds` are over. A caller who does not
    take `reader_bytes_per_second` of what waits for it, over `reader_seconds`, is a slow reader. `body_wire_bytes` is
    what a body may take with the framing of its chunks. What is unread when a request was refused is thrown away for
    `linger_seconds`, so that the caller can read the reply.
    """

    head_seconds: float = 10.0
    head_bytes: int = 32 * 1024
    head_lines: int = 100
    body_seconds: float = 300.0
    body_grace_seconds: float = 8.0
    body_bytes_per_second: int = 512
    body_wire_bytes: int = 33 * 1024 * 1024
    reader_seconds: float = 30.0
    reader_bytes_per_second: int = 1024
    linger_seconds: float = 2.0
    idle_seconds: int = 30
    requests_per_connection: int = 10_000
    connections: int = 4096
    connections_per_address: int = 1024

    def due_body_bytes(self, waited_seconds: float) -> float:
        """Return how much of a body must have come by then."""
        return (waited_seconds - self.body_grace_seconds) * self.body_bytes_per_second


class Census:
    """Counts connections, all and by address."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self.total = 0

    def admit(self, address: str) -> bool:
        """Count one in, unless there are too many; one that was counted in must be released."""
        limits = self._limits
        if self.total >= limits.connections or self._by_address[address] >= limits.connections_per_address:
            return False
        self.total += 1
        self._by_address[address] += 1
        return True

    def release(self, address: str) -> None:
        """Count one out."""
        self.total -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]


class CallerLink:
    """What the server knows of the caller's end of a connection; sinks ask it why a caller is gone."""

    __slots__ = ("is_slow",)

    def __init__(self) -> None:
        self.is_slow = False
