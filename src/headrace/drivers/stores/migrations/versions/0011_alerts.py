"""Alerts with their events, and webhooks with the deliveries to them.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply the step."""
    _add_alerts()
    _add_webhooks()


def _add_alerts() -> None:
    op.create_table(
        "alert",
        sa.Column("alert_id", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("fired", sa.Text, nullable=False),
        sa.Column("created_at_micros", NUMBER, nullable=False),
        sa.Column("changed_at_micros", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("alert_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "alert_event",
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("alert_id", sa.Text, nullable=False),
        sa.Column("at_micros", NUMBER, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("is_finished", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        sqlite_strict=True,
    )
    op.create_index("alert_event_by_finished", "alert_event", ["is_finished"])


def _add_webhooks() -> None:
    op.create_table(
        "webhook",
        sa.Column("webhook_id", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("key_version", NUMBER, nullable=False),
        sa.Column("created_at_micros", NUMBER, nullable=False),
        sa.Column("changed_at_micros", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("webhook_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("delivery_id", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("webhook_id", sa.Text, nullable=False),
        sa.Column("created_at_micros", NUMBER, nullable=False),
        sa.Column("changed_at_micros", NUMBER, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.Text),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="webhook_delivery_state_known"),
        sa.PrimaryKeyConstraint("delivery_id"),
        sqlite_strict=True,
    )
    op.create_index("webhook_delivery_by_event", "webhook_delivery", ["event_id"])
    op.create_index("webhook_delivery_by_state", "webhook_delivery", ["state"])


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")
