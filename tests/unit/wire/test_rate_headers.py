"""Rate limit headers in the families that clients read."""

import pytest

from headrace.domain.rate_limit import LimitKind, Reading
from headrace.wire.rate_headers import ANTHROPIC_NAMES, NAMES, duration, rate_headers

NOW = 1_795_521_600_000_000  # 2026-11-24 12:00 UTC
SECOND = 1_000_000
MINUTE = Reading(LimitKind.REQUESTS_PER_MINUTE, 60, 58, 2 * SECOND)
DAY = Reading(LimitKind.REQUESTS_PER_DAY, 1000, 50, 3600 * SECOND)
TOKENS = Reading(LimitKind.TOKENS_PER_MINUTE, 9000, 8000, 6_666_667)
TOKENS_DAY = Reading(LimitKind.TOKENS_PER_DAY, 90_000, 90_000, 0)


def test_a_family_tells_of_its_tightest_limit_and_the_rest_is_silent() -> None:
    assert rate_headers([MINUTE, DAY], [], NOW, anthropic=False) == (
        ("x-ratelimit-limit-requests", "1000"),
        ("x-ratelimit-remaining-requests", "50"),
        ("x-ratelimit-reset-requests", "1795525200"),
    )
    assert rate_headers([], [], NOW, anthropic=True) == ()


def test_of_two_limits_with_as_much_left_the_slower_is_told() -> None:
    quick = Reading(LimitKind.TOKENS_PER_MINUTE, 100, 0, 60 * SECOND)
    slow = Reading(LimitKind.TOKENS_PER_DAY, 100, 0, 86_400 * SECOND)
    for order in ([quick, slow], [slow, quick]):
        assert dict(rate_headers([], order, NOW, anthropic=False))["x-ratelimit-reset-tokens"] == "24h0m0s"


def test_tokens_are_told_under_every_name() -> None:
    assert dict(rate_headers([], [TOKENS, TOKENS_DAY], NOW, anthropic=False)) == {
        "x-ratelimit-limit-tokens": "9000",
        "x-ratelimit-remaining-tokens": "8000",
        "x-ratelimit-reset-tokens": "7s",
        "x-ratelimit-limit-tokens-per-minute": "9000",
        "x-ratelimit-remaining-tokens-per-minute": "8000",
        "x-ratelimit-reset-tokens-per-minute": "1795521607",
        "x-ratelimit-limit-tokens-per-day": "90000",
        "x-ratelimit-remaining-tokens-per-day": "90000",
        "x-ratelimit-reset-tokens-per-day": "0",
    }


def test_anthropics_names_come_beside_them() -> None:
    told = dict(rate_headers([MINUTE], [TOKENS], NOW, anthropic=True))
    assert {name: value for name, value in told.items() if name.startswith("anthropic")} == {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "58",
        "anthropic-ratelimit-requests-reset": "2026-11-24T12:00:02.000000Z",
        "anthropic-ratelimit-tokens-limit": "9000",
        "anthropic-ratelimit-tokens-remaining": "8000",
        "anthropic-ratelimit-tokens-reset": "2026-11-24T12:00:06.666667Z",
    }
    assert set(told) <= {*NAMES, *ANTHROPIC_NAMES}


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (999_999, "1000ms"),
        (SECOND, "1s"),
        (SECOND + 1, "2s"),
        (60 * SECOND, "1m0s"),
        (3_723 * SECOND, "1h2m3s"),
    ],
)
def test_durations_are_written_as_openai_does(micros: int, text: str) -> None:
    assert duration(micros) == text
