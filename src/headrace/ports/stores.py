"""Ports of the stores that are not the ledger: access keys, sealed provider credentials, aliases, blobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headrace.domain.access import AccessKey
from headrace.domain.alias import Alias
from headrace.domain.credential import DEFAULT_LABEL


class KeyStore(Protocol):
    """Stored access keys and admin tokens."""

    async def add(self, key: AccessKey) -> None:
        """Store a new key; raises Conflict when its public id exists."""
        ...

    async def change(self, key: AccessKey) -> bool:
        """Store the name and the cache of a key that is there; returns whether it is and was not revoked."""
        ...

    async def revoke(self, public_id: str, at_micros: int) -> bool:
        """Mark a key revoked; returns whether it existed and was not revoked yet."""
        ...

    async def list(self) -> tuple[AccessKey, ...]:
        """Return every key, revoked ones included, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class SealedCredential:
    """A provider's credential as it lies in the store; `key_version` names the master key that sealed it."""

    provider: str
    sealed: bytes
    key_version: int
    set_at_micros: int
    label: str = DEFAULT_LABEL


class CredentialStore(Protocol):
    """Sealed provider credentials; the plain text never passes through here."""

    async def put(self, credential: SealedCredential) -> None:
        """Store a provider's credential, or replace the one of its label."""
        ...

    async def remove(self, provider: str, label: str) -> bool:
        """Forget a provider's credential; returns whether there was one of this label."""
        ...

    async def list(self) -> tuple[SealedCredential, ...]:
        """Return all stored credentials, by provider and label."""
        ...


class AliasStore(Protocol):
    """Stored aliases."""

    async def put(self, alias: Alias) -> None:
        """Store an alias, or replace the one of its name, which keeps its time of creation."""
        ...

    async def remove(self, name: str) -> bool:
        """Forget an alias; returns whether there was one."""
        ...

    async def list(self) -> tuple[Alias, ...]:
        """Return every alias, by name."""
        ...


class Blobs(Protocol):
    """What callers asked us to keep: bytes of one owner, by kind and id, until they expire; sealed at rest."""

    async def put(self, owner: str, kind: str, blob_id: str, content: bytes, expires_at_micros: int) -> None:
        """Store or replace a blob; raises MeteringUnavailable when it could not be made durable."""
        ...

    async def get(self, owner: str, kind: str, blob_id: str) -> bytes | None:
        """Return a blob of this owner, or None when there is none or it has expired."""
        ...

    async def delete(self, owner: str, kind: str, blob_id: str) -> bool:
        """Forget a blob; returns whether there was one that had not expired."""
        ...

    async def sweep(self) -> int:
        """Forget every blob that has expired; returns how many there were."""
        ...


class Secrets(Protocol):
    """Sealing bytes to a context, so that a sealed value opens only where it was put."""

    key_version: int

    def seal(self, context: str, plain: bytes) -> bytes:
        """Seal with the current master key; the context is authenticated, not stored."""
        ...

    def open(self, context: str, sealed: bytes) -> bytes:
        """Open a sealed value; raises StoreUnusable when key or context do not match."""
        ...
