"""Intervals: known values, edges, and that they hold what they are of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.intervals import Interval, mean_interval, quantile_interval, share_interval


def test_nothing_counted_has_no_interval() -> None:
    assert share_interval(0, 0) is None
    assert mean_interval([]) is None
    assert quantile_interval([], 0.5) is None


def test_a_share_has_wilsons_interval() -> None:
    # The textbook's case: 81 of 263.
    found = share_interval(81, 263)
    assert found is not None
    assert found.value == pytest.approx(0.30798, abs=1e-5)
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))


def test_no_hit_and_only_hits_stay_within_0_and_1() -> None:
    none, all_of_them = share_interval(0, 20), share_interval(20, 20)
    assert none is not None
    assert all_of_them is not None
    assert none.low == 0.0
    assert 0 < none.high < 0.2
    assert all_of_them.high == 1.0
    assert 0.8 < all_of_them.low < 1


def test_few_values_that_are_all_alike_prove_little() -> None:
    one, three = mean_interval([1.0]), mean_interval([1.0] * 3)
    assert one is not None
    assert three is not None
    assert (one.value, one.high, three.high) == (1.0, 1.0, 1.0)
    assert 0.1 < one.low < 0.2
    assert 0.3 < three.low < 0.4


def test_a_mean_of_nothing_but_0_and_1_has_agresti_and_coulls_interval() -> None:
    # Four more values, two of them hits: 5 + 2 of 10 + 4 is a half, and its deviation is 0.5.
    found = mean_interval([0.0, 1.0] * 5)
    assert found is not None
    assert (found.value, found.high - found.value) == (0.5, pytest.approx(1.959964 * 0.5 / 14**0.5))
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_many_values_have_the_normal_interval() -> None:
    found = mean_interval([0.2, 0.4, 0.6, 0.8] * 5_000)
    assert found is not None
    assert found.high - found.low == pytest.approx(2 * 1.959964 * 0.05**0.5 / 20_000**0.5, rel=0.01)


def test_a_mean_stays_within_its_bounds() -> None:
    found = mean_interval([-1.0] * 4, -1, 1)
    assert found is not None
    assert (found.value, found.low) == (-1.0, -1.0)
    assert 0 < found.high < 0.2, "four of four may be chance"


def test_a_quantile_lies_between_order_statistics() -> None:
    values = [float(each) for each in range(1, 1001)]
    assert quantile_interval(values, 0.5) == Interval(501.0, 470.0, 532.0)
    found = quantile_interval(values, 0.99)
    assert found is not None
    assert (found.value, found.high) == (991.0, 998.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.floats(0, 1))
def test_intervals_hold_their_value(values: list[float], share: float) -> None:
    for found in (mean_interval(values), quantile_interval(values, share)):
        assert found is not None
        assert 0 <= found.low <= found.value + 1e-9
        assert found.value <= found.high + 1e-9 <= 1 + 1e-9


@given(st.integers(0, 500).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilsons_interval_holds_the_share(counted: tuple[int, int]) -> None:
    hits, total = counted
    found = share_interval(hits, total)
    assert (found is None) == (total == 0)
    assert found is None or 0 <= found.low <= found.value + 1e-12 <= found.high + 2e-12 <= 1 + 2e-12
