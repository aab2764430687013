"""Waiting for a change from threads and event loops alike; knows nothing of what changes."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


class Changes:
    """A condition variable that blocking threads and any event loop can wait on."""

    def __init__(self) -> None:
        self._changed: threading.Condition = threading.Condition()
        self._wakers: list[Callable[[], None]] = []

    def apply(self, change: Callable[[], None]) -> None:
        """Make one change under the lock and wake everybody who waits."""
        with self._changed:
            change()
            self._changed.notify_all()
            wakers = tuple(self._wakers)
        for wake in wakers:
            wake()

    def wait(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Block this thread until `ready()` holds; raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(ready, timeout_seconds):
                raise TimeoutError(f"Nothing changed as expected within {timeout_seconds} s.")

    async def until(self, ready: Callable[[], bool]) -> None:
        """Wait on this event loop until `ready()` holds."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(woken.set)

        with self._changed:
            self._wakers.append(wake)
        try:
            while not ready():
                await woken.wait()
                woken.clear()
        finally:
            with self._changed:
                self._wakers.remove(wake)


class Gate:
    """A place in a reply where the upstream waits until a test lets it go on; once released it stays open."""

    def __init__(self) -> None:
        self._changes: Changes = Changes()
        self._arrived: int = 0
        self._open: bool = False

    @property
    def arrived(self) -> int:
        """How many replies have come to this gate so far."""
        return self._arrived

    def release(self) -> None:
        """Let every reply through, from any thread."""
        self._changes.apply(self._release)

    def wait_reached(self, replies: int = 1, timeout_seconds: float = 5.0) -> None:
        """Block until that many replies stand or stood at the gate; raises TimeoutError."""
        self._changes.wait(lambda: self._arrived >= replies, timeout_seconds)

    async def reached(self, replies: int = 1) -> None:
        """Wait until that many replies stand or stood at the gate."""
        await self._changes.until(lambda: self._arrived >= replies)

    async def passage(self) -> None:
        """Arrive and wait for the release: what the upstream calls."""
        self._changes.apply(self._arrive)
        await self._changes.until(lambda: self._open)

    def _arrive(self) -> None:
        self._arrived += 1

    def _release(self) -> None:
        self._open = True
