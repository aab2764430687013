"""What a run owes: exact over any cut, nothing before it is ready or after it is gone."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from headrace.domain.replica_run import DAY_MICROS, MICROS_PER_HOUR, QUARTER_MICROS, cuts, share_nano
from tests.fakes.replicas import STARTED_MICROS, a_run


def test_nothing_is_owed_before_it_is_ready_or_after_it_is_gone() -> None:
    assert a_run().amount_nano(STARTED_MICROS + MICROS_PER_HOUR) == 0
    run = replace(a_run(), ready_at_micros=STARTED_MICROS + 1_000_000)
    assert run.amount_nano(STARTED_MICROS) == 0
    assert run.amount_nano(STARTED_MICROS + 1_000_000 + MICROS_PER_HOUR) == run.nano_per_hour
    gone = replace(run, gone_at_micros=STARTED_MICROS + 1_000_000 + MICROS_PER_HOUR)
    assert gone.amount_nano(STARTED_MICROS + 9 * MICROS_PER_HOUR) == run.nano_per_hour
    assert gone.micros_between(STARTED_MICROS, STARTED_MICROS + 2_000_000) == 1_000_000
    assert replace(run, gone_at_micros=STARTED_MICROS).amount_nano(STARTED_MICROS + MICROS_PER_HOUR) == 0
    assert run.provider == "dedicated:local"


@pytest.mark.parametrize("seed", range(5))
def test_parts_that_follow_one_another_add_up_to_the_whole(seed: int) -> None:
    chance = random.Random(seed)
    run = replace(a_run(nano_per_hour=chance.randrange(10**11)), ready_at_micros=STARTED_MICROS)
    ends = sorted(STARTED_MICROS + chance.randrange(10**11) for _ in range(40))
    parts = [run.between_nano(since, until) for since, until in zip((STARTED_MICROS, *ends), ends, strict=False)]
    assert sum(parts) == run.amount_nano(ends[-1])


def test_a_share_is_rounded_half_to_even() -> None:
    assert share_nano(MICROS_PER_HOUR // 2, 1) == 0
    assert share_nano(MICROS_PER_HOUR // 2, 3) == 2
    assert share_nano(353_000, 2_590_000_000) == 253_964


def test_cuts_are_the_quarters_of_an_hour_between_two_times() -> None:
    begin = STARTED_MICROS // QUARTER_MICROS * QUARTER_MICROS
    assert list(cuts(begin, begin + QUARTER_MICROS)) == []
    assert list(cuts(begin - 1, begin + QUARTER_MICROS + 1)) == [begin, begin + QUARTER_MICROS]
    assert list(cuts(begin + 5, begin + 4)) == []


@pytest.mark.parametrize(
    ("ready_at", "metered_to", "at", "is_other"),
    [
        (1, None, 1, False),
        (DAY_MICROS + 1, None, DAY_MICROS + 1, True),
        (DAY_MICROS + 1, DAY_MICROS + 1, DAY_MICROS + 1, True),
        (1, DAY_MICROS, DAY_MICROS, True),
        (1, DAY_MICROS - 1, DAY_MICROS, False),
        (1, DAY_MICROS + 1, DAY_MICROS + 1, False),
    ],
)
def test_another_day_begins_at_a_midnight_that_is_booked_or_before_the_first_token(
    ready_at: int, metered_to: int | None, at: int, *, is_other: bool
) -> None:
    run = replace(a_run(), started_at_micros=0, ready_at_micros=ready_at, metered_to_micros=metered_to)
    assert run.is_on_another_day(at) is is_other
