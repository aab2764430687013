"""Progress of one file for everybody who waits for it: never backwards, at most ten reports a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.domain.catalog import WeightsFile
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Progress

INTERVAL_SECONDS = 0.1


class Meter:
    """Tells the listeners how many bytes of a file are here; `listeners` may change while it runs."""

    def __init__(self, file: WeightsFile, listeners: Sequence[Callable[[Progress], None]], clock: Clock) -> None:
        self._file = file
        self._listeners = listeners
        self._clock = clock
        self._shown_bytes = -1
        self._next_at = 0.0

    def show(self, done_bytes: int) -> None:
        """Report so many bytes, unless something later was already reported or it is too soon."""
        done_bytes = min(done_bytes, self._file.size_bytes)
        now = self._clock.monotonic()
        is_complete = done_bytes == self._file.size_bytes
        if done_bytes <= self._shown_bytes or (now < self._next_at and not is_complete):
            return
        self._shown_bytes = done_bytes
        self._next_at = now + INTERVAL_SECONDS
        progress = Progress(self._file.name, done_bytes, self._file.size_bytes, "bytes")
        for listener in tuple(self._listeners):
            listener(progress)
