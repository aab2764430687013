"""A burst ends when some rounds bring no more, when it is large enough or old enough, and at once for one alone."""

import pytest

from headrace.drivers.stores.burst import FEW, MOST_OPERATIONS, MOST_SECONDS, QUIET_ROUNDS, Burst
from headrace.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def burst(clock: FakeClock) -> Burst:
    made = Burst(clock)
    made.committed(FEW + 1)
    return made


def rounds(burst: Burst, *queued: int) -> list[bool]:
    return [burst.is_over(each) for each in queued]


def test_nobody_waits_for_company_that_was_not_there(clock: FakeClock) -> None:
    burst = Burst(clock)
    assert burst.is_over(1)
    burst.committed(FEW)
    assert burst.is_over(1)
    assert burst.is_over(MOST_OPERATIONS)


def test_it_is_over_when_some_rounds_bring_no_more(burst: Burst) -> None:
    assert rounds(burst, 1, 2, 2, 3, *[3] * QUIET_ROUNDS) == [False] * (3 + QUIET_ROUNDS) + [True]


def test_the_next_one_begins_anew(burst: Burst) -> None:
    for _ in range(2):
        assert rounds(burst, *[1] * (QUIET_ROUNDS + 1)) == [False] * QUIET_ROUNDS + [True]


def test_it_grows_no_larger_than_is_useful(burst: Burst) -> None:
    assert rounds(burst, 1, MOST_OPERATIONS - 1, MOST_OPERATIONS) == [False, False, True]


def test_rounds_that_take_long_end_it(burst: Burst, clock: FakeClock) -> None:
    assert rounds(burst, 1) == [False]
    clock.advance(MOST_SECONDS / 2)
    assert rounds(burst, 2) == [False]
    clock.advance(MOST_SECONDS)
    assert rounds(burst, 3, 1) == [True, False]


def test_what_the_writer_took_meanwhile_is_no_growth(burst: Burst) -> None:
    assert rounds(burst, 5, *[0] * QUIET_ROUNDS) == [False] * QUIET_ROUNDS + [True]
