"""Owns the sealed provider credentials as rows; sealing and opening them is drivers/secrets'."""

from __future__ import annotations

from headrace.drivers.stores.database import Database
from headrace.ports.stores import SealedCredential

PUT = """
INSERT INTO provider_credential (provider, label, sealed, key_version, set_at_micros) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (provider, label) DO UPDATE SET
    sealed = excluded.sealed, key_version = excluded.key_version, set_at_micros = excluded.set_at_micros
"""
REMOVE = "DELETE FROM provider_credential WHERE provider = ? AND label = ?"
LIST = "SELECT provider, sealed, key_version, set_at_micros, label FROM provider_credential ORDER BY provider, label"


class SqlCredentialStore:
    """Sealed credentials; the plain text never passes through here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, credential: SealedCredential) -> None:
        """Store a provider's credential, or replace the one of its label."""
        place = (credential.provider, credential.label)
        values = (*place, credential.sealed, credential.key_version, credential.set_at_micros)
        await self._database.write(lambda cursor: cursor.execute(PUT, values).rowcount)

    async def remove(self, provider: str, label: str) -> bool:
        """Forget a provider's credential; returns whether there was one of this label."""
        return await self._database.write(lambda cursor: cursor.execute(REMOVE, (provider, label)).rowcount == 1)

    async def list(self) -> tuple[SealedCredential, ...]:
        """Return all stored credentials, by provider and label."""
        rows = await self._database.read(lambda cursor: cursor.execute(LIST).fetchall())
        return tuple(SealedCredential(*row) for row in rows)
