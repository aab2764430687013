"""Owns the table of deployments, added to METADATA between those of routing and schema.py's: import that from there.

Units: times in microseconds since 1970 UTC. `body` is JSON; the token of a model's source within it is sealed.
"""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from headrace.drivers.stores.schema_routing import METADATA, NUMBER

deployment = Table(
    "deployment",
    METADATA,
    Column("id", Text, primary_key=True, nullable=False),
    Column("name", Text, nullable=False, unique=True),
    Column("body", Text, nullable=False),
    Column("created_at_micros", NUMBER, nullable=False),
    Column("updated_at_micros", NUMBER, nullable=False),
    sqlite_strict=True,
)
