"""Which part of the past is meant, as people write it."""

from __future__ import annotations

import pytest

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonValue
from headrace.wire.past_query import read_limit, read_since, read_until

NOW = 1_795_521_600_000_000  # 2026-11-24 12:00 UTC
HOUR = 3_600_000_000


@pytest.mark.parametrize(
    ("text", "hours_ago"),
    [
        (None, 7 * 24),
        ("7d", 7 * 24),
        ("24h", 24),
        ("0h", 0),
        ("2026-11-24", 12),
        ("2026-11-24T11:00:00Z", 1),
        ("2026-11-24T11:00:00+02:00", 3),
    ],
)
def test_a_moment_is_so_long_ago_or_a_time(text: str | None, hours_ago: int) -> None:
    assert read_since(text, NOW) == NOW - hours_ago * HOUR


def test_what_lies_before_all_time_is_the_beginning() -> None:
    assert read_since("99999d", NOW) == read_since("1969-01-01", NOW) == 0


@pytest.mark.parametrize("value", ["soon", "7 d", "", 7, True, [], "2026-11-24T11:00:00", "2026-11-25", "999999d"])
def test_what_is_no_moment_of_the_past_is_told(value: JsonValue) -> None:
    with pytest.raises(InvalidRequest, match='"since" must be "7d" or "24h"') as caught:
        read_since(value, NOW)
    assert caught.value.param == "since"


def test_until_is_now_unless_it_is_said() -> None:
    assert read_until(None, 0, NOW) == NOW + 1
    assert read_until("1d", 0, NOW) == NOW - 24 * HOUR


@pytest.mark.parametrize(("value", "says"), [("1d", "must be later"), ("x", 'must be "7d"'), (1, 'must be "7d"')])
def test_until_is_after_since(value: JsonValue, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        read_until(value, NOW - HOUR, NOW)


def test_a_limit_is_a_number_in_its_range() -> None:
    assert [read_limit(each, 10, 50) for each in (None, 1, 50)] == [10, 1, 50]
    for value in (0, 51, 1.5, True, "5"):
        with pytest.raises(InvalidRequest, match="a whole number from 1 to 50"):
            read_limit(value, 10, 50)
