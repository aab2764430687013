"""Builds snapshots and swaps them in; a bad one is refused and the old one keeps serving."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

from headrace.domain.access import AccessKey
from headrace.domain.alias import Alias
from headrace.domain.catalog import Listed, Provider, WeightsFile
from headrace.domain.errors import StoreUnusable
from headrace.domain.secret import Secret
from headrace.domain.snapshot import Snapshot
from headrace.ports.ambient import Clock
from headrace.ports.catalogs import CatalogSource
from headrace.ports.stores import AliasStore, CredentialStore, KeyStore, Secrets
from headrace.services.availability import Surroundings, list_model
from headrace.services.catalog import Catalog, load_catalog

Listener: TypeAlias = Callable[[Snapshot], None]
GivenCredential: TypeAlias = Callable[[Provider], Secret | None]

MICROS_PER_SECOND = 1_000_000


def credential_context(provider: str) -> str:
    """Return the context that a provider's credential is sealed to."""
    return f"provider-credential:{provider}"


def given_credentials(by_provider: Mapping[str, str], by_variable: Mapping[str, str]) -> GivenCredential:
    """Return a look-up in what the configuration (by provider) and the environment (by variable) hold."""

    def find(provider: Provider) -> Secret | None:
        text = by_provider.get(provider.name) or by_variable.get(provider.key_variable or "") or ""
        return Secret(text.strip()) if text.strip() else None

    return find


