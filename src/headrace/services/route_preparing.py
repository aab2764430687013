"""Reading the operator's routers ahead of their first prompt; those of the catalog are read when one is called."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NoReturn

from headrace.domain.errors import EngineFailed
from headrace.domain.routing import TaskSet
from headrace.domain.snapshot import Snapshot
from headrace.ports.routing import PromptScorer


class RoutePreparing:
    """Follows snapshots; without weights it waits for the snapshot that comes with them."""

    def __init__(self, scorer: PromptScorer) -> None:
        self._scorer = scorer
        self._wanted: Mapping[str, TaskSet] = {}
        self._prepared = frozenset[str]()
        self._changed = asyncio.Event()

    def follow(self, snapshot: Snapshot) -> None:
        """Note what is to be read."""
        stored = (each.name for each in snapshot.routers.values() if each.source == "api")
        self._wanted = {snapshot.task_sets[name].digest: snapshot.task_sets[name] for name in stored}
        self._changed.set()

    async def run(self) -> NoReturn:
        """Read what is new after each change, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = self._wanted
            self._prepared = self._prepared & wanted.keys()
            for digest in wanted.keys() - self._prepared:
                try:
                    await self._scorer.prepare(wanted[digest])
                except EngineFailed:
                    break
                self._prepared |= {digest}
