"""Routers as the operator changes them: checked, stored, and in force before the caller is answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from headrace.domain.errors import Conflict, NotFound
from headrace.domain.names import did_you_mean
from headrace.domain.router import PresetRouter, PresetTask, Router
from headrace.domain.router_draft import RouterDraft
from headrace.domain.snapshot import Snapshot
from headrace.domain.uuids import uuid_of
from headrace.ports.ambient import Clock, Ids
from headrace.ports.routing import RouterStore
from headrace.services.router_rules import check_draft, router_of
from headrace.services.snapshots import Snapshots

Check: TypeAlias = Callable[[Router], None]


class Routers:
    """Changes routers one change at a time; requests that run keep the router that they began with.

    `turn` is the lock that changes of aliases take too, because each may be in the other's way.
    """

    def __init__(self, store: RouterStore, snapshots: Snapshots, clock: Clock, ids: Ids, turn: asyncio.Lock) -> None:
        self._store = store
        self._snapshots = snapshots
        self._clock = clock
        self._ids = ids
        self._turn = turn

    def list(self) -> tuple[Router, ...]:
        """Return every router of the operator's, by name."""
        routers = self._snapshots.current().routers
        return tuple(routers[name] for name in sorted(routers) if routers[name].source == "api")

    def find(self, uuid: str) -> Router:
        """Return one router; raises NotFound naming the one that was meant, when its name was given."""
        routers = self.list()
        found = next((each for each in routers if each.uuid == uuid), None)
        if found is not None:
            return found
        by_name = {each.name: each.uuid for each in routers}
        hint = f"The router of that name is {by_name[uuid]}." if uuid in by_name else did_you_mean(uuid, by_name)
        raise NotFound(
            f'No router has the uuid "{uuid[:128]}". {hint or "`headrace routers list` lists them."}',
            code="router_not_found",
        )

    def presets(self) -> tuple[PresetRouter, ...]:
        """Return the routers of the catalog, in its order."""
        return tuple(self._snapshots.current().presets.routers.values())

    def preset_tasks(self) -> tuple[PresetTask, ...]:
        """Return the tasks of the catalog, in its order."""
        return tuple(self._snapshots.current().presets.tasks.values())

    def corrections(self, router: Router) -> Mapping[str, int]:
        """Return how many corrections each of its tasks has, without those that have none."""
        tasks = self._snapshots.current().task_sets.get(router.name)
        return Counter(slug for slug, _ in tasks.corrections) if tasks is not None else {}

    async def create(self, draft: RouterDraft) -> Router:
        """Make a router; raises Conflict when its name is taken, InvalidRequest when it cannot be."""
        async with self._turn:
            check_draft(draft, self._snapshots.current())
            now = self._clock.unix_micros()
            return await self._put(router_of(draft, uuid_of(self._ids.new("router")), now, now))

    async def replace(self, uuid: str, draft: RouterDraft, check: Check) -> Router:
        """Put another router in the place of one, which keeps its name unless another is given.

        `check` is given what is there and may raise. Raises NotFound, InvalidRequest, and Conflict for a name that is
        taken and for another name while aliases point at this one.
        """
        async with self._turn:
            present = self.find(uuid)
            check(present)
            wanted = draft if draft.name is not None else replace(draft, name=present.name)
            check_draft(wanted, self._snapshots.current(), present)
            if wanted.name != present.name:
                _check_unused(present, self._snapshots.current(), "renamed")
            return await self._put(
                router_of(wanted, present.uuid, present.created_at_micros, self._clock.unix_micros())
            )

    async def remove(self, uuid: str, check: Check) -> Router:
        """Forget a router and return what it was; raises NotFound, and Conflict while aliases point at it."""
        async with self._turn:
            present = self.find(uuid)
            check(present)
            _check_unused(present, self._snapshots.current(), "deleted")
            await self._store.remove(uuid)
            await self._snapshots.publish_named()
            return present

    async def _put(self, router: Router) -> Router:
        await self._store.put(router)
        await self._snapshots.publish_named()
        return router


def _check_unused(router: Router, snapshot: Snapshot, done: str) -> None:
    users = sorted(each.name for each in snapshot.aliases.values() if each.points_to == router.model_name)
    if users:
        names = ", ".join(f'"{each}"' for each in users)
        raise Conflict(
            f"{router.model_name} cannot be {done}: aliases point at it ({names}). Point them elsewhere, or delete"
            " them, first.",
            code="router_in_use",
        )
