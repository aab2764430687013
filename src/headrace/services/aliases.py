"""Aliases as the operator changes them: checked, stored, and in force before the caller is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from headrace.domain.alias import Alias
from headrace.domain.errors import Conflict, NotFound
from headrace.domain.names import did_you_mean
from headrace.ports.ambient import Clock
from headrace.ports.stores import AliasStore
from headrace.services.alias_rules import WantedAlias, check_unused, check_wanted
from headrace.services.snapshots import Snapshots

Check: TypeAlias = Callable[[Alias | None], None]


class Aliases:
    """Changes aliases one change at a time; requests that run keep the target that they began with.

    `turn` is the lock that changes of routers take too, because each may be in the other's way.
    """

    def __init__(self, store: AliasStore, snapshots: Snapshots, clock: Clock, turn: asyncio.Lock | None = None) -> None:
        self._store = store
        self._snapshots = snapshots
        self._clock = clock
        self._turn = asyncio.Lock() if turn is None else turn

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
        raise NotFound(
            f'No alias named "{name[:128]}". {hint or "`headrace aliases list` lists them."}', code="alias_not_found"
        )

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
            _check_changeable(wanted.name, present)
            check(present)
            now = self._clock.unix_micros()
            if present is None:
                alias = Alias(wanted.name, wanted.points_to, wanted.fallbacks, now, now)
            else:
                alias = replace(present, points_to=wanted.points_to, fallbacks=wanted.fallbacks, changed_at_micros=now)
            await self._store.put(alias)
            await self._snapshots.publish_named()
            return alias, present is None

    async def remove(self, name: str, check: Check) -> Alias:
        """Forget an alias and return what it was; raises NotFound, and Conflict while it is in a router's pools."""
        async with self._turn:
            alias = self.find(name)
            _check_changeable(name, alias)
            check(alias)
            check_unused(name, self._snapshots.current())
            await self._store.remove(name)
            await self._snapshots.publish_named()
            return alias


def _check_changeable(name: str, present: Alias | None) -> None:
    if present is not None and present.source == "file":
        raise Conflict(
            f'The alias "{name}" stands in the configuration file: change it there, then `headrace config reload`.',
            code="alias_in_file",
            param="name",
        )
