"""Owns the tables of hourly sums, added to METADATA between that of replica runs and schema.py's: import it from there.

Units: an hour by its beginning in microseconds since 1970 UTC, money in nano-dollars. A place has one row an hour,
which moves with each resolution.
"""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from headrace.drivers.stores.schema_replicas import METADATA, NUMBER

USAGE_COUNTERS = (
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


def _sums(name: str, *places: str) -> Table:
    return Table(
        name,
        METADATA,
        Column("hour_start_micros", NUMBER, primary_key=True, nullable=False),
        *(Column(place, Text, primary_key=True, nullable=False) for place in places),
        *(Column(counter, NUMBER, nullable=False) for counter in USAGE_COUNTERS),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


usage_hour = _sums("usage_hour", "account", "key_id", "model_id", "provider", "deployment", "route", "status")
tag_hour = _sums("tag_hour", "tag", "account", "key_id", "model_id", "provider", "deployment", "route", "status")
