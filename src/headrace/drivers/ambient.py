"""The real clock, identities, randomness and CPU pool of a process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
RANDOM_CHARS = 20
IDS_AT_ONCE = 32


class SystemClock:
    """The machine's clocks."""

    def unix_micros(self) -> int:
        """Return microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        return time.monotonic()


class TimedIds:
    """Identities that sort by time: 12 hexadecimal digits of milliseconds, then 80 random bits."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._random = ""

    def new(self, prefix: str) -> str:
        """Return `prefix_` and 32 hexadecimal digits; random bits are taken from the system for many ids at once."""
        if not self._random:
            self._random = os.urandom(RANDOM_CHARS // 2 * IDS_AT_ONCE).hex()
        random, self._random = self._random[:RANDOM_CHARS], self._random[RANDOM_CHARS:]
        return f"{prefix}_{self._clock.unix_micros() // 1_000:012x}{random}"


class OsRandomness:
    """The operating system's randomness."""

    def token_bytes(self, count: int) -> bytes:
        """Return `count` bytes fit for secrets."""
        return os.urandom(count)


class ThreadOffload:
    """A small pool of threads for work of more than a millisecond."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="offload")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the work in the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args, **kwargs))

    def close(self) -> None:
        """Let running work end and take no more."""
        self._pool.shutdown(cancel_futures=True)
