"""Failures are counted by model, provider and platform, over the last seconds of a clock that nobody sets."""

from __future__ import annotations

import pytest

from headrace.ports.observer import AttemptEnd
from headrace.services.error_rates import MOST_SCOPES, ErrorRates, is_failure
from headrace.testing.clock import FakeClock


def ended(error_code: str | None = None, model: str = "m", provider: str = "p") -> AttemptEnd:
    return AttemptEnd(
        request_id="req_1",
        attempt_id="att_1",
        operation="chat",
        model_id=model,
        provider=provider,
        ending="complete",
        error_code=error_code,
        first_event_seconds=None,
        duration_seconds=0.1,
        usage=None,
        cost_nano=0,
        charge_nano=0,
    )


@pytest.mark.parametrize(
    ("code", "is_bad"),
    [
        (None, False),
        ("client_closed", False),
        ("slow_reader", False),
        ("upstream_refused", False),
        ("budget_exceeded", False),
        ("model_not_found", False),
        ("upstream_rate_limited", True),
        ("upstream_unavailable", True),
        ("upstream_timeout", True),
        ("upstream_stalled", True),
        ("upstream_truncated", True),
        ("upstream_auth_failed", True),
        ("engine_unavailable", True),
        ("internal_error", True),
        ("something_new", True),
    ],
)
def test_whose_fault_a_code_is(code: str | None, is_bad: bool) -> None:
    assert is_failure(code) is is_bad


def test_every_scope_counts_its_own() -> None:
    rates = ErrorRates(FakeClock())
    for end in (ended(), ended("upstream_timeout"), ended(model="other"), ended("internal_error", provider="q")):
        rates.attempt_ended(end)
    assert rates.count("platform", 60) == (4, 2)
    assert rates.count("model:m", 60) == (3, 2)
    assert rates.count("model:other", 60) == (1, 0)
    assert rates.count("provider:p", 60) == (3, 1)
    assert rates.count("provider:nobody", 60) == (0, 0)


def test_an_attempt_that_the_stop_of_the_process_ends_is_not_counted() -> None:
    rates = ErrorRates(FakeClock())
    rates.attempt_ended(ended("shutting_down"))
    assert rates.count("platform", 60) == (0, 0)


def test_what_is_older_than_the_window_is_out() -> None:
    clock = FakeClock(monotonic_seconds=1000)
    rates = ErrorRates(clock)
    for _ in range(12):
        rates.attempt_ended(ended("upstream_timeout"))
        clock.advance(10)
    rates.attempt_ended(ended())
    assert rates.count("model:m", 60) == (6, 5)
    assert rates.count("model:m", 120) == (12, 11)
    clock.advance(3600)
    assert rates.count("model:m", 3600) == (0, 0)


def test_a_clock_that_is_set_changes_nothing() -> None:
    clock = FakeClock()
    rates = ErrorRates(clock)
    rates.attempt_ended(ended("upstream_timeout"))
    for seconds in (86_400, -2 * 86_400):
        clock.jump(seconds)
        assert rates.count("platform", 60) == (1, 1)


def test_an_hour_is_kept_and_no_more() -> None:
    clock = FakeClock(monotonic_seconds=0)
    rates = ErrorRates(clock)
    for _ in range(1000):
        rates.attempt_ended(ended())
        clock.advance(10)
    assert rates.count("platform", 3600) == (359, 0)
    assert sum(len(each.buckets) for each in rates._counts.values()) == 3 * 360  # pyright: ignore[reportPrivateUsage] - its memory is what is tested


def test_names_that_are_made_up_do_not_fill_the_memory() -> None:
    rates = ErrorRates(FakeClock())
    for number in range(MOST_SCOPES):
        rates.attempt_ended(ended(model=f"m{number}"))
    rates.attempt_ended(ended("upstream_timeout", model="one more"))
    assert rates.count("platform", 60) == (MOST_SCOPES + 1, 1)
    assert rates.count("model:one more", 60) == (0, 0)
