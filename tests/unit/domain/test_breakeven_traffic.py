"""What replicas cost by the hour, against hand-made sums and against trying every load."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.breakeven_traffic import (
    HOUR_SECONDS,
    NANOS,
    Dedicated,
    HourLoad,
    Never,
    Traffic,
    dedicated_nano,
    find_break_even,
    paid_hours,
    serverless_nano,
)
from headrace.domain.money import PICO_PER_NANO, PPM

UNITS = 3_600
DOLLAR = 1_000_000_000
EMPTY = HourLoad(0, 0, 0)


def hour(requests: int, seconds_each: int = 1, pico_each: int = 10**9) -> HourLoad:
    return HourLoad(requests, requests * seconds_each, requests * pico_each)


def traffic(*hours: HourLoad, is_cycle: bool = False) -> Traffic:
    return Traffic(hours, UNITS, is_cycle)


def paid(of: Traffic, fleet: Dedicated, scale: int = 1) -> list[tuple[int, int]]:
    return [(each.replicas, each.seconds) for each in paid_hours(of, fleet, Fraction(scale))]


def test_a_replica_that_always_runs_costs_every_hour() -> None:
    assert paid(traffic(hour(10), EMPTY, hour(3_600)), Dedicated(DOLLAR)) == [(1, 3_600)] * 3


def test_replicas_are_whole_and_as_many_as_the_busiest_moment_of_an_hour_needs() -> None:
    loads = traffic(hour(3_600), hour(3_601), hour(7_200), hour(7_201))
    assert [each for each, _ in paid(loads, Dedicated(DOLLAR))] == [1, 2, 2, 3]


def test_half_the_utilisation_takes_twice_the_replicas() -> None:
    assert paid(traffic(hour(3_600)), Dedicated(DOLLAR, utilisation_ppm=PPM // 2)) == [(2, 7_200)]


def test_spare_and_least_replicas_are_paid_too() -> None:
    assert paid(traffic(hour(1)), Dedicated(DOLLAR, min_replicas=3, spare=1)) == [(4, 14_400)]
    assert paid(traffic(hour(1)), Dedicated(DOLLAR, min_replicas=0)) == [(1, 3_600)]


def test_each_start_is_paid_for_its_warm_up() -> None:
    fleet = Dedicated(DOLLAR, warm_up_nanos=60 * NANOS)
    loads = (hour(1), hour(7_200), hour(1), hour(7_200))
    assert [seconds for _, seconds in paid(traffic(*loads), fleet)] == [3_660, 7_260, 3_600, 7_260]
    assert [seconds for _, seconds in paid(traffic(*loads, is_cycle=True), fleet)] == [3_600, 7_260, 3_600, 7_260]


def test_in_a_cycle_what_runs_at_its_end_need_not_start_at_its_beginning() -> None:
    fleet = Dedicated(DOLLAR, warm_up_nanos=60 * NANOS)
    assert paid(traffic(hour(7_200), hour(7_200), is_cycle=True), fleet) == [(2, 7_200)] * 2


def test_what_sleeps_is_paid_for_five_minutes_a_start_at_least() -> None:
    fleet = Dedicated(DOLLAR, sleep_after_nanos=0)
    assert paid(traffic(hour(2), EMPTY, EMPTY), fleet) == [(1, 600), (0, 0), (0, 0)]


def test_what_sleeps_is_paid_for_warm_up_service_and_idle_time_of_each_request() -> None:
    fleet = Dedicated(DOLLAR, warm_up_nanos=60 * NANOS, sleep_after_nanos=600 * NANOS)
    found = paid(traffic(hour(2, 10), EMPTY, EMPTY), fleet)
    assert found == [(1, 2 * (60 + 600 + 10) + 1), (1, 600), (0, 0)]


def test_what_sleeps_is_never_paid_for_more_than_the_hour() -> None:
    fleet = Dedicated(DOLLAR, warm_up_nanos=60 * NANOS, sleep_after_nanos=600 * NANOS, spare=1)
    assert paid(traffic(hour(100), EMPTY), fleet) == [(2, 7_200), (2, 1_200)]


def test_an_empty_first_hour_of_a_cycle_idles_after_the_last() -> None:
    fleet = Dedicated(DOLLAR, sleep_after_nanos=600 * NANOS)
    assert paid(traffic(EMPTY, hour(100), is_cycle=True), fleet)[0] == (1, 600)
    assert paid(traffic(EMPTY, hour(100)), fleet)[0] == (0, 0)


def test_amounts_round_half_to_even() -> None:
    (one,) = paid_hours(traffic(hour(1)), Dedicated(DOLLAR), Fraction(1))
    assert dedicated_nano(one, Dedicated(DOLLAR)) == DOLLAR
    assert serverless_nano(HourLoad(1, 1, 2_500), Fraction(1)) == 2
    assert serverless_nano(HourLoad(1, 1, 2_500), Fraction(3)) == 8


def test_the_smallest_load_that_pays_is_found() -> None:
    found = find_break_even(traffic(hour(1), is_cycle=True), Dedicated(DOLLAR), 1)
    assert (found.first, found.always, found.reason) == (1_000, 1_000, None)


def test_a_second_replica_may_lose_again() -> None:
    """One serves 1,100 requests for $1; with two, 1,101 requests for $2 lose until 2,000."""
    loads = Traffic((HourLoad(1, 1, 10**9),), 1_100, is_cycle=True)
    found = find_break_even(loads, Dedicated(DOLLAR), 1)
    assert found.first == 1_000
    assert found.always == 10_000


@pytest.mark.parametrize(
    ("loads", "reason"),
    [
        (traffic(EMPTY, EMPTY), Never.NO_TRAFFIC),
        (traffic(), Never.NO_TRAFFIC),
        (traffic(hour(1, pico_each=0)), Never.FREE),
        (Traffic((hour(1),), 1_000), Never.CAPACITY),
        (Traffic((hour(1),), 999), Never.CAPACITY),
    ],
)
def test_why_it_cannot_win(loads: Traffic, reason: Never) -> None:
    found = find_break_even(loads, Dedicated(DOLLAR), 1)
    assert (found.first, found.always, found.reason) == (None, None, reason)


def test_starts_can_eat_all_that_is_saved() -> None:
    """A full replica would save a tenth, but each busy hour begins with a start of half an hour."""
    spiky = Traffic((hour(1), EMPTY), 1_100)
    found = find_break_even(spiky, Dedicated(DOLLAR, warm_up_nanos=1_800 * NANOS), 1)
    assert (found.first, found.reason) == (None, Never.TOO_FAR)


def test_a_margin_too_thin_to_search_is_said_to_be_not_found() -> None:
    loads = Traffic((HourLoad(1, 10**6, 10**9), HourLoad(1, 10**6 + 7, 10**9)), 10**9 + 10**4)
    assert find_break_even(loads, Dedicated(DOLLAR, spare=9), 1).reason is Never.TOO_FAR


def test_where_it_loses_last_is_left_open_when_that_takes_too_long_to_find() -> None:
    loads = Traffic((HourLoad(32, 2_649, 785_940_432_472),), units_per_hour=10_000)
    found = find_break_even(loads, Dedicated(2_965_449_825, warm_up_nanos=NANOS), 1)
    assert found.first is not None
    assert (found.always, found.reason) == (None, None)


def test_it_may_win_somewhere_and_never_for_good() -> None:
    """What full replicas save is just what their starts cost: every load between two full ones loses."""
    spiky = Traffic((hour(1, pico_each=2 * 10**9), EMPTY), 1_000, is_cycle=True)
    found = find_break_even(spiky, Dedicated(DOLLAR, warm_up_nanos=3_600 * NANOS), 1)
    assert (found.first, found.always, found.reason) == (1_000, None, None)


LOADS = st.lists(
    st.builds(hour, st.integers(0, 40), st.integers(1, 90), st.integers(1, 40).map(lambda each: each * 10**8)),
    min_size=1,
    max_size=5,
)
FLEETS = st.builds(
    Dedicated,
    nano_per_hour=st.integers(1, 50).map(lambda each: each * 10**7),
    utilisation_ppm=st.integers(1, 10).map(lambda each: each * 100_000),
    min_replicas=st.integers(0, 2),
    spare=st.integers(0, 2),
    warm_up_nanos=st.integers(0, 3_600).map(lambda each: each * NANOS),
    sleep_after_nanos=st.none() | st.integers(0, 60).map(lambda each: each * 60 * NANOS),
)


def pays(loads: Traffic, fleet: Dedicated, scale: Fraction) -> bool:
    seconds = sum(each.seconds for each in paid_hours(loads, fleet, scale))
    owed = Fraction(seconds * fleet.nano_per_hour * PICO_PER_NANO, HOUR_SECONDS)
    return owed <= loads.serverless_pico * scale


@settings(deadline=None, max_examples=30)
@given(LOADS, FLEETS, st.booleans(), st.sampled_from([1, 4]))
def test_the_search_finds_what_trying_every_load_finds(
    loads: list[HourLoad], fleet: Dedicated, is_cycle: bool, parts: int
) -> None:
    of = traffic(*loads, is_cycle=is_cycle)
    found = find_break_even(of, fleet, parts)
    tried = [Fraction(load, parts) for load in range(1, 200)]
    winning = [scale for scale in tried if pays(of, fleet, scale)]
    if not any(each.requests for each in loads):
        assert (found.first, found.reason) == (None, Never.NO_TRAFFIC)
    elif winning:
        assert found.first == winning[0]
    else:
        assert found.first is None or found.first > tried[-1]
    if found.always is not None:
        assert all(scale in winning for scale in tried if scale >= found.always)
        before = found.always - Fraction(1, parts)
        assert before == 0 or not pays(of, fleet, before)


@settings(deadline=None)
@given(LOADS, FLEETS, st.integers(1, 30), st.integers(1, 30))
def test_more_throughput_is_never_dearer(loads: list[HourLoad], fleet: Dedicated, slow: int, more: int) -> None:
    def seconds(units: int) -> int:
        return sum(each.seconds for each in paid_hours(Traffic(tuple(loads), units), fleet, Fraction(1)))

    assert seconds((slow + more) * 100) <= seconds(slow * 100)


@settings(deadline=None)
@given(LOADS, FLEETS, st.integers(1, 20), st.integers(0, 20))
def test_more_traffic_is_never_cheaper(loads: list[HourLoad], fleet: Dedicated, load: int, more: int) -> None:
    of = traffic(*loads)
    less, greater = (
        sum(each.seconds for each in paid_hours(of, fleet, Fraction(scale))) for scale in (load, load + more)
    )
    assert less <= greater


@settings(deadline=None)
@given(LOADS, FLEETS, st.integers(1, 10**8))
def test_a_dearer_hour_never_breaks_even_earlier(loads: list[HourLoad], fleet: Dedicated, more: int) -> None:
    of = traffic(*loads)
    cheap = find_break_even(of, fleet, 1).first
    dear = find_break_even(of, replace(fleet, nano_per_hour=fleet.nano_per_hour + more), 1).first
    assert dear is None or (cheap is not None and cheap <= dear)


@settings(deadline=None)
@given(LOADS, FLEETS)
def test_replicas_are_whole_and_never_fewer_than_are_kept(loads: list[HourLoad], fleet: Dedicated) -> None:
    for load, (replicas, seconds) in zip(loads, paid(traffic(*loads), fleet), strict=True):
        kept = replicas == 0 and not seconds
        assert kept or replicas >= fleet.awake + fleet.spare
        assert kept or (replicas - fleet.spare) * UNITS * fleet.utilisation_ppm >= load.work * PPM
