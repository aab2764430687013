"""Windows: they follow one another without a gap, in every zone and over every change of clocks."""

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.budget import MICROS, Budget, BudgetMode, Span, Window, budget_of, is_zone, window_bounds

LORD_HOWE, PYONGYANG = "Australia/Lord_Howe", "Asia/Pyongyang"
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Africa/Cairo",
    "Pacific/Apia",
    LORD_HOWE,
    PYONGYANG,
)
# Where a zone's clock is set half an hour on or back: at the end of an hour of its own, or in the middle of one.
CHANGES = (
    (LORD_HOWE, "2026-04-04T15:00:00+00:00"),
    (LORD_HOWE, "2026-10-03T15:30:00+00:00"),
    (PYONGYANG, "2015-08-14T15:00:00+00:00"),
    (PYONGYANG, "2018-05-04T15:00:00+00:00"),
)
FIRST, LAST = 1_262_304_000, 1_893_456_000


def micros(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp()) * MICROS


@pytest.mark.parametrize(
    ("window", "zone", "at", "starts", "ends"),
    [
        ("hour", "UTC", "2026-11-24T12:59:59+00:00", "2026-11-24T12:00:00+00:00", "2026-11-24T13:00:00+00:00"),
        ("hour", "Asia/Kolkata", "2026-11-24T12:10:00+00:00", "2026-11-24T11:30:00+00:00", "2026-11-24T12:30:00+00:00"),
        ("day", "Europe/Berlin", "2026-11-24T23:30:00+00:00", "2026-11-25T00:00:00+01:00", "2026-11-26T00:00:00+01:00"),
        ("day", "Europe/Berlin", "2026-03-29T12:00:00+02:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("week", "UTC", "2026-11-29T23:59:59+00:00", "2026-11-23T00:00:00+00:00", "2026-11-30T00:00:00+00:00"),
        ("month", "UTC", "2026-12-31T23:59:59+00:00", "2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("month", "UTC", "2028-02-29T10:00:00+00:00", "2028-02-01T00:00:00+00:00", "2028-03-01T00:00:00+00:00"),
    ],
)
def test_windows_begin_and_end_where_the_zone_says(window: str, zone: str, at: str, starts: str, ends: str) -> None:
    assert window_bounds(Window(window), ZoneInfo(zone), micros(at)) == (micros(starts), micros(ends))


@given(
    window=st.sampled_from([Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH]),
    zone=st.sampled_from(ZONES),
    at=st.integers(FIRST * MICROS, LAST * MICROS),
)
def test_every_moment_lies_in_one_window_and_the_next_begins_where_it_ends(window: Window, zone: str, at: int) -> None:
    starts, ends = window_bounds(window, ZoneInfo(zone), at)
    assert starts is not None
    assert ends is not None
    assert starts <= at < ends
    assert window_bounds(window, ZoneInfo(zone), ends)[0] == ends
    assert window_bounds(window, ZoneInfo(zone), ends - 1) == (starts, ends)
    assert window_bounds(window, ZoneInfo(zone), starts) == (starts, ends)


@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_hours_do_not_overlap_where_the_clock_is_set_by_half_an_hour(zone: str, change: str) -> None:
    began = micros(change) - 3 * 3_600 * MICROS
    moments = [began + minute * 60 * MICROS for minute in range(6 * 60)]
    windows = list(dict.fromkeys(window_bounds(Window.HOUR, ZoneInfo(zone), each) for each in moments))
    assert [ends for _, ends in windows[:-1]] == [starts for starts, _ in windows[1:]]
    minutes = [((ends or 0) - (starts or 0)) // (60 * MICROS) for starts, ends in windows]
    assert (sorted(minutes)[0], sorted(minutes)[1:]) == (30, [60] * (len(minutes) - 1))
    assert micros(change) in [starts for starts, _ in windows]


def test_each_window_is_a_scope_of_its_own() -> None:
    budget = Budget("bud_1", "platform", Window.DAY, "Europe/Berlin", 5, BudgetMode.REJECT, 0, 0)
    noon = micros("2026-11-24T12:00:00+01:00")
    span = budget.span_at(noon)
    assert span.scope == "budget:bud_1:2026-11-23T23:00Z"
    assert span.holds(noon)
    assert not span.holds(noon + 86_400 * MICROS)
    assert budget_of(span.scope) == "bud_1"
    assert budget_of("key:k1") is None


def test_a_budget_in_all_has_one_window() -> None:
    budget = Budget("bud_1", "platform", Window.TOTAL, "UTC", 5, BudgetMode.REJECT, 0, 0)
    assert budget.span_at(0) == budget.span_at(LAST * MICROS) == Span("budget:bud_1:total", None, None)
    assert budget.span_at(0).holds(LAST * MICROS)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "CET"])
def test_zones_are_known_by_their_names(name: str) -> None:
    assert is_zone(name)


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "Europe", "../UTC", "/etc/localtime", "x\0y", "z" * 5000, "+01:00", "Europe/Berlin "]
)
def test_what_is_no_zone_is_told_apart(name: str) -> None:
    assert not is_zone(name)
