"""The ledger's port: hold, sent, settle, void; money is booked here and nowhere else."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from headrace.domain.books import Held, Opening, Progress, RecoveryReport, Refused, Settlement, Void
from headrace.domain.receipt import Receipt


class Ledger(Protocol):
    """An append-only double-entry ledger with one terminal state per attempt.

    Every method raises MeteringUnavailable when the store cannot make its write durable.
    """

    async def hold(self, opening: Opening) -> Held | Refused:
        """Reserve the bound on all scopes or on none; returns after the hold is durable.

        A waiter that is cancelled leaves no hold behind.
        """
        ...

    def sent(self, attempt_id: str, at_micros: int) -> Awaitable[None]:
        """Queue the step HELD to SENT at once; the awaitable ends when it is durable."""
        ...

    def checkpoint(self, attempt_id: str, progress: Progress) -> None:
        """Queue the running count of a stream; it is durable with the next commit."""
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Book the true cost and close the hold; a second settlement of an attempt is refused."""
        ...

    async def void(self, void: Void) -> None:
        """Close the hold without a charge; raises Conflict for an attempt that has ended."""
        ...

    async def recover(self) -> RecoveryReport:
        """Resolve every attempt that earlier processes left open."""
        ...


class Receipts(Protocol):
    """Reading what the ledger holds about requests."""

    async def get(self, request_id: str, key_id: str | None) -> Receipt | None:
        """Return a receipt; with a key's public id, only when that key made the request."""
        ...

    async def recent(self, key_id: str | None, limit: int) -> tuple[Receipt, ...]:
        """Return the newest receipts first; with a key's public id, only of requests that it made."""
        ...
