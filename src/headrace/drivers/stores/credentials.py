"""Owns the sealed provider credentials as rows; sealing and opening them is drivers/secrets'."""

from __future__ import annotations

from headrace.drivers.stores.database import Database
from headrace.ports.stores import SealedCredential

PUT = """
INSERT INTO provider_credential (provider, sealed, key_version, set_at_micros) VALUES (?, ?, ?, ?)
ON CONFLICT (provider) DO UPDATE SET
    sealed = excluded.sealed, key_version = excluded.key_version, set_at_micros = excluded.set_at_micros
"""
REMOVE = "DELETE FROM provider_credential WHERE provider = ?"
LIST = "SELECT provider, sealed, key_version, set_at_micros FROM provider_credential ORDER BY provider"


class SqliteCredentialStore:
    """Sealed credentials; the plain text never passes through here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, credential: SealedCredential) -> None:
        """Store or replace a provider's credential."""
        values = (credential.provider, credential.sealed, credential.key_version, credential.set_at_micros)
        await self._database.write(lambda cursor: cursor.execute(PUT, values).rowcount)

    async def remove(self, provider: str) -> bool:
        """Forget a provider's credential; returns whether there was one."""
        return await self._database.write(lambda cursor: cursor.execute(REMOVE, (provider,)).rowcount == 1)

    async def list(self) -> tuple[SealedCredential, ...]:
        """Return all stored credentials, by provider."""
        rows = await self._database.read(lambda cursor: cursor.execute(LIST).fetchall())
        return tuple(SealedCredential(*row) for row in rows)
