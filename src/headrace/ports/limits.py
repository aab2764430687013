"""The port to the stored rate limits; counting against them is the services'."""

from __future__ import annotations

from typing import Protocol

from headrace.domain.rate_limit import ScopedLimits


class LimitStore(Protocol):
    """Stored rate limits, one set for each scope."""

    async def put(self, scoped: ScopedLimits) -> None:
        """Store the limits of a scope in place of those that it had."""
        ...

    async def remove(self, scope: str) -> bool:
        """Forget the limits of a scope; returns whether there were any."""
        ...

    async def list(self) -> tuple[ScopedLimits, ...]:
        """Return the limits of every scope, by scope."""
        ...
