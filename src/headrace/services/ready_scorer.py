"""A scorer that is made ready in the background: no caller who leaves or is impatient breaks that off.

A prompt waits for it a while; then it is answered as if there were no scorer.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeAlias

from headrace.domain.conversation import Conversation
from headrace.domain.errors import EngineFailed
from headrace.domain.router import Task
from headrace.domain.routing import Match, PromptFigures, TaskSet
from headrace.ports.routing import PromptScorer
from headrace.services.tasks import Tasks

WAIT_SECONDS = 20.0
MOST_REMEMBERED = 1_000
# What the managed router waits for: any task makes the scorer ready.
ANY_TASK = TaskSet("any", (Task("any", "Anything that somebody may ask."),))

# A running preparation, and what it failed by: who waits for it is told, nobody else.
_Work: TypeAlias = "tuple[asyncio.Task[None], list[EngineFailed]]"


class ReadyScorer:
    """Wraps the scorer of the process; what it has read once is not waited for again."""

    def __init__(self, scorer: PromptScorer, tasks: Tasks, wait_seconds: float = WAIT_SECONDS) -> None:
        self._scorer = scorer
        self._tasks = tasks
        self._wait_seconds = wait_seconds
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._running: dict[str, _Work] = {}

    async def match(self, tasks: TaskSet, conversation: Conversation) -> Match:
        """Return how the conversation fits the tasks; raises EngineFailed, also while the scorer is made ready."""
        if tasks.digest not in self._ready:
            await self._prepared(tasks)
        return await self._scorer.match(tasks, conversation)

    async def weigh(self, conversation: Conversation) -> tuple[PromptFigures, bytes]:
        """Return what the prompt asks of a model, and its features; raises EngineFailed as `match` does."""
        if not self._ready:
            await self._prepared(ANY_TASK)
        return await self._scorer.weigh(conversation)

    async def rematch(self, tasks: TaskSet, features: Sequence[bytes]) -> tuple[Match, ...]:
        """Match kept features; nobody waits for an answer, so it takes the time it needs."""
        return await self._scorer.rematch(tasks, features)

    async def prepare(self, tasks: TaskSet) -> None:
        """Read the tasks ahead of the first prompt, however long that takes."""
        if tasks.digest not in self._ready:
            await self._settled(tasks, None)

    async def _prepared(self, tasks: TaskSet) -> None:
        if not await self._settled(tasks, self._wait_seconds):
            raise EngineFailed("What reads prompts is still being made ready, in the background.")

    async def _settled(self, tasks: TaskSet, wait_seconds: float | None) -> bool:
        work = self._running.get(tasks.digest)
        if work is None:
            failures = list[EngineFailed]()
            work = self._tasks.start("prepare a router", self._work(tasks, failures)), failures
            self._running[tasks.digest] = work
        running, failures = work
        done, _ = await asyncio.wait({running}, timeout=wait_seconds)
        if failures:
            raise failures[0]
        return bool(done)

    async def _work(self, tasks: TaskSet, failures: list[EngineFailed]) -> None:
        try:
            await self._scorer.prepare(tasks)
        except EngineFailed as error:
            failures.append(error)
        else:
            self._ready[tasks.digest] = None
            if len(self._ready) > MOST_REMEMBERED:
                self._ready.popitem(last=False)
        finally:
            del self._running[tasks.digest]
