"""Routers, the corrections of their routes, and what they decided.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply the step."""
    op.create_table(
        "router",
        sa.Column("uuid", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at_micros", NUMBER, nullable=False),
        sa.Column("changed_at_micros", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("name"),
        sqlite_strict=True,
    )
    op.create_table(
        "route_correction",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("router_uuid", sa.Text, nullable=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("features", sa.LargeBinary, nullable=False),
        sa.Column("made_at_micros", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("request_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "decision",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("router", sa.Text, nullable=False),
        sa.Column("received_at_micros", NUMBER, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("features", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("request_id"),
        sqlite_strict=True,
    )
    op.create_index("decision_by_router", "decision", ["router", "received_at_micros"])
    op.create_index("decision_by_age", "decision", ["received_at_micros"])


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")
