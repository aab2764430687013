"""Owns the blobs as rows, sealed to their owner, kind and id; what they hold and how long is the services'."""

from __future__ import annotations

import asyncio

from headrace.drivers.stores.database import Database
from headrace.ports.ambient import Clock
from headrace.ports.stores import Secrets

OFF_LOOP_BYTES = 256 * 1024
PUT = """
INSERT INTO blob (owner, kind, id, sealed, key_version, expires_at_micros) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (owner, kind, id) DO UPDATE SET
    sealed = excluded.sealed, key_version = excluded.key_version, expires_at_micros = excluded.expires_at_micros
"""
GET = "SELECT sealed FROM blob WHERE owner = ? AND kind = ? AND id = ? AND expires_at_micros > ?"
DELETE = "DELETE FROM blob WHERE owner = ? AND kind = ? AND id = ? AND expires_at_micros > ?"
SWEEP = """
DELETE FROM blob WHERE (owner, kind, id) IN (
    SELECT owner, kind, id FROM blob WHERE expires_at_micros <= ? ORDER BY expires_at_micros LIMIT ?
)
"""
SWEPT_AT_ONCE = 500


class SqlBlobs:
    """Sealed blobs; an expired one is as good as gone, the sweep only makes room."""

    def __init__(self, database: Database, secrets: Secrets, clock: Clock) -> None:
        self._database = database
        self._secrets = secrets
        self._clock = clock

    async def put(self, owner: str, kind: str, blob_id: str, content: bytes, expires_at_micros: int) -> None:
        """Store or replace a blob; raises MeteringUnavailable when it could not be made durable."""
        context = _context(owner, kind, blob_id)
        if len(content) > OFF_LOOP_BYTES:
            sealed = await asyncio.to_thread(self._secrets.seal, context, content)
        else:
            sealed = self._secrets.seal(context, content)
        values = (owner, kind, blob_id, sealed, self._secrets.key_version, expires_at_micros)
        await self._database.write(lambda cursor: cursor.execute(PUT, values).rowcount)

    async def get(self, owner: str, kind: str, blob_id: str) -> bytes | None:
        """Return a blob of this owner, or None when there is none or it has expired."""
        values = (owner, kind, blob_id, self._clock.unix_micros())
        row = await self._database.read(lambda cursor: cursor.execute(GET, values).fetchone())
        if row is None:
            return None
        sealed: bytes = row[0]
        if len(sealed) > OFF_LOOP_BYTES:
            return await asyncio.to_thread(self._secrets.open, _context(owner, kind, blob_id), sealed)
        return self._secrets.open(_context(owner, kind, blob_id), sealed)

    async def delete(self, owner: str, kind: str, blob_id: str) -> bool:
        """Forget a blob; returns whether there was one that had not expired."""
        values = (owner, kind, blob_id, self._clock.unix_micros())
        return await self._database.write(lambda cursor: cursor.execute(DELETE, values).rowcount == 1)

    async def sweep(self) -> int:
        """Forget every blob that has expired, some at a time; returns how many there were."""
        values, swept = (self._clock.unix_micros(), SWEPT_AT_ONCE), 0
        while True:
            gone = await self._database.write(lambda cursor: cursor.execute(SWEEP, values).rowcount)
            swept += gone
            if gone < SWEPT_AT_ONCE:
                return swept


def _context(owner: str, kind: str, blob_id: str) -> str:
    return f"blob/{owner}/{kind}/{blob_id}"
