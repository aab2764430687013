"""Owns the stored teams as rows; their balances are accounts.py's."""

from __future__ import annotations

from headrace.domain.team import Team
from headrace.drivers.stores.database import Database

PUT = """
INSERT INTO team (name, is_prepaid, created_at_micros) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET is_prepaid = excluded.is_prepaid
"""
REMOVE = "DELETE FROM team WHERE name = ?"
LIST = "SELECT name, is_prepaid, created_at_micros FROM team ORDER BY name"


class SqlTeamStore:
    """Teams, one row each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, team: Team) -> None:
        """Store a team, or replace the one of its name, which keeps its time of creation."""
        values = (team.name, int(team.is_prepaid), team.created_at_micros)
        await self._database.write(lambda cursor: cursor.execute(PUT, values).rowcount)

    async def remove(self, name: str) -> bool:
        """Forget a team; returns whether there was one."""
        return await self._database.write(lambda cursor: cursor.execute(REMOVE, (name,)).rowcount == 1)

    async def list(self) -> tuple[Team, ...]:
        """Return every team by name."""
        rows = await self._database.read(lambda cursor: cursor.execute(LIST).fetchall())
        return tuple(Team(name, bool(is_prepaid), created) for name, is_prepaid, created in rows)
