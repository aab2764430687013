"""What routers decided is forgotten after so many days."""

from __future__ import annotations

import pytest

from headrace.domain.errors import MeteringUnavailable
from headrace.ports.routing import RoutedRequest
from headrace.services.decision_sweep import DAY_MICROS, DecisionSweep
from headrace.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


class NotedSweeps:
    """Notes until when was swept; fails where a test says so."""

    def __init__(self) -> None:
        self.swept: list[int] = []

    async def since(
        self, router: str, since_micros: int, limit: int, before: tuple[int, str] | None = None
    ) -> tuple[RoutedRequest, ...]:
        raise AssertionError(router)

    async def count(self, router: str, since_micros: int, until_micros: int) -> int:
        raise AssertionError(router)

    async def get(self, request_id: str) -> RoutedRequest | None:
        raise AssertionError(request_id)

    async def sweep(self, before_micros: int) -> int:
        self.swept.append(before_micros)
        if len(self.swept) == 1:
            raise MeteringUnavailable("away")
        return 0


class Enough(Exception):
    """The test has seen enough."""


async def test_it_sweeps_every_hour_and_survives_a_store_that_is_away() -> None:
    clock, decisions, slept = FakeClock(), NotedSweeps(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)
        if len(slept) == 2:
            raise Enough

    began = clock.unix_micros()
    with pytest.raises(Enough):
        await DecisionSweep(decisions, clock, 30).sweep_for_ever(sleep)
    assert slept == [3_600.0] * 2
    assert decisions.swept == [began - 30 * DAY_MICROS, began - 30 * DAY_MICROS + 3_600_000_000]
