"""Forgetting what routers decided when it has been kept long enough."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from headrace.domain.errors import MeteringUnavailable
from headrace.ports.ambient import Clock
from headrace.ports.routing import Decisions

DAY_MICROS = 86_400_000_000
SWEEP_SECONDS = 3_600.0
Sleep: TypeAlias = Callable[[float], Awaitable[object]]


class DecisionSweep:
    """Keeps decisions for so many days; the receipts of their requests stay without them."""

    def __init__(self, decisions: Decisions, clock: Clock, keep_days: int) -> None:
        self._decisions = decisions
        self._clock = clock
        self._keep_micros = keep_days * DAY_MICROS

    async def sweep_for_ever(self, sleep: Sleep = asyncio.sleep) -> None:
        """Forget what is older, once an hour, until cancelled."""
        while True:
            with contextlib.suppress(MeteringUnavailable):
                await self._decisions.sweep(self._clock.unix_micros() - self._keep_micros)
            await sleep(SWEEP_SECONDS)
