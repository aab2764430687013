"""Owns deriving the hourly sums from the ledger, hour by hour, so that memory holds one hour at a time."""

from __future__ import annotations

from heapq import merge
from itertools import groupby
from operator import add
from typing import TypeAlias

import msgspec

from headrace.domain.audit import Findings
from headrace.drivers.stores.audit_books import ROWS_BETWEEN_REPORTS, Report, Row, Rows
from headrace.wire.iso_time import iso_time

Sums: TypeAlias = "dict[Row, Row]"

COUNTERS = (
    "attempts",
    "requests",
    "input_fresh",
    "input_cache_read",
    "input_cache_write_5m",
    "input_cache_write_1h",
    "output_text",
    "output_reasoning",
    "cost_nano",
    "charge_nano",
    "duration_micros",
    "first_event_micros",
    "first_events",
)
LEDGER = """
SELECT hour_start_micros, account, key_id, model_id, provider, deployment, route, status, tags, attempts,
    requests, input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text, output_reasoning,
    cost_nano, charge_nano, duration_micros, first_event_micros, first_events
FROM used ORDER BY hour_start_micros
"""
USAGE = """
SELECT hour_start_micros, account, key_id, model_id, provider, deployment, route, status, attempts,
    requests, input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text, output_reasoning,
    cost_nano, charge_nano, duration_micros, first_event_micros, first_events
FROM usage_hour ORDER BY hour_start_micros
"""
TAGGED = """
SELECT hour_start_micros, tag, account, key_id, model_id, provider, deployment, route, status, attempts,
    requests, input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text, output_reasoning,
    cost_nano, charge_nano, duration_micros, first_event_micros, first_events
FROM tag_hour ORDER BY hour_start_micros
"""
# In a row of the ledger: hour, seven places, tags, counters.
PLACE, TAGS, COUNTS = slice(1, 8), 8, slice(9, None)
TAG_LIST = msgspec.json.Decoder(tuple[str, ...])


def audit_usage_hours(rows: Rows, findings: Findings, report: Report) -> None:
    """Compare every hour of both tables with what the ledger makes; `report` hears how many attempts are done."""
    streams = (
        (("ledger", row) for row in rows(LEDGER, ())),
        (("usage_hour", row) for row in rows(USAGE, ())),
        (("tag_hour", row) for row in rows(TAGGED, ())),
    )
    done = 0
    for hour, group in groupby(merge(*streams, key=_hour_of), key=_hour_of):
        kept: dict[str, Sums] = {"usage_hour": {}, "tag_hour": {}}
        derived: dict[str, Sums] = {"usage_hour": {}, "tag_hour": {}}
        for name, row in group:
            if name != "ledger":
                kept[name][row[1 : -len(COUNTERS)]] = row[-len(COUNTERS) :]
                continue
            _sum_up(derived, row)
            done += 1
            if done % ROWS_BETWEEN_REPORTS == 0:
                report(done)
        for name in kept:
            findings.count(f"{name} rows", len(kept[name]))
            _compare(findings, name, hour, (kept[name], derived[name]))
    report(done)


def _hour_of(found: tuple[str, Row]) -> int:
    hour: int = found[1][0]
    return hour


def _sum_up(derived: dict[str, Sums], row: Row) -> None:
    counts = row[COUNTS]
    _add(derived["usage_hour"], row[PLACE], counts)
    if row[TAGS] is not None:
        for tag in TAG_LIST.decode(row[TAGS]):
            _add(derived["tag_hour"], (tag, *row[PLACE]), counts)


def _add(sums: Sums, place: Row, counts: Row) -> None:
    known = sums.get(place)
    sums[place] = counts if known is None else tuple(map(add, known, counts))


def _compare(findings: Findings, table: str, hour: int, both: tuple[Sums, Sums]) -> None:
    kept, derived = both
    if kept == derived:
        return
    for place in sorted({*kept, *derived}):
        name = " ".join([iso_time(hour)[:13] + "Z", *(part for part in place if part)])
        mine, due = kept.get(place), derived.get(place)
        for index, counter in enumerate(COUNTERS):
            findings.compare(
                f"{table}.{counter}", name, None if mine is None else mine[index], None if due is None else due[index]
            )
