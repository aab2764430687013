"""Outcomes: what came of requests that may be repeated, sealed, until they expire.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply the step."""
    op.create_table(
        "outcome",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("key_version", sa.Integer),
        sa.Column("expires_at_micros", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("owner", "route", "name"),
        sa.CheckConstraint("state IN ('running', 'stored', 'lost')", name="outcome_state_known"),
        sa.CheckConstraint("(state = 'stored') = (sealed IS NOT NULL)", name="outcome_sealed_when_stored"),
        sqlite_strict=True,
    )
    op.create_index("outcome_by_expiry", "outcome", ["expires_at_micros"])


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")
