"""Owns the table of replica runs, added to METADATA between that of deployments and schema.py's: import it from there.

Units: times in microseconds since 1970 UTC, prices in nano-dollars an hour. A row changes until its run is over; what
it owes is in the entries that name it. `lines` is how many lines they are, reversals too.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, Text

from headrace.domain.money import MAX_NANO
from headrace.drivers.stores.schema_dedicated import METADATA, NUMBER


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, NUMBER, nullable=False)


def _optional_number(name: str) -> Column[int]:
    return Column(name, NUMBER)


replica_run = Table(
    "replica_run",
    METADATA,
    Column("run_id", Text, primary_key=True, nullable=False),
    _text("deployment_id"),
    _text("deployment"),
    _text("account"),
    _text("model_id"),
    _text("replica"),
    _text("driver"),
    _text("accelerator"),
    Column("gpus", Integer, nullable=False),
    _number("nano_per_hour"),
    _text("price_source"),
    _number("started_at_micros"),
    _optional_number("ready_at_micros"),
    _optional_number("gone_at_micros"),
    _optional_number("metered_to_micros"),
    _optional_number("seen_at_micros"),
    Column("pid", NUMBER),
    Column("lines", Integer, nullable=False),
    CheckConstraint(f"nano_per_hour BETWEEN 0 AND {MAX_NANO // 1_000}", name="replica_run_nano_per_hour_range"),
    Index("replica_run_by_deployment", "deployment_id", "started_at_micros"),
    sqlite_strict=True,
)
