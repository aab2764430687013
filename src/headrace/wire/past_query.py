"""Reads which part of the past is meant: since when, until when, the newest how many requests."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonValue
from headrace.wire.openai_chat import show

DEFAULT_SINCE = "7d"
MICROS = 1_000_000
_BACK = re.compile(r"([0-9]{1,5})([hd])")
_SECONDS_HOUR, _SECONDS_DAY = 3_600, 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHEN = '"7d" or "24h", which is so long ago, or a time like 2026-11-24 or 2026-11-24T14:30:00Z'


def read_since(value: JsonValue, now_micros: int) -> int:
    """Return the moment from which requests are meant, in microseconds; raises InvalidRequest. Left out, a week ago."""
    text = DEFAULT_SINCE if value is None else value
    found = _moment(text, now_micros) if isinstance(text, str) else None
    if found is None or found > now_micros:
        raise _wrong("since", value, _WHEN)
    return found


def read_until(value: JsonValue, since_micros: int, now_micros: int) -> int:
    """Return the moment before which requests are meant; raises InvalidRequest. Left out, now."""
    if value is None:
        return now_micros + 1
    found = _moment(value, now_micros) if isinstance(value, str) else None
    if found is None:
        raise _wrong("until", value, _WHEN)
    if found <= since_micros:
        raise InvalidRequest('"until" must be later than "since".', param="until")
    return found


def read_limit(value: JsonValue, default: int, most: int) -> int:
    """Return how many requests are meant at the most; raises InvalidRequest."""
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    raise _wrong("limit", value, f"a whole number from 1 to {most:,}")


def _moment(text: str, now_micros: int) -> int | None:
    back = _BACK.fullmatch(text)
    if back is not None:
        seconds = int(back[1]) * (_SECONDS_HOUR if back[2] == "h" else _SECONDS_DAY)
        return max(0, now_micros - seconds * MICROS)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    zoned = found.replace(tzinfo=UTC) if len(text) == len("2026-11-24") and found.tzinfo is None else found
    return None if zoned.tzinfo is None else max(0, (zoned - _EPOCH) // timedelta(microseconds=1))


def _wrong(name: str, value: JsonValue, wanted: str) -> InvalidRequest:
    return InvalidRequest(f'"{name}" must be {wanted}, not {show(value)}.', param=name)
