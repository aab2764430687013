"""Owns the tables of routing, added to METADATA between those of alerts and schema.py's: import that from there.

Units: times in microseconds since 1970 UTC. `body` is JSON. `features` are as `Match.features`: never a prompt.
Amounts are nano-dollars.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table, Text

from headrace.drivers.stores.schema_alerts import METADATA, NUMBER


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, NUMBER, nullable=False)


router = Table(
    "router",
    METADATA,
    Column("uuid", Text, primary_key=True, nullable=False),
    Column("name", Text, nullable=False, unique=True),
    _text("body"),
    _number("created_at_micros"),
    _number("changed_at_micros"),
    sqlite_strict=True,
)

route_correction = Table(
    "route_correction",
    METADATA,
    Column("request_id", Text, primary_key=True, nullable=False),
    _text("router_uuid"),
    _text("slug"),
    Column("features", LargeBinary, nullable=False),
    _number("made_at_micros"),
    sqlite_strict=True,
)

decision = Table(
    "decision",
    METADATA,
    Column("request_id", Text, primary_key=True, nullable=False),
    _text("router"),
    _number("received_at_micros"),
    _text("body"),
    Column("features", LargeBinary, nullable=False),
    Index("decision_by_router", "router", "received_at_micros"),
    Index("decision_by_age", "received_at_micros"),
    sqlite_strict=True,
)

shadow_answer = Table(
    "shadow_answer",
    METADATA,
    Column("request_id", Text, primary_key=True, nullable=False),
    _text("shadow_request_id"),
    _text("router_uuid"),
    Column("route", Text),
    _text("served_by"),
    _text("reference"),
    _number("made_at_micros"),
    _number("amount_nano"),
    _text("state"),
    Column("failure", Text),
    Column("verdict", Text),
    Column("judge", Text),
    Column("judged_at_micros", NUMBER),
    Index("shadow_answer_by_router", "router_uuid", "made_at_micros"),
    Index("shadow_answer_by_age", "made_at_micros"),
    sqlite_strict=True,
)
