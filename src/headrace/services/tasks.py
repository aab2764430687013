"""The owner of background tasks: every task has a name, a reference and somebody who hears of its failure.

A task that is owed to a caller who has left is finished before the process ends; any other is cancelled then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """Starts background tasks, reports their failures and cancels what is left at the end."""

    def __init__(self, on_failure: Callable[[str, BaseException], None]) -> None:
        self._on_failure = on_failure
        self._running: set[asyncio.Task[None]] = set()
        self._owed: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that is kept alive until it ends."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def start_owed(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that the end of the process waits for."""
        task = self.start(name, work)
        self._owed.add(task)
        return task

    @property
    def owed(self) -> int:
        """How many owed tasks run."""
        return len(self._owed)

    async def finish_owed(self, seconds: float) -> None:
        """Wait so long for owed tasks to end, then cancel what is left and wait until all have ended."""
        if self._owed:
            await asyncio.wait(self._owed, timeout=seconds)
        self.cancel_owed()
        await asyncio.gather(*self._owed, return_exceptions=True)

    def cancel_owed(self) -> None:
        """Cancel owed tasks: there is no time left for them."""
        for task in self._owed:
            task.cancel()

    async def close(self) -> None:
        """Cancel every task and wait until all have ended."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._owed.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(task.get_name(), error)
