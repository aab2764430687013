"""Buckets and meters: what they let through in any window, to the unit, and what they never do."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.rate_limit import (
    BUSY_WAIT_MICROS,
    DAY_MICROS,
    MINUTE_MICROS,
    Bucket,
    LimitKind,
    Meter,
    RateLimits,
    Reading,
    Shortage,
    longest,
)

TOKENS = LimitKind.TOKENS_PER_MINUTE
CAPACITIES = st.integers(1, 10_000) | st.sampled_from([1, 7, 10**12])
PAUSES = st.integers(0, 3 * MINUTE_MICROS) | st.sampled_from([0, 1, MINUTE_MICROS - 1, MINUTE_MICROS])


def within(spent: list[tuple[int, int]], capacity: int, period: int) -> bool:
    """Whether no window holds more than the capacity and what flowed back in it."""
    moments = sorted({at for at, _ in spent})
    windows = [(at, at) for at in moments] + list(combinations(moments, 2))
    return all(
        sum(amount for at, amount in spent if begin <= at <= end) * period <= capacity * (period + end - begin)
        for begin, end in windows
    )


@given(CAPACITIES, st.lists(st.tuples(PAUSES, st.integers(1, 12_000)), max_size=12))
def test_no_window_holds_more_than_the_capacity_and_what_flowed_back(
    capacity: int, asked: list[tuple[int, int]]
) -> None:
    now, bucket, spent = 0, Bucket(TOKENS, capacity, MINUTE_MICROS, 0), list[tuple[int, int]]()
    for pause, amount in asked:
        now += pause
        if bucket.wait_micros(amount, now) == 0:
            bucket.spend(amount, now)
            spent.append((now, amount))
        assert 0 <= bucket.left(now) <= capacity
        assert bucket.reading(now).full_in_micros <= MINUTE_MICROS
    assert within(spent, capacity, MINUTE_MICROS)


@given(CAPACITIES, st.integers(1, 10_000), PAUSES)
def test_the_wait_is_right_to_the_microsecond(capacity: int, amount: int, pause: int) -> None:
    bucket = Bucket(TOKENS, capacity, MINUTE_MICROS, 0)
    bucket.spend(capacity, 0)
    amount = min(amount, capacity)
    wait = bucket.wait_micros(amount, pause)
    full_at = pause + bucket.reading(pause).full_in_micros
    assert wait == 0 or bucket.wait_micros(amount, pause + wait - 1) == 1
    assert bucket.wait_micros(amount, pause + wait) == 0
    assert bucket.left(full_at) == capacity


@given(CAPACITIES, st.lists(st.integers(1, 5_000), max_size=20), st.integers(-MINUTE_MICROS, 0))
def test_a_clock_that_does_not_move_or_goes_back_gives_nothing(capacity: int, asked: list[int], step: int) -> None:
    bucket, now, spent = Bucket(TOKENS, capacity, MINUTE_MICROS, 0), 0, 0
    for amount in asked:
        if bucket.wait_micros(amount, now) == 0:
            bucket.spend(amount, now)
            spent += amount
        now += step
    assert spent <= capacity
    assert bucket.left(now) == capacity - spent


def test_small_steps_of_time_add_up_to_the_unit() -> None:
    slow, quick = (Bucket(TOKENS, 7, MINUTE_MICROS, 0) for _ in range(2))
    for bucket in (slow, quick):
        bucket.spend(7, 0)
    for now in range(0, MINUTE_MICROS, 9_973):
        quick.left(now)
    assert quick.left(MINUTE_MICROS - 1) == slow.left(MINUTE_MICROS - 1) == 6
    assert quick.left(MINUTE_MICROS) == slow.left(MINUTE_MICROS) == 7


@given(
    CAPACITIES,
    st.integers(1, 100),
    st.lists(st.tuples(PAUSES, st.integers(0, 200)), max_size=8),
    PAUSES,
)
def test_what_is_taken_back_is_never_more_than_if_it_had_not_been_spent(
    capacity: int, amount: int, others: list[tuple[int, int]], pause: int
) -> None:
    undone, without = (Bucket(TOKENS, capacity, MINUTE_MICROS, 0) for _ in range(2))
    undone.spend(amount, 0)
    now = 0
    for step, other in others:
        now += step
        undone.spend(other, now)
        without.spend(other, now)
    now += pause
    before = undone.left(now)
    undone.take_back(amount, 0, now)
    assert before <= undone.left(now) <= without.left(now)


def test_an_undone_spending_is_free_at_once_and_worth_less_later() -> None:
    bucket = Bucket(TOKENS, 60, MINUTE_MICROS, 0)
    bucket.spend(60, 0)
    bucket.take_back(60, 0, 0)
    assert bucket.left(0) == 60
    bucket.spend(60, 0)
    bucket.spend(60, MINUTE_MICROS)
    bucket.take_back(60, 0, MINUTE_MICROS)
    assert bucket.left(MINUTE_MICROS) == 0


def test_a_debt_flows_back_first() -> None:
    bucket = Bucket(TOKENS, 60, MINUTE_MICROS, 0)
    bucket.spend(90, 0)
    assert bucket.left(0) == -30
    assert bucket.wait_micros(1, 0) == 31_000_000
    assert bucket.left(30_000_000) == 0


def test_another_limit_keeps_what_was_spent() -> None:
    bucket = Bucket(TOKENS, 60, MINUTE_MICROS, 0)
    bucket.spend(50, 0)
    bucket.resize(100, 0)
    assert bucket.left(0) == 50
    bucket.resize(40, 0)
    assert bucket.left(0) == -10
    assert bucket.left(15_000_000) == 0


ENDS = st.lists(
    st.tuples(PAUSES, st.booleans(), st.integers(1, 4_000), st.integers(0, 4_000)),
    max_size=14,
)


@given(st.integers(1, 5_000), ENDS)
def test_settled_tokens_stay_within_the_limit_in_every_window(
    capacity: int, steps: list[tuple[int, bool, int, int]]
) -> None:
    meter, now = Meter("key:1", RateLimits(tokens_per_minute=capacity), 0), 0
    running, spent = list[int](), list[tuple[int, int]]()
    for pause, is_end, estimate, used in steps:
        now += pause
        if is_end and running:
            held = running.pop(0)
            meter.settle(held, min(used, held), now)
            meter.end()
            spent.append((now, min(used, held)))
        elif meter.shortage(estimate, now) is None:
            meter.admit(estimate, now)
            running.append(estimate)
        assert (meter.running, meter.held_tokens) == (len(running), sum(running))
        assert meter.held_tokens + sum(amount for at, amount in spent if at == now) <= capacity
    assert within(spent, capacity, MINUTE_MICROS)


def test_held_tokens_do_not_flow_back_and_settled_ones_do() -> None:
    meter = Meter("key:1", RateLimits(tokens_per_minute=100), 0)
    meter.admit(80, 0)
    assert meter.shortage(30, 10 * MINUTE_MICROS) is not None
    meter.settle(80, 30, 10 * MINUTE_MICROS)
    meter.end()
    assert meter.shortage(70, 10 * MINUTE_MICROS) is None
    assert meter.readings(10 * MINUTE_MICROS) == ([], [Reading(TOKENS, 100, 70, 18_000_000)])


def test_every_kind_of_limit_refuses_by_name() -> None:
    meter = Meter("team:a", RateLimits(2, 2, 100, 100, 1), 0)
    assert meter.shortage(100, 0) is None
    meter.admit(60, 0)
    assert meter.shortage(10, 0) == Shortage("team:a", LimitKind.CONCURRENT_REQUESTS, 1, 0, 1, BUSY_WAIT_MICROS)
    meter.end()
    too_large = meter.shortage(101, 0)
    assert too_large == Shortage("team:a", TOKENS, 100, 40, 101, None)
    short = meter.shortage(50, 0)
    assert short == Shortage("team:a", LimitKind.TOKENS_PER_DAY, 100, 40, 50, DAY_MICROS // 10)
    meter.settle(60, 0, 0)
    meter.admit(0, 0)
    meter.end()
    assert meter.shortage(0, 0) == Shortage("team:a", LimitKind.REQUESTS_PER_DAY, 2, 0, 1, DAY_MICROS // 2)
    assert meter.shortage(0, DAY_MICROS // 2) is None


def test_a_request_that_was_never_made_is_given_back() -> None:
    meter = Meter("model:m", RateLimits(requests_per_minute=1), 0)
    meter.admit(0, 0)
    assert meter.shortage(0, 0) is not None
    meter.forget(0, 0)
    meter.end()
    assert meter.shortage(0, 0) is None


def test_changed_limits_keep_what_was_counted_and_what_runs() -> None:
    meter = Meter("key:1", RateLimits(requests_per_minute=10), 0)
    meter.admit(500, 0)
    meter.change(RateLimits(requests_per_minute=2, tokens_per_minute=600, concurrent_requests=2), 0)
    (requests,), (tokens,) = meter.readings(0)
    assert (requests.kind, requests.left) == (LimitKind.REQUESTS_PER_MINUTE, 1)
    assert (tokens.kind, tokens.left) == (TOKENS, 100)
    meter.admit(100, 0)
    shortage = meter.shortage(0, 0)
    assert shortage is not None
    assert shortage.kind is LimitKind.REQUESTS_PER_MINUTE
    meter.change(RateLimits(concurrent_requests=2), 0)
    shortage = meter.shortage(0, 0)
    assert shortage is not None
    assert shortage.kind is LimitKind.CONCURRENT_REQUESTS
    meter.settle(500, 20, 0)
    meter.settle(100, 0, 0)
    assert meter.held_tokens == 0


@pytest.mark.parametrize(("waits", "worst"), [((1, 5, 3), 5), ((1, None, 3), None), ((None, 1), None), ((2, 2), 2)])
def test_the_longest_wait_is_told_and_never_is_longer(waits: tuple[int | None, ...], worst: int | None) -> None:
    shortages = [Shortage("key:1", TOKENS, 1, 0, 1, wait) for wait in waits]
    found = longest([None, *shortages])
    assert found is not None
    assert found.wait_micros == worst
    assert longest([None, None]) is None
