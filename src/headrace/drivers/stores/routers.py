"""Owns the stored routers and the corrections of their routes; what a router may be is the services'."""

from __future__ import annotations

import msgspec

from headrace.domain.errors import Conflict
from headrace.domain.router import Correction, Router
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor

NAME_TAKEN = "SELECT 1 FROM router WHERE name = ? AND uuid <> ?"
PUT = """
INSERT INTO router (uuid, name, body, created_at_micros, changed_at_micros) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (uuid) DO UPDATE SET
    name = excluded.name, body = excluded.body, changed_at_micros = excluded.changed_at_micros
"""
REMOVE = "DELETE FROM router WHERE uuid = ?"
REMOVE_CORRECTIONS = "DELETE FROM route_correction WHERE router_uuid = ?"
LIST = "SELECT body FROM router ORDER BY name"
CORRECT = """
INSERT INTO route_correction (request_id, router_uuid, slug, features, made_at_micros) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (request_id) DO UPDATE SET
    router_uuid = excluded.router_uuid, slug = excluded.slug, features = excluded.features,
    made_at_micros = excluded.made_at_micros
"""
TAKE_BACK = "DELETE FROM route_correction WHERE request_id = ?"
CORRECTIONS = """
SELECT router_uuid, slug, request_id, features, made_at_micros FROM route_correction
ORDER BY made_at_micros, request_id
"""
_ROUTER = msgspec.json.Decoder(Router)


class SqlRouterStore:
    """Routers and corrections, one row each; a router's fields are JSON."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, router: Router) -> None:
        """Store a router, or replace the one of its uuid; raises Conflict when another one has its name."""
        body = msgspec.json.encode(router).decode()
        values = (router.uuid, router.name, body, router.created_at_micros, router.changed_at_micros)

        def write(cursor: Cursor) -> bool:
            if cursor.execute(NAME_TAKEN, (router.name, router.uuid)).fetchone() is not None:
                return False
            cursor.execute(PUT, values)
            return True

        if not await self._database.write(write):
            raise Conflict(f'A router named "{router.name}" exists already.', code="router_exists", param="name")

    async def remove(self, uuid: str) -> bool:
        """Forget a router and its corrections; returns whether there was one."""

        def write(cursor: Cursor) -> bool:
            cursor.execute(REMOVE_CORRECTIONS, (uuid,))
            return cursor.execute(REMOVE, (uuid,)).rowcount == 1

        return await self._database.write(write)

    async def list(self) -> tuple[Router, ...]:
        """Return every router, by name."""
        rows = await self._database.read(lambda cursor: cursor.execute(LIST).fetchall())
        return tuple(_ROUTER.decode(body) for (body,) in rows)

    async def correct(self, correction: Correction) -> None:
        """Store a correction, or replace the one of the same request."""
        values = (
            correction.request_id,
            correction.router_uuid,
            correction.slug,
            correction.features,
            correction.made_at_micros,
        )
        await self._database.write(lambda cursor: cursor.execute(CORRECT, values).rowcount)

    async def take_back(self, request_id: str) -> bool:
        """Forget the correction of a request; returns whether there was one."""
        return await self._database.write(lambda cursor: cursor.execute(TAKE_BACK, (request_id,)).rowcount) == 1

    async def corrections(self) -> tuple[Correction, ...]:
        """Return every correction, oldest first."""
        rows = await self._database.read(lambda cursor: cursor.execute(CORRECTIONS).fetchall())
        return tuple(
            Correction(router, slug, request, bytes(features), made) for router, slug, request, features, made in rows
        )
