"""The watch measures how late it wakes."""

import asyncio
from collections.abc import Sequence

import pytest

from headrace.services.loop_watch import INTERVAL_SECONDS, LoopWatch
from headrace.testing.clock import FakeClock


async def watch(lateness: Sequence[float]) -> tuple[LoopWatch, list[float]]:
    clock, reports, left = FakeClock(), list[float](), list(lateness)

    async def sleep(seconds: float) -> None:
        assert seconds == INTERVAL_SECONDS
        if not left:
            raise asyncio.CancelledError
        clock.advance(seconds + left.pop(0))

    watching = LoopWatch(clock, reports.append, sleep)
    with pytest.raises(asyncio.CancelledError):
        await watching.run()
    return watching, reports


async def test_a_quiet_loop_is_not_reported() -> None:
    watching, reports = await watch([0.0, 0.01, 0.04])
    assert reports == []
    assert watching.lag_seconds == pytest.approx(0.04)


async def test_a_blocked_loop_is_reported_and_the_worst_is_kept() -> None:
    watching, reports = await watch([0.3, 0.06, 0.0])
    assert reports == [pytest.approx(0.3), pytest.approx(0.06)]
    assert (watching.lag_seconds, watching.worst_seconds) == (pytest.approx(0.0), pytest.approx(0.3))
