"""Shares of a replica's time: they are fair, and with the idle time they are all of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.sharing import SharedTime

# Each step: microseconds that pass, then a request begins (None) or the one of that place in the row ends.
STEPS = st.lists(st.tuples(st.integers(0, 10_000_000), st.none() | st.integers(0, 20)), max_size=60)


@given(STEPS, st.integers(0, 10**15))
def test_shares_and_idle_time_are_the_whole_time(steps: list[tuple[int, int | None]], start: int) -> None:
    now, time = start, SharedTime(start)
    open_since: list[int] = []
    shares: list[int] = []
    for passed, ending in steps:
        now += passed
        if ending is None:
            time = time.with_one_more(now)
            open_since.append(time.served_picos)
        elif open_since:
            time = time.with_one_less(now)
            shares.append(time.share_micros(open_since.pop(ending % len(open_since))))
    shares += [time.share_micros(since) for since in open_since]
    assert abs(sum(shares) + time.idle_micros - (time.at_micros - start)) <= len(shares) + 1
    assert time.requests == len(open_since)
    assert all(share >= 0 for share in shares)


@given(st.integers(1, 50), st.integers(0, 10**12))
def test_requests_that_are_there_together_have_equal_shares(requests: int, micros: int) -> None:
    time = SharedTime(0)
    for _ in range(requests):
        time = time.with_one_more(0)
    assert abs(time.until(micros).share_micros(0) * requests - micros) <= requests


def test_a_moment_belongs_to_those_who_are_there() -> None:
    alone = SharedTime(0).with_one_more(1_000)
    both = alone.with_one_more(2_000)
    after = both.with_one_less(6_000)
    assert after.share_micros(both.served_picos) == 2_000
    assert after.until(7_000).share_micros(alone.served_picos) == 4_000
    assert after.idle_micros == 1_000


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    time = SharedTime(5_000).with_one_more(5_000)
    assert time.until(5_000) is time
    assert time.until(4_000) is time


def test_no_request_ends_that_did_not_begin() -> None:
    with pytest.raises(ValueError, match="no request is there"):
        SharedTime(0).with_one_less(1)
