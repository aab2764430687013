"""A store that cannot write and a clock that steps, under load: 503 and Retry-After, nothing unmetered, no restart."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.e2e.fault_rounds import LOCKED_SECONDS, UNAVAILABLE, FaultRounds, fault_rounds, statuses

SEED = 20_261_128
DAY_SECONDS = 24 * 3_600
MOMENT_SECONDS = 2.0


@pytest.fixture
async def rounds(tmp_path: Path) -> AsyncGenerator[FaultRounds]:
    async with fault_rounds(tmp_path, SEED) as rounds:
        yield rounds
        sys.stdout.write(f"{statuses(rounds)}\n")
        assert rounds.headrace.starts == 1
        assert rounds.headrace.stop() == 0


async def test_a_store_that_is_locked_for_ten_seconds(rounds: FaultRounds) -> None:
    await rounds.during(rounds.locked, LOCKED_SECONDS)
    assert await rounds.faults() == []


async def test_a_disk_that_is_full(rounds: FaultRounds) -> None:
    await rounds.during(rounds.full, MOMENT_SECONDS)
    assert await rounds.faults() == []


async def test_a_store_that_has_become_read_only(rounds: FaultRounds) -> None:
    await rounds.during(rounds.read_only, MOMENT_SECONDS)
    assert await rounds.faults() == []


@pytest.mark.parametrize("seconds", [DAY_SECONDS, -DAY_SECONDS])
async def test_a_clock_that_steps_by_a_day_and_back(rounds: FaultRounds, seconds: int) -> None:
    await rounds.during(lambda: rounds.clock_off_by(seconds), MOMENT_SECONDS, is_felt=False)
    assert await rounds.faults() == []
    assert rounds.count(UNAVAILABLE) == 0
