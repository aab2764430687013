"""Builds snapshots and swaps them in; a bad one is refused and the old one keeps serving."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from headrace.domain.access import AccessKey
from headrace.domain.alias import Alias, WrittenAlias
from headrace.domain.budget import Budget
from headrace.domain.catalog import Listed, Provider, WeightsFile
from headrace.domain.credential import DEFAULT_LABEL, Credential
from headrace.domain.dedicated import Deployment
from headrace.domain.errors import StoreUnusable
from headrace.domain.rate_limit import ScopedLimits
from headrace.domain.router import Correction, Presets, Router
from headrace.domain.secret import Secret
from headrace.domain.snapshot import Snapshot
from headrace.domain.team import Team
from headrace.ports.ambient import Clock
from headrace.ports.catalogs import CatalogSource, WrittenAliases
from headrace.ports.dedicated import DeploymentStore
from headrace.ports.limits import LimitStore
from headrace.ports.money import BudgetStore, TeamStore
from headrace.ports.routing import PresetSource, RouterStore, StrengthSource
from headrace.ports.stores import AliasStore, CredentialStore, KeyStore, Secrets
from headrace.services.alias_rules import check_written
from headrace.services.availability import Surroundings, list_model
from headrace.services.catalog import Catalog, load_catalog
from headrace.services.deployed import with_deployments
from headrace.services.router_tasks import routers_by_name, task_sets
from headrace.services.strengths import with_strengths

Listener: TypeAlias = Callable[[Snapshot], None]
GivenCredentials: TypeAlias = Callable[[Provider], tuple[Credential, ...]]

MICROS_PER_SECOND = 1_000_000


def credential_context(provider: str, label: str = DEFAULT_LABEL) -> str:
    """Return the context that a provider's credential is sealed to."""
    return f"provider-credential:{provider}{'' if label == DEFAULT_LABEL else f'/{label}'}"


def given_credentials(by_provider: Mapping[str, str], by_variable: Mapping[str, str]) -> GivenCredentials:
    """Return a look-up in what the configuration (by provider) and the environment (by variable) hold.

    Several credentials stand apart by spaces or line ends; the first is `default`, the next ones are `2`, `3`, ….
    """

    def find(provider: Provider) -> tuple[Credential, ...]:
        text = by_provider.get(provider.name) or by_variable.get(provider.key_variable or "") or ""
        return tuple(
            Credential(DEFAULT_LABEL if number == 1 else str(number), Secret(each), "environment")
            for number, each in enumerate(text.split(), 1)
        )

    return find


@dataclass(frozen=True, slots=True)
class SnapshotSources:
    """What snapshots are built from; a stored credential goes before a given one of the same label.

    `adapters` are the names of adapters and engines that exist; with None they are not checked. Without a store of
    aliases (of budgets, of teams, of limits, of routers, of deployments) there are none, and no presets or strengths
    without their source.
    `written_aliases` are those of the configuration file.
    """

    catalog: CatalogSource
    keys: KeyStore
    credentials: CredentialStore
    secrets: Secrets
    clock: Clock
    has_weights: Callable[[WeightsFile], bool]
    given: GivenCredentials
    catalog_folder: str = "HOME/catalog"
    adapters: frozenset[str] | None = None
    aliases: AliasStore | None = None
    budgets: BudgetStore | None = None
    teams: TeamStore | None = None
    limits: LimitStore | None = None
    written_aliases: WrittenAliases | None = None
    routers: RouterStore | None = None
    presets: PresetSource | None = None
    strengths: StrengthSource | None = None
    deployments: DeploymentStore | None = None


