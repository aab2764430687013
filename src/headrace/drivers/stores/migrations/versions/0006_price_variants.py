"""Rare classes of usage, and the tiers, windows and batch price of price versions.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply the step."""
    op.add_column("resolution", sa.Column("usage_more", sa.Text))
    op.add_column("price_version", sa.Column("variants", sa.Text))


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")
