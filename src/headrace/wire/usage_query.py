"""Reads a question about usage from a query string: every name known, every value in its range, times made exact."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import TypeAlias
from zoneinfo import ZoneInfo

from headrace.domain.budget import is_zone
from headrace.domain.errors import InvalidRequest
from headrace.domain.names import did_you_mean
from headrace.domain.usage_report import (
    HOUR_MICROS,
    Dimension,
    Interval,
    TimeSpan,
    UsageQuestion,
    spans_between,
)
from headrace.wire.error_codes import STATUSES as CODES

Given: TypeAlias = Mapping[str, Sequence[str]]

FIELDS = frozenset({"from", "to", "interval", "zone", "group_by", "format", "page", "limit", *Dimension})
FORMATS = ("json", "csv")
# What the command calls those fields that it calls otherwise.
FLAGS = MappingProxyType({"from": "--since", "to": "--until", "group_by": "--by"})
DEFAULT_ZONE = "UTC"
DEFAULT_FROM = "30d"
DEFAULT_LIMIT, MAX_LIMIT = 100, 1_000
MOST_VALUES, LONGEST_VALUE = 50, 512
MOST_BACK = 100_000
SHOWN = 60
MICROS = 1_000_000
# What an attempt ended with: these, else the code of the error that ended it. What replicas cost is no attempt.
ENDINGS = ("complete", "voided", "recovered", "client_closed", "slow_reader", "shutting_down", "replica")
_BACK = re.compile(r"([0-9]{1,6})([hd])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CODES = frozenset(CODES)
_ZERO = datetime(1970, 1, 1, tzinfo=UTC)
# What follows a moment, in any zone, must lie in the calendar too.
_LAST_YEAR = datetime(9999, 1, 1, tzinfo=UTC)
_WHEN = 'a date like 2026-11-24, a whole hour like 2026-11-24T14:00:00Z, or "30d" or "24h" before the end'


def read_usage_question(given: Given, now_micros: int) -> UsageQuestion:
    """Return the question; raises InvalidRequest naming the field, its value and what belongs there."""
    zone = _zone(given)
    span = _span(given, zone, now_micros)
    interval = Interval(_choice(given, "interval", tuple(Interval), Interval.DAY))
    group_by, tag_name = _groups(given)
    return UsageQuestion(
        interval=interval,
        zone=zone,
        spans=spans_between(interval, zone, *span),
        group_by=group_by,
        tag_name=tag_name,
        filters=tuple((each, _values(given, each)) for each in Dimension if each in given),
    )


def wants_csv(given: Given, accepts: str) -> bool:
    """Whether the report is wanted as CSV, by `format` or else by what the caller accepts; raises InvalidRequest."""
    if "format" in given:
        return _choice(given, "format", FORMATS, "json") == "csv"
    kinds = [part.partition(";")[0].strip().lower() for part in accepts.split(",")]
    return "text/csv" in kinds and "application/json" not in kinds


def page_of(given: Given) -> tuple[int, int]:
    """Return the number of the page and how many rows it has; raises InvalidRequest."""
    return _number(given, "page", 1, 1_000_000), _number(given, "limit", DEFAULT_LIMIT, MAX_LIMIT)


def _zone(given: Given) -> str:
    zone = _one(given, "zone") or DEFAULT_ZONE
    if not is_zone(zone):
        raise _wrong("zone", zone, 'the name of a time zone, like "UTC" or "Europe/Berlin"')
    return zone


def _span(given: Given, zone: str, now_micros: int) -> TimeSpan:
    hour_ends = (now_micros // HOUR_MICROS + 1) * HOUR_MICROS
    until = _one(given, "to")
    ends = hour_ends if until is None else _moment("to", until, zone, None)
    starts = _moment("from", _one(given, "from") or DEFAULT_FROM, zone, ends)
    if starts >= ends:
        told = f'"{(_one(given, "from") or DEFAULT_FROM)[:SHOWN]}"'
        raise InvalidRequest(
            f'"from" (--since) must lie before "to" (--until), which is not in the report:'
            f" {told} is {_iso(starts)}, the end {_iso(ends)}.",
            param="from",
        )
    return starts, ends


def _moment(name: str, text: str, zone: str, ends: int | None) -> int:
    try:
        found = _read_moment(text, ZoneInfo(zone), ends)
    except (ValueError, OverflowError):
        found = None
    if found is None or not 0 <= found <= _micros(_LAST_YEAR):
        raise _wrong(name, text, _WHEN)
    if found % HOUR_MICROS:
        below = found - found % HOUR_MICROS
        beside = "" if "T" in text else f" and days of {zone} begin beside it"
        raise _wrong(
            name, text, f"a whole hour of UTC, for usage is kept by the hour{beside}: {_iso(below)}, for example"
        )
    return found


def _read_moment(text: str, zone: ZoneInfo, ends: int | None) -> int | None:
    back = _BACK.fullmatch(text)
    if back is not None:
        return None if ends is None or int(back[1]) > MOST_BACK else _back_from(ends, int(back[1]), back[2], zone)
    if _DATE.fullmatch(text):
        return _micros(datetime.combine(date.fromisoformat(text), time(), zone))
    moment = datetime.fromisoformat(text)
    return None if moment.tzinfo is None or len(text) < len("2026-11-24T14:00Z") else _micros(moment)


def _back_from(ends: int, count: int, unit: str, zone: ZoneInfo) -> int:
    """So many hours before the end, or the midnight so many days before the day that ends there."""
    if unit == "h":
        return ends - count * HOUR_MICROS
    last = datetime.fromtimestamp((ends - 1) // MICROS, zone).date()
    return _micros(datetime.combine(last - timedelta(days=count), time(), zone))


def _groups(given: Given) -> tuple[tuple[Dimension, ...], str | None]:
    words = [word.strip() for text in given.get("group_by", ()) for word in text.split(",") if word.strip()]
    found: list[Dimension] = []
    tag_name: str | None = None
    for word in words:
        name, has_name, wanted = word.partition(":")
        dimension = Dimension(_known("group_by", name, tuple(Dimension)))
        if dimension in found:
            raise InvalidRequest(f'"group_by" names "{name}" twice; name it once.', param="group_by")
        if has_name:
            if dimension is not Dimension.TAG or not wanted:
                raise _wrong("group_by", word, '"tag:NAME" where only tags of one name are meant, else the name alone')
            tag_name = wanted[:LONGEST_VALUE]
        found.append(dimension)
    return tuple(found), tag_name


def _values(given: Given, dimension: Dimension) -> tuple[str, ...]:
    values = tuple(dict.fromkeys(given[dimension]))
    if len(values) > MOST_VALUES:
        raise InvalidRequest(f'"{dimension}" may stand {MOST_VALUES} times, not {len(values):,}.', param=dimension)
    for value in values:
        if len(value) > LONGEST_VALUE or "\0" in value:
            raise _wrong(dimension, value, f"at most {LONGEST_VALUE} characters")
        if dimension is Dimension.STATUS:
            _known("status", value, ENDINGS, _CODES)
    if dimension is Dimension.TAG and len(values) > 1:
        raise InvalidRequest(
            '"tag" may stand once: a request with both tags would count twice. Group by tag to see several.',
            param="tag",
        )
    return values


def _choice(given: Given, name: str, choices: Collection[str], default: str) -> str:
    value = _one(given, name)
    return default if value is None else _known(name, value, choices)


def _known(name: str, value: str, choices: Collection[str], more: Collection[str] = ()) -> str:
    """Return the value when it is a choice; `more` are choices that are too many to tell."""
    if value in choices or value in more:
        return value
    hint = did_you_mean(value, (*choices, *more))
    told = f"one of {', '.join(choices)}{' or an error code' if more else ''}"
    raise _wrong(name, value, told, f" {hint}" if hint else "")


def _number(given: Given, name: str, default: int, most: int) -> int:
    text = _one(given, name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most:
        return int(text)
    raise _wrong(name, text, f"a whole number from 1 to {most:,}")


def _one(given: Given, name: str) -> str | None:
    found = given.get(name, ())
    if len(found) > 1:
        raise InvalidRequest(f'"{name}" stands twice in the query string; send it once.', param=name)
    return found[0] if found else None


def _wrong(name: str, value: str, wanted: str, hint: str = "") -> InvalidRequest:
    flag = f" ({FLAGS[name]})" if name in FLAGS else ""
    return InvalidRequest(f'"{name}"{flag} must be {wanted}, not "{value[:SHOWN]}".{hint}', param=name)


def _micros(moment: datetime) -> int:
    return (moment - _ZERO) // timedelta(microseconds=1)


def _iso(at_micros: int) -> str:
    return (_ZERO + timedelta(microseconds=at_micros)).strftime("%Y-%m-%dT%H:%MZ")
