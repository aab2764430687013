"""Replicas of deployments that nobody knows any more: when drivers are asked to end them; how is the drivers'."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import TypeAlias

from headrace.domain.errors import DriverUnusable, HeadraceError
from headrace.ports.ambient import Clock
from headrace.services.deployment_steps import StoredDeployments
from headrace.services.tasks import Tasks

EndUnknown: TypeAlias = Callable[[Collection[str]], Awaitable[None]]

RETRY_SECONDS = 60.0
# Longer than a driver of this machine takes: others go on in the background.
WAIT_SECONDS = 1.0


def guarded(end_unknown: EndUnknown, objection: Callable[[], str | None]) -> EndUnknown:
    """Return the same behind an objection: while there is one nothing is ended, and it is asked for again."""

    async def end(known: Collection[str]) -> None:
        found = objection()
        if found is not None:
            raise DriverUnusable(found)
        await end_unknown(known)

    return end


class KnownDeployments(Collection[str]):
    """The ids of all stored deployments at the moment of asking, so that one that has just been made is among them."""

    def __init__(self, deployments: StoredDeployments) -> None:
        self._deployments = deployments

    def __contains__(self, deployment_id: object) -> bool:
        return deployment_id in self._ids()

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids())

    def __len__(self) -> int:
        return len(self._ids())

    def _ids(self) -> Sequence[str]:
        return [each.id for each in self._deployments.all()]


class UnknownReplicas:
    """Asks each driver once to end them, and again later when it could not."""

    def __init__(
        self, end_unknown: Sequence[EndUnknown], deployments: StoredDeployments, tasks: Tasks, clock: Clock
    ) -> None:
        self._end_unknown = end_unknown
        self._known = KnownDeployments(deployments)
        self._tasks = tasks
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._due: dict[int, float] = {}
        self.look_again()

    def look_again(self) -> None:
        """Have every driver asked once more."""
        self._due = dict.fromkeys(range(len(self._end_unknown)), 0.0)

    async def end(self) -> None:
        """Ask the drivers whose time has come; what takes long goes on while others are looked at."""
        is_under_way = self._task is not None and not self._task.done()
        if is_under_way or not any(at <= self._clock.monotonic() for at in self._due.values()):
            return
        self._task = self._tasks.start("end unknown replicas", self._ask())
        await asyncio.wait([self._task], timeout=WAIT_SECONDS)

    async def _ask(self) -> None:
        for place, at in tuple(self._due.items()):
            now = self._clock.monotonic()
            if at > now:
                continue
            self._due[place] = retry_at = now + RETRY_SECONDS
            try:
                await self._end_unknown[place](self._known)
            except HeadraceError:
                continue
            if self._due[place] == retry_at:
                del self._due[place]