@dataclass(frozen=True, slots=True)
class SnapshotSources:
    """What snapshots are built from; a stored credential goes before a given one.

    `adapters` are the names of adapters and engines that exist; with None they are not checked. Without a store of
    aliases there are none.
    """

    catalog: CatalogSource
    keys: KeyStore
    credentials: CredentialStore
    secrets: Secrets
    clock: Clock
    has_weights: Callable[[WeightsFile], bool]
    given: GivenCredential
    catalog_folder: str = "HOME/catalog"
    adapters: frozenset[str] | None = None
    aliases: AliasStore | None = None


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the current snapshot was made of, so that a part of it can be renewed."""

    catalog: Catalog
    keys: tuple[AccessKey, ...]
    credentials: Mapping[str, Secret]
    unreadable: frozenset[str]
    today: str
    aliases: tuple[Alias, ...] = ()


class Snapshots:
    """Holds the current snapshot; one change at a time builds the next."""

    def __init__(self, sources: SnapshotSources) -> None:
        self._sources = sources
        self._current: Snapshot | None = None
        self._parts: _Parts | None = None
        self._digest: str | None = None
        self._listeners: tuple[Listener, ...] = ()
        self._turn = asyncio.Lock()
        self._asked = 0
        self._covered = 0

    def current(self) -> Snapshot:
        """Return the snapshot in force; raises LookupError before the first reload."""
        if self._current is None:
            raise LookupError("no snapshot was built yet: await reload() first")
        return self._current

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Tell the listener, which must not raise, of every later snapshot; returns how to stop."""
        self._listeners = (*self._listeners, listener)

        def stop() -> None:
            self._listeners = tuple(each for each in self._listeners if each is not listener)

        return stop

    async def reload(self) -> Snapshot:
        """Read everything anew and swap; raises ConfigInvalid, and then the old snapshot stays.

        Callers who come while a reload runs share the next one.
        """
        self._asked += 1
        ticket = self._asked
        async with self._turn:
            if self._covered < ticket:
                covers = self._asked
                await self._read_and_swap()
                self._covered = covers
            return self.current()

    async def reload_if_changed(self) -> bool:
        """Reload when the catalog's files changed since the last try; returns whether they had."""
        if await asyncio.to_thread(self._sources.catalog.digest) == self._digest:
            return False
        await self.reload()
        return True

    async def refresh(self) -> Snapshot:
        """Renew keys, credentials, prices in force and weights without reading the catalog's files."""
        async with self._turn:
            parts = self._known_parts()
            credentials, unreadable = await self._open_credentials()
            keys = await self._sources.keys.list()
            aliases = await self._read_aliases()
            return self._swap(_Parts(parts.catalog, keys, credentials, unreadable, self._today(), aliases))

    async def publish_keys(self) -> Snapshot:
        """Renew the access keys only."""
        async with self._turn:
            parts = self._known_parts()
            keys = await self._sources.keys.list()
            current = self.current()
            self._parts = replace(parts, keys=keys)
            return self._publish(replace(current, version=current.version + 1, keys=_by_id(keys)))

    async def publish_aliases(self) -> Snapshot:
        """Renew the aliases only."""
        async with self._turn:
            parts = self._known_parts()
            aliases = await self._read_aliases()
            current = self.current()
            self._parts = replace(parts, aliases=aliases)
            return self._publish(replace(current, version=current.version + 1, aliases=_by_name(aliases)))

    async def refresh_if_day_changed(self, today: str | None = None) -> bool:
        """Put the prices of a new UTC day in force; returns whether the day had changed."""
        day = today if today is not None else self._today()
        async with self._turn:
            parts = self._known_parts()
            if parts.today == day:
                return False
            self._swap(replace(parts, today=day))
            return True

    async def _read_and_swap(self) -> None:
        self._digest = await asyncio.to_thread(self._sources.catalog.digest)
        catalog = await asyncio.to_thread(load_catalog, self._sources.catalog, self._sources.adapters)
        credentials, unreadable = await self._open_credentials()
        keys = await self._sources.keys.list()
        aliases = await self._read_aliases()
        self._swap(_Parts(catalog, keys, credentials, unreadable, self._today(), aliases))

    async def _read_aliases(self) -> tuple[Alias, ...]:
        return () if self._sources.aliases is None else await self._sources.aliases.list()

    async def _open_credentials(self) -> tuple[Mapping[str, Secret], frozenset[str]]:
        opened: dict[str, Secret] = {}
        unreadable: set[str] = set()
        for stored in await self._sources.credentials.list():
            try:
                plain = self._sources.secrets.open(credential_context(stored.provider), stored.sealed)
            except StoreUnusable:
                unreadable.add(stored.provider)
            else:
                opened[stored.provider] = Secret(plain.decode("utf-8"))
        return MappingProxyType(opened), frozenset(unreadable)

    def _known_parts(self) -> _Parts:
        if self._parts is None:
            raise LookupError("no snapshot was built yet: await reload() first")
        return self._parts

    def _swap(self, parts: _Parts) -> Snapshot:
        version = 1 if self._current is None else self._current.version + 1
        snapshot = compile_snapshot(version, parts.catalog, parts.keys, self._surroundings(parts), self._find(parts))
        self._parts = parts
        return self._publish(replace(snapshot, aliases=_by_name(parts.aliases)))

    def _publish(self, snapshot: Snapshot) -> Snapshot:
        self._current = snapshot
        for listener in self._listeners:
            listener(snapshot)
        return snapshot

    def _find(self, parts: _Parts) -> GivenCredential:
        def find(provider: Provider) -> Secret | None:
            return parts.credentials.get(provider.name) or self._sources.given(provider)

        return find

    def _surroundings(self, parts: _Parts) -> Surroundings:
        return Surroundings(parts.today, self._sources.has_weights, self._sources.catalog_folder, parts.unreadable)

    def _today(self) -> str:
        seconds = self._sources.clock.unix_micros() // MICROS_PER_SECOND
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()


def compile_snapshot(
    version: int,
    catalog: Catalog,
    keys: Sequence[AccessKey],
    around: Surroundings,
    credential: GivenCredential,
) -> Snapshot:
    """Return the snapshot of a catalog; entries that can be called come first under each model id."""
    providers = {
        name: replace(each, credential=credential(each)) if each.needs_credential else each
        for name, each in catalog.providers.items()
    }
    models = {name: _listed(name, catalog, providers, around) for name in catalog.models}
    return Snapshot(version, MappingProxyType(models), MappingProxyType(providers), _by_id(keys))


def _listed(name: str, catalog: Catalog, providers: Mapping[str, Provider], around: Surroundings) -> tuple[Listed, ...]:
    listed = [list_model(each, providers[each.provider], around) for each in catalog.models[name]]
    return tuple(sorted(listed, key=lambda each: not each.availability.available))


def _by_id(keys: Sequence[AccessKey]) -> Mapping[str, AccessKey]:
    return MappingProxyType({each.public_id: each for each in keys})


def _by_name(aliases: Sequence[Alias]) -> Mapping[str, Alias]:
    return MappingProxyType({each.name: each for each in aliases})
