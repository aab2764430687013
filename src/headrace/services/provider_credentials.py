"""Provider credentials: sealed into the store, taken out again, and where the one in force comes from.

What a credential is used for is the fleet's; here it is only sealed, never read back to anybody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from headrace.domain.catalog import Provider
from headrace.domain.errors import Conflict, InvalidRequest, NotFound, StoreUnusable
from headrace.domain.names import did_you_mean
from headrace.domain.secret import Secret
from headrace.ports.ambient import Clock
from headrace.ports.stores import CredentialStore, SealedCredential, Secrets
from headrace.services.snapshots import Snapshots, credential_context

CredentialSource: TypeAlias = Literal["stored", "environment"]

MAX_CREDENTIAL_CHARS = 4096
_PRINTABLE = frozenset(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A provider, where its credential comes from (None when it has none) and how many models it serves."""

    provider: Provider
    source: CredentialSource | None
    models: int


Check: TypeAlias = Callable[[ProviderState], None]


class ProviderCredentials:
    """Changes the stored credentials one change at a time; every change is in force before the caller is answered."""

    def __init__(self, store: CredentialStore, secrets: Secrets, snapshots: Snapshots, clock: Clock) -> None:
        self._store = store
        self._secrets = secrets
        self._snapshots = snapshots
        self._clock = clock
        self._turn = asyncio.Lock()

    async def list(self) -> tuple[ProviderState, ...]:
        """Return every provider by name."""
        stored = await self._stored()
        snapshot = self._snapshots.current()
        served = Counter(each.model.provider for entries in snapshot.models.values() for each in entries)
        return tuple(
            ProviderState(provider, _source(provider, stored), served[name])
            for name, provider in sorted(snapshot.providers.items())
        )

    async def get(self, name: str) -> ProviderState:
        """Return one provider; raises NotFound naming the closest."""
        for state in await self.list():
            if state.provider.name == name:
                return state
        hint = did_you_mean(name, self._snapshots.current().providers)
        raise NotFound(
            f'No provider named "{name[:80]}".{f" {hint}" if hint else ""} `headrace providers list` shows all.',
            code="provider_not_found",
        )

    async def set(self, name: str, credential: Secret, check: Check | None = None) -> ProviderState:
        """Seal and store a credential and put it in force; raises NotFound, InvalidRequest, what `check` raises."""
        async with self._turn:
            state = await self.get(name)
            _require_credential(state.provider)
            check_credential(credential)
            if check is not None:
                check(state)
            plain = credential.reveal().encode("ascii")
            sealed = self._secrets.seal(credential_context(name), plain)
            await self._store.put(SealedCredential(name, sealed, self._secrets.key_version, self._clock.unix_micros()))
            await self._snapshots.refresh()
            return await self.get(name)

    async def remove(self, name: str, check: Check | None = None) -> ProviderState:
        """Forget the stored credential; raises Conflict when the one in force was given from outside."""
        async with self._turn:
            state = await self.get(name)
            _require_credential(state.provider)
            if check is not None:
                check(state)
            removed = await self._store.remove(name)
            if not removed and state.source == "environment":
                raise Conflict(_given_from_outside(state.provider), code="credential_not_stored")
            await self._snapshots.refresh()
            return await self.get(name)

    async def _stored(self) -> Mapping[str, bool]:
        return {each.provider: self._opens(each) for each in await self._store.list()}

    def _opens(self, stored: SealedCredential) -> bool:
        try:
            self._secrets.open(credential_context(stored.provider), stored.sealed)
        except StoreUnusable:
            return False
        return True


def check_credential(credential: Secret) -> None:
    """Raise InvalidRequest, without showing it, unless the text can stand in one HTTP header."""
    text = credential.reveal()
    if 1 <= len(text) <= MAX_CREDENTIAL_CHARS and _PRINTABLE.issuperset(text):
        return
    raise InvalidRequest(
        f'"credential" must be 1 to {MAX_CREDENTIAL_CHARS} printable ASCII characters without spaces or line breaks; '
        f"what was sent has {len(text)} characters.",
        param="credential",
    )


def _require_credential(provider: Provider) -> None:
    if not provider.needs_credential:
        raise InvalidRequest(
            f'The provider "{provider.name}" takes no key: its calls carry none.', code="provider_needs_no_credential"
        )


def _source(provider: Provider, stored: Mapping[str, bool]) -> CredentialSource | None:
    if provider.credential is None:
        return None
    return "stored" if stored.get(provider.name, False) else "environment"


def _given_from_outside(provider: Provider) -> str:
    where = f"the variable {provider.key_variable} or the configuration file" if provider.key_variable else ""
    return (
        f'The key of the provider "{provider.name}" is not stored here: it comes from '
        f"{where or 'the configuration file'}. Remove it there and start again."
    )
