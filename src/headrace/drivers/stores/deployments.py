"""Owns the stored deployments, one row each; what a deployment may be and what becomes of it is the services'."""

from __future__ import annotations

import msgspec

from headrace.domain.dedicated import Deployment
from headrace.domain.errors import Conflict
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor

NAME_TAKEN = "SELECT 1 FROM deployment WHERE name = ? AND id <> ?"
PUT = """
INSERT INTO deployment (id, name, body, created_at_micros, updated_at_micros) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, body = excluded.body, updated_at_micros = excluded.updated_at_micros
"""
REMOVE = "DELETE FROM deployment WHERE id = ?"
LIST = "SELECT body FROM deployment ORDER BY created_at_micros, id"
_DEPLOYMENT = msgspec.json.Decoder(Deployment)


class SqlDeploymentStore:
    """Deployments whose fields are JSON; a model's token within them is sealed before it comes here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, deployment: Deployment) -> None:
        """Store a deployment, or replace the one of its id; raises Conflict when another has its name."""
        body = msgspec.json.encode(deployment).decode()
        times = (deployment.created_at_micros, deployment.updated_at_micros)
        values = (deployment.id, deployment.name, body, *times)

        def write(cursor: Cursor) -> bool:
            if cursor.execute(NAME_TAKEN, (deployment.name, deployment.id)).fetchone() is not None:
                return False
            cursor.execute(PUT, values)
            return True

        if not await self._database.write(write):
            raise Conflict(f'A deployment named "{deployment.name}" exists already.', code="name_taken", param="name")

    async def remove(self, deployment_id: str) -> bool:
        """Forget a deployment; returns whether there was one."""
        return await self._database.write(lambda cursor: cursor.execute(REMOVE, (deployment_id,)).rowcount == 1)

    async def list(self) -> tuple[Deployment, ...]:
        """Return every deployment, oldest first."""
        rows = await self._database.read(lambda cursor: cursor.execute(LIST).fetchall())
        return tuple(_DEPLOYMENT.decode(body) for (body,) in rows)
