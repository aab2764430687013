"""Provider credentials: sealed into the store, taken out again, and where the one in force comes from.

What a credential is used for is the fleet's; here it is only sealed, never read back to anybody.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from headrace.domain.catalog import Provider
from headrace.domain.credential import DEFAULT_LABEL, Credential, CredentialSource
from headrace.domain.errors import Conflict, InvalidRequest, NotFound
from headrace.domain.health import CredentialHealth
from headrace.domain.names import did_you_mean
from headrace.domain.secret import Secret
from headrace.ports.ambient import Clock
from headrace.ports.stores import CredentialStore, SealedCredential, Secrets
from headrace.services.health import TargetHealth
from headrace.services.snapshots import Snapshots, credential_context

MAX_CREDENTIAL_CHARS = 4096
MAX_CREDENTIALS = 20
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_PRINTABLE = frozenset(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A provider with its credentials in force and how many models it serves."""

    provider: Provider
    models: int

    @property
    def source(self) -> CredentialSource | None:
        """Where the first of the credentials comes from, None when there is none."""
        return self.provider.credentials[0].source if self.provider.credentials else None


@dataclass(frozen=True, slots=True)
class CredentialReport:
    """One credential by its label, and how it does; times are microseconds since 1970 UTC."""

    credential: Credential
    health: CredentialHealth
    since_micros: int | None
    until_micros: int | None


Check: TypeAlias = Callable[[ProviderState], None]


class ProviderCredentials:
    """Changes the stored credentials one change at a time; every change is in force before the caller is answered."""

    def __init__(
        self, store: CredentialStore, secrets: Secrets, snapshots: Snapshots, clock: Clock, health: TargetHealth
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._snapshots = snapshots
        self._clock = clock
        self._health = health
        self._turn = asyncio.Lock()

    def list(self) -> tuple[ProviderState, ...]:
        """Return every provider by name."""
        snapshot = self._snapshots.current()
        served = Counter(each.model.provider for entries in snapshot.models.values() for each in entries)
        return tuple(ProviderState(provider, served[name]) for name, provider in sorted(snapshot.providers.items()))

    def get(self, name: str) -> ProviderState:
        """Return one provider; raises NotFound naming the closest."""
        for state in self.list():
            if state.provider.name == name:
                return state
        hint = did_you_mean(name, self._snapshots.current().providers)
        raise NotFound(
            f'No provider named "{name[:80]}".{f" {hint}" if hint else ""} `headrace providers list` shows all.',
            code="provider_not_found",
        )

    def reports(self, name: str) -> tuple[CredentialReport, ...]:
        """Return a provider's credentials in force and how they do; raises NotFound."""
        now, unix = self._clock.monotonic(), self._clock.unix_micros()

        def at(moment: float | None) -> int | None:
            return None if moment is None else unix + round((moment - now) * 1e6)

        credentials = self.get(name).provider.credentials
        found = [(each, self._health.credential(name, each, now)) for each in credentials]
        return tuple(CredentialReport(each, health, at(health.since), at(health.until)) for each, health in found)

    async def set(
        self, name: str, credential: Secret, label: str = DEFAULT_LABEL, check: Check | None = None
    ) -> ProviderState:
        """Seal and store a credential and put it in force; raises NotFound, InvalidRequest, Conflict, as `check`."""
        async with self._turn:
            state = self.get(name)
            _require_credential(state.provider)
            check_label(label)
            check_credential(credential)
            if check is not None:
                check(state)
            _refuse_duplicate(state.provider, label, credential)
            sealed = self._secrets.seal(credential_context(name, label), credential.reveal().encode("ascii"))
            now = self._clock.unix_micros()
            await self._store.put(SealedCredential(name, sealed, self._secrets.key_version, now, label))
            await self._snapshots.refresh()
            return self.get(name)

    async def remove(self, name: str, label: str = DEFAULT_LABEL, check: Check | None = None) -> ProviderState:
        """Forget a stored credential; raises Conflict when the one in force was given from outside."""
        async with self._turn:
            state = self.get(name)
            _require_credential(state.provider)
            if check is not None:
                check(state)
            removed = await self._store.remove(name, label)
            if not removed and any(each.label == label for each in state.provider.credentials):
                raise Conflict(_given_from_outside(state.provider), code="credential_not_stored")
            await self._snapshots.refresh()
            return self.get(name)


def check_label(label: str) -> None:
    """Raise InvalidRequest unless a label is 1 to 64 letters, digits, dots, dashes and underscores."""
    if _LABEL.match(label) is None:
        raise InvalidRequest(
            f'The label must be 1 to 64 letters, digits, "." "-" "_", the first a letter or digit, not {label[:80]!r}.',
            param="label",
        )


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


def _refuse_duplicate(provider: Provider, label: str, credential: Secret) -> None:
    others = [each for each in provider.credentials if each.label != label]
    for each in others:
        if each.secret.is_same_as(credential):
            raise Conflict(
                f'This key of "{provider.name}" is there already, under the label "{each.label}": two labels for one '
                "key would spread nothing. Give another key, or remove that one first.",
                code="credential_duplicate",
            )
    if len(others) >= MAX_CREDENTIALS:
        raise Conflict(
            f'The provider "{provider.name}" has {len(others)} keys, and more than {MAX_CREDENTIALS} are not taken.'
            " Remove one first.",
            code="too_many_credentials",
        )


def _given_from_outside(provider: Provider) -> str:
    where = f"the variable {provider.key_variable} or the configuration file" if provider.key_variable else ""
    return (
        f'The key of the provider "{provider.name}" is not stored here: it comes from '
        f"{where or 'the configuration file'}. Remove it there and start again."
    )
