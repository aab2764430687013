"""Rate limits: how much a scope may ask for in a minute, in a day and at once.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply the step."""
    op.create_table(
        "rate_limit",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("changed_at_micros", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("scope"),
        sqlite_strict=True,
    )


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")