@dataclass(frozen=True, slots=True)
class _Named:
    """What the operator named and stored, beside keys and credentials."""

    aliases: tuple[Alias, ...] = ()
    budgets: tuple[Budget, ...] = ()
    teams: tuple[Team, ...] = ()
    limits: tuple[ScopedLimits, ...] = ()
    routers: tuple[Router, ...] = ()
    corrections: tuple[Correction, ...] = ()
    deployments: tuple[Deployment, ...] = ()

    def within(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot of a catalog with these; its presets stay."""
        routers = routers_by_name(self.routers, snapshot.presets)
        return replace(
            with_deployments(snapshot, self.deployments),
            aliases=MappingProxyType({each.name: each for each in self.aliases}),
            budgets=self.budgets,
            teams=MappingProxyType({each.name: each for each in self.teams}),
            limits=MappingProxyType({each.scope: each for each in self.limits}),
            routers=routers,
            task_sets=task_sets(routers, snapshot.presets, self.corrections),
        )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the current snapshot was made of, so that a part of it can be renewed."""

    catalog: Catalog
    keys: tuple[AccessKey, ...]
    credentials: Mapping[str, tuple[Credential, ...]]
    unreadable: frozenset[str]
    today: str
    named: _Named
    written: tuple[WrittenAlias, ...] = ()
    presets: Presets = field(default_factory=Presets)


class Snapshots:
    """Holds the current snapshot; one change at a time builds the next."""

    def __init__(self, sources: SnapshotSources) -> None:
        self._sources = sources
        self._current: Snapshot | None = None
        self._parts: _Parts | None = None
        self._compiled: Snapshot | None = None
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
        """Reload when files of the operator changed since the last try; returns whether they had."""
        if await asyncio.to_thread(self._files_digest) == self._digest:
            return False
        await self.reload()
        return True

    async def refresh(self) -> Snapshot:
        """Renew keys, credentials, prices in force and weights without reading the catalog's files."""
        async with self._turn:
            parts = self._known_parts()
            credentials, unreadable = await self._open_credentials()
            keys = await self._sources.keys.list()
            named = await self._read_named(parts.written)
            return self._swap(
                replace(
                    parts, keys=keys, credentials=credentials, unreadable=unreadable, today=self._today(), named=named
                )
            )

    async def publish_keys(self) -> Snapshot:
        """Renew the access keys only."""
        async with self._turn:
            parts = self._known_parts()
            keys = await self._sources.keys.list()
            current = self.current()
            self._parts = replace(parts, keys=keys)
            return self._publish(replace(current, version=current.version + 1, keys=_by_id(keys)))

    async def publish_named(self) -> Snapshot:
        """Renew what the operator named only: aliases, budgets, teams, limits, routers, deployments."""
        async with self._turn:
            parts = self._known_parts()
            named = await self._read_named(parts.written)
            current = self.current()
            compiled = self._compiled or current
            self._parts = replace(parts, named=named)
            return self._publish(named.within(replace(compiled, version=current.version + 1, keys=current.keys)))

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
        self._digest = await asyncio.to_thread(self._files_digest)
        file = self._sources.written_aliases
        written = () if file is None else await asyncio.to_thread(file.read)
        source = self._sources.presets
        presets = Presets() if source is None else await asyncio.to_thread(source.read)
        catalog = await asyncio.to_thread(load_catalog, self._sources.catalog, self._sources.adapters)
        if self._sources.strengths is not None:
            catalog = with_strengths(catalog, await asyncio.to_thread(self._sources.strengths.read))
        credentials, unreadable = await self._open_credentials()
        keys = await self._sources.keys.list()
        named = await self._read_named(written)
        parts = _Parts(catalog, keys, credentials, unreadable, self._today(), named, written, presets)
        self._swap(parts, anew=True)

    def _files_digest(self) -> str:
        mine = self._sources
        sources = (mine.catalog, mine.written_aliases, mine.presets, mine.strengths)
        return " ".join(each.digest() for each in sources if each is not None)

    async def _read_named(self, written: tuple[WrittenAlias, ...]) -> _Named:
        sources = self._sources
        stored = () if sources.aliases is None else await sources.aliases.list()
        return _Named(
            aliases=(*(each.alias for each in written), *stored),
            budgets=() if sources.budgets is None else await sources.budgets.list(),
            teams=() if sources.teams is None else await sources.teams.list(),
            limits=() if sources.limits is None else await sources.limits.list(),
            routers=() if sources.routers is None else await sources.routers.list(),
            corrections=() if sources.routers is None else await sources.routers.corrections(),
            deployments=() if sources.deployments is None else await sources.deployments.list(),
        )

    async def _open_credentials(self) -> tuple[Mapping[str, tuple[Credential, ...]], frozenset[str]]:
        opened: dict[str, list[Credential]] = {}
        unreadable: set[str] = set()
        for stored in await self._sources.credentials.list():
            try:
                context = credential_context(stored.provider, stored.label)
                plain = self._sources.secrets.open(context, stored.sealed)
            except StoreUnusable:
                unreadable.add(stored.provider)
            else:
                credential = Credential(stored.label, Secret(plain.decode("utf-8")))
                opened.setdefault(stored.provider, []).append(credential)
        return MappingProxyType({name: tuple(each) for name, each in opened.items()}), frozenset(unreadable)

    def _known_parts(self) -> _Parts:
        if self._parts is None:
            raise LookupError("no snapshot was built yet: await reload() first")
        return self._parts

    def _swap(self, parts: _Parts, *, anew: bool = False) -> Snapshot:
        version = 1 if self._current is None else self._current.version + 1
        known: Mapping[str, Provider] = {} if anew or self._current is None else self._current.providers
        find = self._find(parts, known)
        compiled = compile_snapshot(version, parts.catalog, parts.keys, self._surroundings(parts), find)
        compiled = replace(compiled, presets=parts.presets)
        snapshot = parts.named.within(compiled)
        if anew:
            stored = frozenset(each.name for each in parts.named.aliases if each.source == "api")
            check_written(parts.written, stored, snapshot)
        self._parts, self._compiled = parts, compiled
        return self._publish(snapshot)

    def _publish(self, snapshot: Snapshot) -> Snapshot:
        self._current = snapshot
        for listener in self._listeners:
            listener(snapshot)
        return snapshot

    def _find(self, parts: _Parts, known: Mapping[str, Provider]) -> GivenCredentials:
        def find(provider: Provider) -> tuple[Credential, ...]:
            stored = parts.credentials.get(provider.name, ())
            before = known.get(provider.name, provider).credentials
            return credentials_in_force(stored, self._sources.given(provider), before)

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
    credentials: GivenCredentials,
) -> Snapshot:
    """Return the snapshot of a catalog; entries that can be called come first under each model id."""
    providers = {
        name: replace(each, credentials=credentials(each)) if each.needs_credential else each
        for name, each in catalog.providers.items()
    }
    models = {name: _listed(name, catalog, providers, around) for name in catalog.models}
    return Snapshot(version, MappingProxyType(models), MappingProxyType(providers), _by_id(keys))


