"""Questions about usage as they are typed: times, groups, filters, pages; and every refusal with value and fix."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from headrace.domain.errors import InvalidRequest
from headrace.domain.usage_report import HOUR_MICROS, Dimension, Interval, UsageQuestion
from headrace.wire.usage_query import page_of, read_usage_question, wants_csv

NOW = 1_795_521_600_000_000 + 25 * 60 * 1_000_000  # 2026-11-24 12:25 UTC


def read(**given: str | list[str]) -> UsageQuestion:
    return read_usage_question(listed(given), NOW)


def listed(given: dict[str, str | list[str]]) -> dict[str, list[str]]:
    return {name.rstrip("_"): [value] if isinstance(value, str) else value for name, value in given.items()}


def span(question: UsageQuestion) -> tuple[str, str]:
    first, last = (datetime.fromtimestamp(each // 1_000_000, UTC) for each in question.span)
    return f"{first:%Y-%m-%d %H:%M}", f"{last:%Y-%m-%d %H:%M}"


def test_without_a_word_it_is_the_last_thirty_days_by_day_in_utc() -> None:
    question = read()
    assert span(question) == ("2026-10-25 00:00", "2026-11-24 13:00")
    assert (question.interval, question.zone, len(question.spans)) == (Interval.DAY, "UTC", 31)
    assert (question.group_by, question.filters, question.tag_name, question.key_id) == ((), (), None, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"from_": "2026-11-01", "to": "2026-11-03"}, ("2026-11-01 00:00", "2026-11-03 00:00")),
        (
            {"from_": "2026-11-01", "to": "2026-11-03", "zone": "Europe/Berlin"},
            ("2026-10-31 23:00", "2026-11-02 23:00"),
        ),
        (
            {"from_": "2026-11-24T01:00:00+02:00", "to": "2026-11-24T05:00Z"},
            ("2026-11-23 23:00", "2026-11-24 05:00"),
        ),
        ({"from_": "24h"}, ("2026-11-23 13:00", "2026-11-24 13:00")),
        ({"from_": "7d"}, ("2026-11-17 00:00", "2026-11-24 13:00")),
        ({"from_": "0d"}, ("2026-11-24 00:00", "2026-11-24 13:00")),
        ({"from_": "1d", "to": "2026-11-20"}, ("2026-11-18 00:00", "2026-11-20 00:00")),
        ({"from_": "1d", "zone": "Asia/Tokyo"}, ("2026-11-22 15:00", "2026-11-24 13:00")),
    ],
)
def test_times_are_dates_of_the_zone_whole_hours_or_so_far_back(
    given: dict[str, str], expected: tuple[str, str]
) -> None:
    assert span(read(**given)) == expected


def test_groups_come_in_the_order_in_which_they_were_named() -> None:
    assert read(group_by=["team,model", "status"]).group_by == (Dimension.TEAM, Dimension.MODEL, Dimension.STATUS)
    question = read(group_by="tag:project")
    assert (question.group_by, question.tag_name) == ((Dimension.TAG,), "project")


def test_filters_are_values_of_dimensions_an_empty_one_too() -> None:
    question = read(model=["b", "a", "b"], deployment="", status="upstream_stalled", tag="project=search")
    assert question.filters == (
        (Dimension.MODEL, ("b", "a")),
        (Dimension.DEPLOYMENT, ("",)),
        (Dimension.TAG, ("project=search",)),
        (Dimension.STATUS, ("upstream_stalled",)),
    )


@pytest.mark.parametrize(
    ("given", "param", "said"),
    [
        ({"interval": "week"}, "interval", 'one of hour, day, month, total, not "week"'),
        ({"interval": "dy"}, "interval", 'Did you mean "day"?'),
        ({"zone": "Mars/Base"}, "zone", '"UTC" or "Europe/Berlin", not "Mars/Base"'),
        ({"zone": "../../etc/passwd"}, "zone", "the name of a time zone"),
        ({"zone": "Asia/Kolkata", "from_": "2026-11-01"}, "from", "days of Asia/Kolkata begin beside it"),
        ({"zone": "Asia/Kolkata", "from_": "2026-11-01T05:30Z"}, "from", "by the hour: 2026-11-01T05:00Z"),
        ({"zone": "Asia/Kolkata", "from_": "24h"}, "zone", "ask with"),
        ({"group_by": "modelx"}, "group_by", 'Did you mean "model"?'),
        ({"group_by": "modelx"}, "group_by", '"group_by" (--by) must be'),
        ({"group_by": "model,model"}, "group_by", 'names "model" twice'),
        ({"group_by": "model:x"}, "group_by", '"tag:NAME" where only tags'),
        ({"group_by": "tag:"}, "group_by", '"tag:NAME" where only tags'),
        ({"from_": "2026-13-01"}, "from", "a date like 2026-11-24"),
        ({"from_": "2026-02-30"}, "from", 'not "2026-02-30"'),
        ({"from_": "yesterday"}, "from", 'not "yesterday"'),
        ({"from_": "2026-11-24T10:30:00Z"}, "from", "2026-11-24T10:00Z, for example"),
        ({"from_": "2026-11-24T10:00:00"}, "from", "2026-11-24T14:00:00Z"),
        ({"from_": "1969-12-31"}, "from", 'not "1969-12-31"'),
        ({"from_": "0001-01-01T00:00:00+20:00"}, "from", "must be a date"),
        ({"from_": "999999d"}, "from", 'not "999999d"'),
        ({"from_": "99999d"}, "from", 'not "99999d"'),
        ({"to": "24h"}, "to", 'not "24h"'),
        ({"from_": "2026-11-03", "to": "2026-11-03"}, "from", "must lie before"),
        ({"from_": "2026-11-04", "to": "2026-11-03"}, "from", '"2026-11-04" is 2026-11-04T00:00Z'),
        ({"from_": "2020-01-01", "interval": "hour"}, "interval", "More than 1,000 spans"),
        ({"from_": ["1d", "2d"]}, "from", "stands twice"),
        ({"status": "completex"}, "status", 'Did you mean "complete"?'),
        ({"status": "lost"}, "status", "or an error code"),
        ({"tag": ["a", "b"]}, "tag", "may stand once"),
        ({"model": "x" * 513}, "model", "at most 512 characters"),
        ({"model": "a\0b"}, "model", "at most 512 characters"),
        ({"model": [str(number) for number in range(51)]}, "model", "50 times, not 51"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_value_and_fix(
    given: dict[str, str | list[str]], param: str, said: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**given)
    assert caught.value.param == param
    assert said in caught.value.message


def test_pages_are_numbers_in_their_range() -> None:
    assert page_of({}) == (1, 100)
    assert page_of({"page": ["3"], "limit": ["1000"]}) == (3, 1_000)
    for name, value in (("page", "0"), ("limit", "1001"), ("limit", "-1"), ("page", "1e3"), ("page", "٣")):
        with pytest.raises(InvalidRequest, match=f'"{name}" must be a whole number'):
            page_of({name: [value]})


@pytest.mark.parametrize(
    ("given", "accepts", "csv"),
    [
        ({}, "", False),
        ({}, "*/*", False),
        ({}, "text/csv", True),
        ({}, "text/csv; charset=utf-8, */*;q=0.1", True),
        ({}, "application/json, text/csv", False),
        ({"format": ["csv"]}, "application/json", True),
        ({"format": ["json"]}, "text/csv", False),
    ],
)
def test_csv_is_asked_for_by_format_or_by_accept(given: dict[str, list[str]], accepts: str, csv: bool) -> None:
    assert wants_csv(given, accepts) is csv


def test_another_format_is_refused() -> None:
    with pytest.raises(InvalidRequest, match='"format" must be one of json, csv, not "xlsx"'):
        wants_csv({"format": ["xlsx"]}, "")


def test_every_whole_hour_is_one() -> None:
    assert read(from_="2026-11-24T00:00Z").span[0] % HOUR_MICROS == 0


@pytest.mark.parametrize("interval", ["hour", "day", "month", "total"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_the_end_of_the_calendar_is_refused(interval: str, zone: str) -> None:
    for day in ("9999-12-31", "9999-12-31T23:00:00Z"):
        with pytest.raises(InvalidRequest, match=f'"to" \\(--until\\) must be .*, not "{day}"'):
            read(from_="24h", to=day, interval=interval, zone=zone)
