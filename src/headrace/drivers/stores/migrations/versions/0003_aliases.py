"""Aliases: names of the operator's own that point at models.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply the step."""
    op.create_table(
        "alias",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("points_to", sa.Text, nullable=False),
        sa.Column("fallbacks", sa.Text, nullable=False),
        sa.Column("created_at_micros", NUMBER, nullable=False),
        sa.Column("changed_at_micros", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")
