"""Hourly sums of usage, made from the ledger as it is, and the tags of requests.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTERS = (
    "attempts",
    "requests",
    "input_fresh",
    "input_cache_read",
    "input_cache_write_5m",
    "input_cache_write_1h",
    "output_text",
    "output_reasoning",
    "cost_nano",
    "charge_nano",
    "duration_micros",
    "first_event_micros",
    "first_events",
)
RESOLVED = """
CREATE VIEW resolved AS
SELECT attempt.attempt_id, request.request_id,
    resolution.ended_at_micros - resolution.ended_at_micros % 3600000000 AS hour_start_micros,
    request.account, request.key_id, attempt.model_id, attempt.provider,
    coalesce(attempt.deployment, '') AS deployment, coalesce(request.route, '') AS route,
    coalesce(resolution.ending, 'voided') AS status, request.tags,
    CASE WHEN resolution.request_status IS NULL THEN 0 ELSE 1 END AS requests,
    coalesce(resolution.input_fresh, 0) AS input_fresh,
    coalesce(resolution.input_cache_read, 0) AS input_cache_read,
    coalesce(resolution.input_cache_write_5m, 0) AS input_cache_write_5m,
    coalesce(resolution.input_cache_write_1h, 0) AS input_cache_write_1h,
    coalesce(resolution.output_text, 0) AS output_text,
    coalesce(resolution.output_reasoning, 0) AS output_reasoning,
    coalesce((
        SELECT sum(CASE WHEN entry.reverses IS NULL THEN entry.amount_nano ELSE -entry.amount_nano END)
        FROM ledger_entry AS entry WHERE entry.attempt_id = attempt.attempt_id AND entry.kind = 'cost'
    ), 0) AS cost_nano,
    coalesce((
        SELECT sum(CASE WHEN entry.reverses IS NULL THEN entry.amount_nano ELSE -entry.amount_nano END)
        FROM ledger_entry AS entry WHERE entry.attempt_id = attempt.attempt_id AND entry.kind = 'charge'
    ), 0) AS charge_nano,
    resolution.ended_at_micros - attempt.held_at_micros AS duration_micros,
    coalesce(resolution.first_event_at_micros - attempt.held_at_micros, 0) AS first_event_micros,
    CASE WHEN resolution.first_event_at_micros IS NULL THEN 0 ELSE 1 END AS first_events
FROM resolution
JOIN attempt ON attempt.attempt_id = resolution.attempt_id
JOIN request ON request.request_id = attempt.request_id
"""
FILL = """
INSERT INTO usage_hour
SELECT hour_start_micros, account, key_id, model_id, provider, deployment, route, status,
    count(*), sum(requests), sum(input_fresh), sum(input_cache_read), sum(input_cache_write_5m),
    sum(input_cache_write_1h), sum(output_text), sum(output_reasoning), sum(cost_nano), sum(charge_nano),
    sum(duration_micros), sum(first_event_micros), sum(first_events)
FROM resolved GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""


def upgrade() -> None:
    """Apply the step."""
    op.add_column("request", sa.Column("tags", sa.Text, nullable=True))
    _add_sums("usage_hour", ("account", "key_id", "model_id", "provider", "deployment", "route", "status"))
    _add_sums("tag_hour", ("tag", "account", "key_id", "model_id", "provider", "deployment", "route", "status"))
    op.execute(RESOLVED)
    op.execute(FILL)


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")


def _add_sums(table: str, names: tuple[str, ...]) -> None:
    op.create_table(
        table,
        sa.Column("hour_start_micros", NUMBER, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in names),
        *(sa.Column(name, NUMBER, nullable=False) for name in COUNTERS),
        sa.PrimaryKeyConstraint("hour_start_micros", *names),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
