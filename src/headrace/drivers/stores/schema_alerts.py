"""Owns the tables of alerts and webhooks, and begins METADATA, which schema.py completes: import that from there.

Units: times in microseconds since 1970 UTC. `content` and `fired` are JSON.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, MetaData, Table, Text

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
METADATA = MetaData()


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, NUMBER, nullable=False)


alert = Table(
    "alert",
    METADATA,
    Column("alert_id", Text, primary_key=True, nullable=False),
    _text("content"),
    _text("fired"),
    _number("created_at_micros"),
    _number("changed_at_micros"),
    sqlite_strict=True,
)

alert_event = Table(
    "alert_event",
    METADATA,
    Column("event_id", Text, primary_key=True, nullable=False),
    _text("alert_id"),
    _number("at_micros"),
    _text("content"),
    Column("is_finished", Integer, nullable=False),
    Index("alert_event_by_finished", "is_finished"),
    sqlite_strict=True,
)

webhook = Table(
    "webhook",
    METADATA,
    Column("webhook_id", Text, primary_key=True, nullable=False),
    _text("url"),
    Column("sealed", LargeBinary, nullable=False),
    _number("key_version"),
    _number("created_at_micros"),
    _number("changed_at_micros"),
    sqlite_strict=True,
)

webhook_delivery = Table(
    "webhook_delivery",
    METADATA,
    Column("delivery_id", Text, primary_key=True, nullable=False),
    _text("event_id"),
    _text("webhook_id"),
    _number("created_at_micros"),
    _number("changed_at_micros"),
    _text("state"),
    Column("attempts", Integer, nullable=False),
    Column("last_status", Integer),
    Column("last_error", Text),
    CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="webhook_delivery_state_known"),
    Index("webhook_delivery_by_event", "event_id"),
    Index("webhook_delivery_by_state", "state"),
    sqlite_strict=True,
)
