"""Owns the stored access keys and admin tokens; making and checking a secret is the services'."""

from __future__ import annotations

import msgspec

from headrace.domain.access import AccessKey, Role
from headrace.domain.errors import Conflict
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor

ADD = """
INSERT INTO access_key (
    public_id, name, role, account, digest, models, created_at_micros, revoked_at_micros, cache_seconds, first_id,
    deployment
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (public_id) DO NOTHING
"""
CHANGE = "UPDATE access_key SET name = ?, cache_seconds = ? WHERE public_id = ? AND revoked_at_micros IS NULL"
REVOKE = "UPDATE access_key SET revoked_at_micros = ? WHERE public_id = ? AND revoked_at_micros IS NULL"
LIST = """
SELECT public_id, name, role, account, digest, models, created_at_micros, revoked_at_micros, cache_seconds, first_id,
    deployment
FROM access_key ORDER BY created_at_micros, public_id
"""
_MODELS = msgspec.json.Decoder(frozenset[str])


class SqlKeyStore:
    """Access keys as rows; the digest is all that is known of a secret."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: AccessKey) -> None:
        """Store a new key; raises Conflict when its public id exists."""
        if not await self._database.write(lambda cursor: _add(cursor, key)):
            raise Conflict(f'A key with the public id "{key.public_id}" exists already.')

    async def change(self, key: AccessKey) -> bool:
        """Store the name and the cache of a key that is there; returns whether it is and was not revoked."""
        values = (key.name, key.cache_seconds, key.public_id)
        return await self._database.write(lambda cursor: cursor.execute(CHANGE, values).rowcount == 1)

    async def revoke(self, public_id: str, at_micros: int) -> bool:
        """Mark a key revoked; returns whether it existed and was not revoked yet."""
        return await self._database.write(lambda cursor: cursor.execute(REVOKE, (at_micros, public_id)).rowcount == 1)

    async def list(self) -> tuple[AccessKey, ...]:
        """Return every key, revoked ones included, oldest first."""
        return await self._database.read(_list)


def _add(cursor: Cursor, key: AccessKey) -> bool:
    models = None if key.models is None else msgspec.json.encode(sorted(key.models)).decode()
    cursor.execute(
        ADD,
        (
            key.public_id,
            key.name,
            key.role.value,
            key.account,
            key.digest,
            models,
            key.created_at_micros,
            key.revoked_at_micros,
            key.cache_seconds,
            key.first_id,
            key.deployment,
        ),
    )
    return cursor.rowcount == 1


def _list(cursor: Cursor) -> tuple[AccessKey, ...]:
    return tuple(
        AccessKey(
            public_id=public_id,
            name=name,
            role=Role(role),
            account=account,
            digest=digest,
            models=None if models is None else _MODELS.decode(models),
            created_at_micros=created_at_micros,
            revoked_at_micros=revoked_at_micros,
            cache_seconds=cache_seconds,
            first_id=first_id,
            deployment=deployment,
        )
        for (
            public_id,
            name,
            role,
            account,
            digest,
            models,
            created_at_micros,
            revoked_at_micros,
            cache_seconds,
            first_id,
            deployment,
        ) in cursor.execute(LIST).fetchall()
    )
