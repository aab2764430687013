"""Ports for what every process has and no pure code may reach for: time, identities, randomness, CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Clock(Protocol):
    """Wall time for stamps, monotonic time for durations."""

    def unix_micros(self) -> int:
        """Return microseconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...


class Ids(Protocol):
    """New identities."""

    def new(self, prefix: str) -> str:
        """Return a new id `prefix_…`, unique and sortable by time of creation."""
        ...


class Randomness(Protocol):
    """Unpredictable bytes."""

    def token_bytes(self, count: int) -> bytes:
        """Return `count` bytes fit for secrets."""
        ...


class Offload(Protocol):
    """The pool for work that costs more than a millisecond of CPU."""

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the work off the event loop and return its result."""
        ...
