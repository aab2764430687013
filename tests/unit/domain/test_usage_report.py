"""Spans of a report: hours, days and months of a zone, cut at both ends, and what cannot be asked."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.errors import InvalidRequest
from headrace.domain.usage_report import HOUR_MICROS, MOST_SPANS, Interval, spans_between

BERLIN = "Europe/Berlin"


def micros(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


def starts(interval: Interval, zone: str, first: str, last: str) -> list[str]:
    spans = spans_between(interval, zone, micros(first, zone), micros(last, zone))
    return [datetime.fromtimestamp(each[0] // 1_000_000, UTC).strftime("%Y-%m-%d %H") for each in spans]


def test_days_begin_at_midnight_of_the_zone_also_where_clocks_change() -> None:
    days = starts(Interval.DAY, BERLIN, "2026-10-24", "2026-10-27")
    assert days == ["2026-10-23 22", "2026-10-24 22", "2026-10-25 23"]
    spans = spans_between(Interval.DAY, BERLIN, micros("2026-10-25", BERLIN), micros("2026-10-26", BERLIN))
    assert [(ends - begins) // HOUR_MICROS for begins, ends in spans] == [25]


def test_months_are_calendar_months_and_cut_at_both_ends() -> None:
    months = starts(Interval.MONTH, "UTC", "2026-01-15", "2026-03-02")
    assert months == ["2026-01-15 00", "2026-02-01 00", "2026-03-01 00"]


def test_the_total_is_one_span_whatever_the_zone() -> None:
    assert spans_between(Interval.TOTAL, "Asia/Kolkata", 0, HOUR_MICROS) == ((0, HOUR_MICROS),)


@pytest.mark.parametrize("interval", [Interval.HOUR, Interval.DAY])
def test_a_zone_between_whole_hours_is_refused_with_the_fix(interval: Interval) -> None:
    with pytest.raises(InvalidRequest, match=r'"Asia/Kolkata" begin between them: ask with "zone" UTC') as caught:
        spans_between(interval, "Asia/Kolkata", 0, 50 * HOUR_MICROS)
    assert caught.value.param == "zone"


def test_too_many_spans_are_refused_with_the_fix() -> None:
    assert len(spans_between(Interval.HOUR, "UTC", 0, MOST_SPANS * HOUR_MICROS)) == MOST_SPANS
    with pytest.raises(InvalidRequest, match="More than 1,000 spans of one hour") as caught:
        spans_between(Interval.HOUR, "UTC", 0, (MOST_SPANS + 1) * HOUR_MICROS)
    assert caught.value.param == "interval"


@given(
    st.sampled_from(tuple(Interval)),
    st.sampled_from(("UTC", BERLIN, "America/Los_Angeles", "Pacific/Kiritimati")),
    st.integers(400_000, 600_000),
    st.integers(1, 900),
)
def test_spans_follow_each_other_from_the_beginning_to_the_end(
    interval: Interval, zone: str, first: int, hours: int
) -> None:
    begins, ends = first * HOUR_MICROS, (first + hours) * HOUR_MICROS
    spans = spans_between(interval, zone, begins, ends)
    assert spans[0][0] == begins and spans[-1][1] == ends
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert all(one < other and not one % HOUR_MICROS for one, other in spans)
