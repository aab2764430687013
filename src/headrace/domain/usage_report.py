"""A question about usage and its answer: what is grouped, filtered and summed over which spans of time; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias
from zoneinfo import ZoneInfo

from headrace.domain.budget import Window, window_bounds
from headrace.domain.errors import InvalidRequest

HOUR_MICROS = 3_600_000_000
MOST_SPANS = 1_000

TimeSpan: TypeAlias = tuple[int, int]
"""Microseconds since 1970 UTC; the second is not in the span. Both are whole hours."""


class Dimension(StrEnum):
    """What usage is grouped and filtered by."""

    KEY = "key"
    TEAM = "team"
    MODEL = "model"
    PROVIDER = "provider"
    DEPLOYMENT = "deployment"
    ROUTE = "route"
    TAG = "tag"
    STATUS = "status"


class Interval(StrEnum):
    """How long one span of a report is; the total has one span."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class UsageSums:
    """Sums over attempts: tokens by class, nano-dollars, microseconds.

    `requests` are the attempts that ended their request. `first_events` are those that had a first event, whose times
    add up to `first_event_micros`. Cost is owed upstream, charge was billed.
    """

    attempts: int = 0
    requests: int = 0
    input_fresh: int = 0
    input_cache_read: int = 0
    input_cache_write_5m: int = 0
    input_cache_write_1h: int = 0
    output_text: int = 0
    output_reasoning: int = 0
    cost_nano: int = 0
    charge_nano: int = 0
    duration_micros: int = 0
    first_event_micros: int = 0
    first_events: int = 0


NO_USAGE = UsageSums()


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuestion:
    """What to sum: by which dimensions, of what, and which rows of the answer are wanted.

    `filters` hold the values that a dimension may have. `tag_name` keeps those tags that are `NAME=VALUE` of that name.
    `key_id` is whose usage it is, None for everybody's.
    """

    interval: Interval
    zone: str
    spans: tuple[TimeSpan, ...]
    group_by: tuple[Dimension, ...] = ()
    tag_name: str | None = None
    filters: tuple[tuple[Dimension, tuple[str, ...]], ...] = ()
    key_id: str | None = None
    first_row: int = 0
    most_rows: int = 100

    @property
    def span(self) -> TimeSpan:
        """From when to when it is."""
        return self.spans[0][0], self.spans[-1][1]


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One group in one span; `group` has a value for each dimension of the question, "" where there is none."""

    span: TimeSpan
    group: tuple[str, ...]
    sums: UsageSums


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The rows that were asked for, of how many there are, and the sums of everything that the filters let through.

    A request with several tags stands in several rows of a report by tag, and one without tags in none; in the totals
    each counts once. `key_names` and `deployment_names` are those of the keys and deployments in the rows that are
    known.
    """

    question: UsageQuestion
    rows: tuple[UsageRow, ...]
    row_count: int
    totals: UsageSums
    key_names: dict[str, str] = field(default_factory=dict[str, str])
    deployment_names: dict[str, str] = field(default_factory=dict[str, str])


def spans_between(interval: Interval, zone: str, starts: int, ends: int) -> tuple[TimeSpan, ...]:
    """Return the spans from `starts` to `ends`, whole hours both; the first and the last may be cut.

    Raises InvalidRequest for more than MOST_SPANS, and for a zone whose days do not begin at a whole hour of UTC.
    """
    if interval is Interval.TOTAL:
        return ((starts, ends),)
    window, found, at = Window(interval.value), list[TimeSpan](), starts
    info = ZoneInfo(zone)
    while at < ends:
        _, following = window_bounds(window, info, at)
        until = ends if following is None else min(following, ends)
        _require_whole_hour(until, zone)
        if len(found) == MOST_SPANS:
            raise InvalidRequest(
                f'More than {MOST_SPANS:,} spans of one {interval} lie between "from" and "to": ask for fewer, or with '
                'a longer "interval".',
                param="interval",
            )
        found.append((at, until))
        at = until
    return tuple(found)


def _require_whole_hour(at_micros: int, zone: str) -> None:
    if at_micros % HOUR_MICROS:
        raise InvalidRequest(
            f'Usage is kept by whole hours of UTC, and those of the zone "{zone}" begin between them: ask with "zone" '
            "UTC, or another that is whole hours away from it.",
            param="zone",
        )
