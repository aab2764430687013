"""Retries of deliveries: twice as long each time, never all at once, and for about a day."""

import pytest

from headrace.domain.webhook import DRAWS, MOST_ATTEMPTS, DeliveryState, retry_seconds, state_after


@pytest.mark.parametrize(
    ("status", "attempts", "state"),
    [
        (200, 1, DeliveryState.DELIVERED),
        (204, MOST_ATTEMPTS, DeliveryState.DELIVERED),
        (302, 1, DeliveryState.PENDING),
        (404, 1, DeliveryState.PENDING),
        (500, MOST_ATTEMPTS - 1, DeliveryState.PENDING),
        (500, MOST_ATTEMPTS, DeliveryState.FAILED),
        (None, 1, DeliveryState.PENDING),
        (None, MOST_ATTEMPTS, DeliveryState.FAILED),
        (410, 1, DeliveryState.FAILED),
    ],
)
def test_what_a_status_means(status: int | None, attempts: int, state: DeliveryState) -> None:
    assert state_after(status, attempts) is state


def test_waits_double_up_to_an_hour() -> None:
    assert [retry_seconds(attempts, 0) for attempts in (1, 2, 3, 10, 11, 31, 10_000)] == [
        5.0,
        10.0,
        20.0,
        2560.0,
        3600.0,
        3600.0,
        3600.0,
    ]


def test_chance_takes_off_less_than_half() -> None:
    waits = [retry_seconds(4, draw) for draw in range(DRAWS)]
    assert waits == sorted(waits, reverse=True)
    assert (waits[0], len(set(waits))) == (40.0, DRAWS)
    assert waits[-1] > 20.0


def test_the_longest_schedule_is_about_a_day() -> None:
    longest = sum(retry_seconds(attempts, 0) for attempts in range(1, MOST_ATTEMPTS))
    assert 22 * 3600 < longest < 25 * 3600
