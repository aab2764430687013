"""Owns the stored aliases as rows; what an alias may point at is the services'."""

from __future__ import annotations

import msgspec

from headrace.domain.alias import Alias
from headrace.drivers.stores.database import Database

PUT = """
INSERT INTO alias (name, points_to, fallbacks, created_at_micros, changed_at_micros) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    points_to = excluded.points_to, fallbacks = excluded.fallbacks, changed_at_micros = excluded.changed_at_micros
"""
REMOVE = "DELETE FROM alias WHERE name = ?"
LIST = "SELECT name, points_to, fallbacks, created_at_micros, changed_at_micros FROM alias ORDER BY name"
_NAMES = msgspec.json.Decoder(tuple[str, ...])


class SqlAliasStore:
    """Aliases, one row each; their fallbacks are a JSON list in order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, alias: Alias) -> None:
        """Store an alias, or replace the one of its name, which keeps its time of creation."""
        fallbacks = msgspec.json.encode(alias.fallbacks).decode()
        values = (alias.name, alias.points_to, fallbacks, alias.created_at_micros, alias.changed_at_micros)
        await self._database.write(lambda cursor: cursor.execute(PUT, values).rowcount)

    async def remove(self, name: str) -> bool:
        """Forget an alias; returns whether there was one."""
        return await self._database.write(lambda cursor: cursor.execute(REMOVE, (name,)).rowcount == 1)

    async def list(self) -> tuple[Alias, ...]:
        """Return every alias, by name."""
        rows = await self._database.read(lambda cursor: cursor.execute(LIST).fetchall())
        return tuple(
            Alias(name, points_to, _NAMES.decode(fallbacks), created, changed)
            for name, points_to, fallbacks, created, changed in rows
        )
