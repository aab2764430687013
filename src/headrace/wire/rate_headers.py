"""Headers that say where rate limits stand, in the families that clients know.

DigitalOcean and OpenAI both have `x-ratelimit-reset-requests`: an epoch time for the one, a duration for the other.
Here it is an epoch time, like the two others of its family; the `-tokens` names are OpenAI's alone and written its way.

Source: https://docs.digitalocean.com/products/inference/reference/quota-specific-response-headers/; OpenAI API, "Rate
limits in headers"; Anthropic API, "Response headers" (read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.rate_limit import LimitKind, Reading
from headrace.wire.iso_time import iso_time

Headers = tuple[tuple[str, str], ...]

MICROS = 1_000_000
_REQUESTS, _TOKENS, _MINUTE, _DAY = (
    (f"x-ratelimit-limit-{what}", f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}")
    for what in ("requests", "tokens", "tokens-per-minute", "tokens-per-day")
)
_ANTHROPIC_REQUESTS, _ANTHROPIC_TOKENS = (
    (
        f"anthropic-ratelimit-{what}-limit",
        f"anthropic-ratelimit-{what}-remaining",
        f"anthropic-ratelimit-{what}-reset",
    )
    for what in ("requests", "tokens")
)
NAMES = (*_REQUESTS, *_TOKENS, *_MINUTE, *_DAY)
ANTHROPIC_NAMES = (*_ANTHROPIC_REQUESTS, *_ANTHROPIC_TOKENS)


def rate_headers(
    requests: Sequence[Reading], tokens: Sequence[Reading], unix_micros: int, *, anthropic: bool
) -> Headers:
    """Return the headers for the tightest limit of each family; a family without a limit has none.

    `anthropic` adds Anthropic's names.
    """
    headers: list[tuple[str, str]] = []
    if requests:
        tightest = _tightest(requests)
        headers += _told(_REQUESTS, tightest, _epoch(tightest, unix_micros))
        if anthropic:
            headers += _told(_ANTHROPIC_REQUESTS, tightest, iso_time(unix_micros + tightest.full_in_micros))
    if tokens:
        tightest = _tightest(tokens)
        headers += _told(_TOKENS, tightest, duration(tightest.full_in_micros))
        if anthropic:
            headers += _told(_ANTHROPIC_TOKENS, tightest, iso_time(unix_micros + tightest.full_in_micros))
        for kind, names in ((LimitKind.TOKENS_PER_MINUTE, _MINUTE), (LimitKind.TOKENS_PER_DAY, _DAY)):
            of_kind = [each for each in tokens if each.kind is kind]
            if of_kind:
                tightest = _tightest(of_kind)
                headers += _told(names, tightest, _epoch(tightest, unix_micros))
    return tuple(headers)


def duration(micros: int) -> str:
    """Return a duration as OpenAI writes it, rounded up to whole seconds from one second on: 250ms, 6m0s, 1h2m3s."""
    if micros < MICROS:
        return f"{-(-micros // 1000)}ms" if micros > 0 else "0s"
    minutes, seconds = divmod(-(-micros // MICROS), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def _told(names: tuple[str, str, str], reading: Reading, reset: str) -> Headers:
    limit, remaining, reset_name = names
    return (limit, str(reading.limit)), (remaining, str(reading.left)), (reset_name, reset)


def _epoch(reading: Reading, unix_micros: int) -> str:
    return str(-(-(unix_micros + reading.full_in_micros) // MICROS)) if reading.full_in_micros else "0"


def _tightest(readings: Sequence[Reading]) -> Reading:
    """Of several limits the one with the least left is told, and of equals the one that takes longest to fill."""
    if len(readings) == 1:
        return readings[0]
    return min(readings, key=lambda each: (each.left, -each.full_in_micros))
