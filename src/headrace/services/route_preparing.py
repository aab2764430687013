"""Reading routers ahead of their first prompt, in the background; whoever calls one earlier waits for that one only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NoReturn

from headrace.domain.errors import EngineFailed
from headrace.domain.routing import TaskSet
from headrace.domain.snapshot import Snapshot
from headrace.ports.routing import PromptScorer
from headrace.services.ready_scorer import ANY_TASK


class RoutePreparing:
    """Follows snapshots; without weights it waits for the snapshot that comes with them.

    First what the managed router needs, then the operator's routers, then the catalog's.
    """

    def __init__(self, scorer: PromptScorer) -> None:
        self._scorer = scorer
        self._wanted: dict[str, TaskSet] = {}
        self._prepared = frozenset[str]()
        self._changed = asyncio.Event()

    def follow(self, snapshot: Snapshot) -> None:
        """Note what is to be read."""
        self._wanted = {each.digest: each for each in _wanted(snapshot)}
        self._changed.set()

    async def run(self) -> NoReturn:
        """Read what is new after each change, one router at a time, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._prepared &= self._wanted.keys()
            await self._read_unread()

    async def _read_unread(self) -> None:
        """Read until all is read, or something else is wanted, or nothing can be read."""
        for digest, tasks in self._wanted.items():
            if digest in self._prepared:
                continue
            try:
                await self._scorer.prepare(tasks)
            except EngineFailed:
                return
            self._prepared |= {digest}
            if self._changed.is_set():
                return


def _wanted(snapshot: Snapshot) -> Iterator[TaskSet]:
    yield ANY_TASK
    for each in sorted(snapshot.routers.values(), key=lambda router: router.source != "api"):
        yield snapshot.task_sets[each.name]