def credentials_in_force(
    stored: Sequence[Credential], given: Sequence[Credential], before: Sequence[Credential] = ()
) -> tuple[Credential, ...]:
    """Return a provider's credentials, `default` first: one for each label, stored before given, no secret twice.

    What was in force before stays the same object, by which its health is known.
    """
    by_label = {each.label: each for each in (*given, *stored)}
    found: list[Credential] = []
    for label in sorted(by_label, key=lambda label: (label != DEFAULT_LABEL, label)):
        wanted = by_label[label]
        if not any(each.secret.is_same_as(wanted.secret) for each in found):
            found.append(next((each for each in before if _is_unchanged(each, wanted)), wanted))
    return tuple(found)


def _is_unchanged(before: Credential, now: Credential) -> bool:
    return (before.label, before.source) == (now.label, now.source) and before.secret.is_same_as(now.secret)


def _listed(name: str, catalog: Catalog, providers: Mapping[str, Provider], around: Surroundings) -> tuple[Listed, ...]:
    listed = [list_model(each, providers[each.provider], around) for each in catalog.models[name]]
    return tuple(sorted(listed, key=lambda each: not each.availability.available))


def _by_id(keys: Sequence[AccessKey]) -> Mapping[str, AccessKey]:
    return MappingProxyType({each.public_id: each for each in keys})
