"""Watches the event loop: how late it wakes, and a report when something has blocked it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from headrace.ports.ambient import Clock

Sleep: TypeAlias = Callable[[float], Awaitable[object]]

INTERVAL_SECONDS = 0.5
THRESHOLD_SECONDS = 0.05


class LoopWatch:
    """Measures the loop's lag twice a second; `run` goes on until it is cancelled."""

    def __init__(self, clock: Clock, report: Callable[[float], None], sleep: Sleep = asyncio.sleep) -> None:
        self._clock = clock
        self._report = report
        self._sleep = sleep
        self._lag_seconds = 0.0
        self._worst_seconds = 0.0

    @property
    def lag_seconds(self) -> float:
        """How late the loop woke the last time."""
        return self._lag_seconds

    @property
    def worst_seconds(self) -> float:
        """The longest lag since the start."""
        return self._worst_seconds

    async def run(self) -> None:
        """Measure for ever; lags above THRESHOLD_SECONDS are reported in seconds."""
        while True:
            due = self._clock.monotonic() + INTERVAL_SECONDS
            await self._sleep(INTERVAL_SECONDS)
            self._note(max(0.0, self._clock.monotonic() - due))

    def _note(self, lag_seconds: float) -> None:
        self._lag_seconds = lag_seconds
        self._worst_seconds = max(self._worst_seconds, lag_seconds)
        if lag_seconds > THRESHOLD_SECONDS:
            self._report(lag_seconds)
