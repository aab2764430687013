"""Owns the stored rate limits as rows; what they may be is the services'."""

from __future__ import annotations

import msgspec

from headrace.domain.rate_limit import RateLimits, ScopedLimits
from headrace.drivers.stores.database import Database

PUT = """
INSERT INTO rate_limit (scope, limits, changed_at_micros) VALUES (?, ?, ?)
ON CONFLICT (scope) DO UPDATE SET limits = excluded.limits, changed_at_micros = excluded.changed_at_micros
"""
REMOVE = "DELETE FROM rate_limit WHERE scope = ?"
LIST = "SELECT scope, limits, changed_at_micros FROM rate_limit ORDER BY scope"
_LIMITS = msgspec.json.Decoder(RateLimits)


class SqlLimitStore:
    """Rate limits, one row for each scope; the limits are a JSON object by kind."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, scoped: ScopedLimits) -> None:
        """Store the limits of a scope in place of those that it had."""
        set_ones = {kind.value: limit for kind, limit in scoped.limits.by_kind() if limit is not None}
        values = (scoped.scope, msgspec.json.encode(set_ones).decode(), scoped.changed_at_micros)
        await self._database.write(lambda cursor: cursor.execute(PUT, values).rowcount)

    async def remove(self, scope: str) -> bool:
        """Forget the limits of a scope; returns whether there were any."""
        return await self._database.write(lambda cursor: cursor.execute(REMOVE, (scope,)).rowcount == 1)

    async def list(self) -> tuple[ScopedLimits, ...]:
        """Return the limits of every scope, by scope."""
        rows = await self._database.read(lambda cursor: cursor.execute(LIST).fetchall())
        return tuple(ScopedLimits(scope, _LIMITS.decode(limits), changed) for scope, limits, changed in rows)
