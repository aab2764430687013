"""The scorer of prompts: opened at the first use, one piece of work in the CPU pool for each decision.

Importing this module loads no array library; matcher does, at the first use.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from headrace.domain.conversation import Conversation
from headrace.domain.routing import Match, PromptFigures, TaskSet
from headrace.ports.ambient import Offload
from headrace.ports.routing import TokenReader

if TYPE_CHECKING:
    from headrace.drivers.scorers.matcher import Matcher
    from headrace.drivers.scorers.task_index import TaskIndex

MAX_INDEX_BYTES = 64 * 1024 * 1024
# Texts that are encoded at a time while an index is made: decisions get in between.
TEXTS_AT_ONCE = 8


class MiniLmScorer:
    """Matches prompts with tasks by a local encoder; raises EngineFailed while its weights are not here.

    `load` returns the loaded encoder, and `encoder` names its file. What was learned of it is kept under `home`.
    """

    def __init__(self, load: Callable[[], Awaitable[TokenReader]], encoder: str, home: Path, offload: Offload) -> None:
        self._load = load
        self._encoder = encoder
        self._home = home
        self._offload = offload
        self._matcher: Matcher | None = None
        self._indexes: OrderedDict[str, TaskIndex] = OrderedDict()
        self._opening = asyncio.Lock()
        self._indexing = asyncio.Lock()

    async def open(self) -> None:
        """Load everything ahead of the first prompt; seconds where the background was never made."""
        await self._opened()

    async def match(self, tasks: TaskSet, conversation: Conversation) -> Match:
        """Return how the conversation fits the tasks."""
        matcher = self._matcher or await self._opened()
        index = self._kept(tasks) or await self._indexed(matcher, tasks)
        return await self._offload.run(matcher.match, index, conversation)

    async def weigh(self, conversation: Conversation) -> tuple[PromptFigures, bytes]:
        """Return what the prompt asks of a model, and its features."""
        matcher = self._matcher or await self._opened()
        return await self._offload.run(matcher.weigh, conversation)

    async def rematch(self, tasks: TaskSet, features: Sequence[bytes]) -> tuple[Match, ...]:
        """Match kept features, each as a conversation of one message."""
        matcher = self._matcher or await self._opened()
        index = self._kept(tasks) or await self._indexed(matcher, tasks)
        return await self._offload.run(matcher.rematch, index, features)

    async def prepare(self, tasks: TaskSet) -> None:
        """Make the index of the tasks ahead of the first prompt."""
        matcher = self._matcher or await self._opened()
        if self._kept(tasks) is None:
            await self._indexed(matcher, tasks)

    async def _opened(self) -> Matcher:
        async with self._opening:
            if self._matcher is None:
                reader = await self._load()
                self._matcher = await self._offload.run(_open, reader, self._home, self._encoder)
            return self._matcher

    def _kept(self, tasks: TaskSet) -> TaskIndex | None:
        found = self._indexes.get(tasks.digest)
        if found is not None:
            self._indexes.move_to_end(tasks.digest)
        return found

    async def _indexed(self, matcher: Matcher, tasks: TaskSet) -> TaskIndex:
        async with self._indexing:
            found = self._kept(tasks)
            if found is not None:
                return found
            unread = await self._offload.run(matcher.unread, tasks)
            for start in range(0, len(unread), TEXTS_AT_ONCE):
                await self._offload.run(matcher.read, unread[start : start + TEXTS_AT_ONCE])
            made = await self._offload.run(matcher.index, tasks)
            self._indexes[tasks.digest] = made
            while len(self._indexes) > 1 and sum(each.size_bytes for each in self._indexes.values()) > MAX_INDEX_BYTES:
                self._indexes.popitem(last=False)
            return made


def _open(reader: TokenReader, home: Path, encoder: str) -> Matcher:
    module = importlib.import_module("headrace.drivers.scorers.matcher")
    open_matcher = cast("Callable[[TokenReader, Path, str], Matcher]", module.open_matcher)
    return open_matcher(reader, home, encoder)
