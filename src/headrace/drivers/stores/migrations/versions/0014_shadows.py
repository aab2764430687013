"""Which routed requests a reference model answered too, and how the answers compare.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply the step."""
    op.create_table(
        "shadow_answer",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("shadow_request_id", sa.Text, nullable=False),
        sa.Column("router_uuid", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=True),
        sa.Column("served_by", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("made_at_micros", NUMBER, nullable=False),
        sa.Column("amount_nano", NUMBER, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("failure", sa.Text, nullable=True),
        sa.Column("verdict", sa.Text, nullable=True),
        sa.Column("judge", sa.Text, nullable=True),
        sa.Column("judged_at_micros", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("request_id"),
        sqlite_strict=True,
    )
    op.create_index("shadow_answer_by_router", "shadow_answer", ["router_uuid", "made_at_micros"])
    op.create_index("shadow_answer_by_age", "shadow_answer", ["made_at_micros"])


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")
