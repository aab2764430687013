"""Moments in our own fields."""

import pytest

from headrace.wire.iso_time import iso_time, iso_time_or_none


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_795_529_391_123_456, "2026-11-24T14:09:51.123456Z"),
        (1_795_529_391_000_001, "2026-11-24T14:09:51.000001Z"),
    ],
)
def test_a_moment_has_six_decimal_places_and_no_offset(micros: int, text: str) -> None:
    assert iso_time(micros) == text
    assert iso_time_or_none(micros) == text


def test_what_did_not_come_has_no_time() -> None:
    assert iso_time_or_none(None) is None
