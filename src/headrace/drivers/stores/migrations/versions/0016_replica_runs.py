"""Runs of replicas: what is paid by their seconds, which entries that is, and each attempt's share of it.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOST_PER_HOUR = 2**62 // 1_000
USED = """
CREATE VIEW used AS
SELECT hour_start_micros, account, key_id, model_id, provider, deployment, route, status, tags, 1 AS attempts, requests,
    input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text, output_reasoning,
    cost_nano, charge_nano, duration_micros, first_event_micros, first_events
FROM resolved
UNION ALL
SELECT (entry.at_micros - 1) - (entry.at_micros - 1) % 3600000000, run.account, '', run.deployment, 'dedicated',
    run.deployment_id, '', 'replica', NULL, 0, 0, 0, 0, 0, 0, 0, 0,
    CASE WHEN entry.kind = 'cost' THEN entry.amount_nano ELSE 0 END
        * CASE WHEN entry.reverses IS NULL THEN 1 ELSE -1 END,
    CASE WHEN entry.kind = 'charge' THEN entry.amount_nano ELSE 0 END
        * CASE WHEN entry.reverses IS NULL THEN 1 ELSE -1 END,
    0, 0, 0
FROM ledger_entry AS entry JOIN replica_run AS run ON run.run_id = entry.run_id
"""


def upgrade() -> None:
    """Apply the step."""
    op.create_table(
        "replica_run",
        sa.Column("run_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("deployment_id", "deployment", "account", "model_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("replica", "driver", "accelerator")),
        sa.Column("gpus", sa.Integer, nullable=False),
        sa.Column("nano_per_hour", NUMBER, nullable=False),
        sa.Column("price_source", sa.Text, nullable=False),
        sa.Column("started_at_micros", NUMBER, nullable=False),
        sa.Column("ready_at_micros", NUMBER, nullable=True),
        sa.Column("gone_at_micros", NUMBER, nullable=True),
        sa.Column("metered_to_micros", NUMBER, nullable=True),
        sa.Column("seen_at_micros", NUMBER, nullable=True),
        sa.Column("pid", NUMBER, nullable=True),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.CheckConstraint(f"nano_per_hour BETWEEN 0 AND {MOST_PER_HOUR}", name="replica_run_nano_per_hour_range"),
        sa.PrimaryKeyConstraint("run_id"),
        sqlite_strict=True,
    )
    op.create_index("replica_run_by_deployment", "replica_run", ["deployment_id", "started_at_micros"])
    op.add_column("ledger_entry", sa.Column("run_id", sa.Text, nullable=True))
    op.add_column("ledger_entry", sa.Column("scopes", sa.Text, nullable=True))
    op.add_column("resolution", sa.Column("share_micros", NUMBER, nullable=True))
    op.add_column("resolution", sa.Column("share_nano", NUMBER, nullable=True))
    _add_partial_index("ledger_entry_by_run", "ledger_entry", ["run_id", "line", "kind"], unique=True)
    _add_partial_index("attempt_by_deployment", "attempt", ["deployment", "attempt_id"])
    op.execute(USED)


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")


def _add_partial_index(name: str, table: str, columns: list[str], *, unique: bool = False) -> None:
    there = sa.text(f"{columns[0]} IS NOT NULL")
    op.create_index(name, table, columns, unique=unique, sqlite_where=there, postgresql_where=there)
