"""Aliases as the operator changes them: checked, stored, and in force before the caller is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from headrace.domain.alias import MAX_FALLBACKS, Alias, is_alias_name
from headrace.domain.errors import Conflict, InvalidRequest, NotFound
from headrace.domain.names import did_you_mean
from headrace.domain.snapshot import Snapshot
from headrace.ports.ambient import Clock
from headrace.ports.stores import AliasStore
from headrace.services.snapshots import Snapshots

Check: TypeAlias = Callable[[Alias | None], None]


@dataclass(frozen=True, slots=True)
class WantedAlias:
    """An alias as it is asked for."""

    name: str
    points_to: str
    fallbacks: tuple[str, ...] = ()


class Aliases:
    """Changes aliases one change at a time; requests that run keep the target that they began with."""

    def __init__(self, store: AliasStore, snapshots: Snapshots, clock: Clock) -> None:
        self._store = store
        self._snapshots = snapshots
        self._clock = clock
        self._turn = asyncio.Lock()

    def list(self) -> tuple[Alias, ...]:
        """Return every alias by name."""
        aliases = self._snapshots.current().aliases
        return tuple(aliases[name] for name in sorted(aliases))

    def find(self, name: str) -> Alias:
        """Return one alias; raises NotFound naming the closest."""
        aliases = self._snapshots.current().aliases
        if name in aliases:
            return aliases[name]
        hint = did_you_mean(name, aliases)
        raise NotFound(f'No alias named "{name[:128]}".{f" {hint}" if hint else ""}', code="alias_not_found")

    async def create(self, wanted: WantedAlias) -> Alias:
        """Make a new alias; raises Conflict when the name is taken, InvalidRequest when it cannot be."""

        def is_new(present: Alias | None) -> None:
            if present is not None:
                raise Conflict(f'The alias "{wanted.name}" exists already; PUT changes it.', code="alias_exists")

        alias, _ = await self.put(wanted, is_new)
        return alias

    async def put(self, wanted: WantedAlias, check: Check) -> tuple[Alias, bool]:
        """Make or change an alias; returns it and whether it is new. `check` is given what is there and may raise."""
        async with self._turn:
            snapshot = self._snapshots.current()
            check_wanted(wanted, snapshot)
            present = snapshot.aliases.get(wanted.name)
            check(present)
            now = self._clock.unix_micros()
            if present is None:
                alias = Alias(wanted.name, wanted.points_to, wanted.fallbacks, now, now)
            else:
                alias = replace(present, points_to=wanted.points_to, fallbacks=wanted.fallbacks, changed_at_micros=now)
            await self._store.put(alias)
            await self._snapshots.publish_aliases()
            return alias, present is None

    async def remove(self, name: str, check: Check) -> Alias:
        """Forget an alias and return what it was; raises NotFound."""
        async with self._turn:
            alias = self.find(name)
            check(alias)
            await self._store.remove(name)
            await self._snapshots.publish_aliases()
            return alias


def check_wanted(wanted: WantedAlias, snapshot: Snapshot) -> None:
    """Raise unless the name is free for an alias and everything it points at is a model."""
    if not is_alias_name(wanted.name):
        raise InvalidRequest(
            '"name" must be 1 to 128 letters, digits and . _ : - in parts separated by /, each beginning with a letter'
            f" or digit, not {wanted.name[:80]!r}.",
            param="name",
        )
    if wanted.name in snapshot.models:
        raise Conflict(
            f'"{wanted.name}" is the id of a model; choose another name.', code="alias_is_model", param="name"
        )
    _check_model(wanted.points_to, "points_to", snapshot)
    for name in wanted.fallbacks:
        _check_model(name, "fallbacks", snapshot)
    chain = (wanted.points_to, *wanted.fallbacks)
    if len(wanted.fallbacks) > MAX_FALLBACKS or len(set(chain)) != len(chain):
        raise InvalidRequest(
            f'"fallbacks" must be at most {MAX_FALLBACKS} models, each once, without the one pointed at.',
            param="fallbacks",
        )


def _check_model(name: str, param: str, snapshot: Snapshot) -> None:
    if name in snapshot.models:
        return
    if name in snapshot.aliases:
        raise InvalidRequest(
            f'"{name}" is an alias; an alias points at models. Name "{snapshot.aliases[name].points_to}" instead.',
            param=param,
        )
    hint = did_you_mean(name, snapshot.models)
    raise InvalidRequest(
        f'No model named "{name[:128]}".{f" {hint}" if hint else ""}', code="model_not_found", param=param
    )
