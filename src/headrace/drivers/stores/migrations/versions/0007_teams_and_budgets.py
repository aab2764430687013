"""Teams, budgets, and transfers: entries of the books that no attempt made.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MAX_NANO = 2**62
KINDS = "kind IN ('cost', 'charge', 'top_up', 'adjustment')"
CARRY = """
INSERT INTO ledger_entry
    (entry_id, attempt_id, line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano, at_micros, reverses)
SELECT
    entry_id, attempt_id, line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano, at_micros, reverses
FROM ledger_entry_before
"""


def upgrade() -> None:
    """Apply the step."""
    op.create_table(
        "team",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("is_prepaid", sa.Integer, nullable=False),
        sa.Column("created_at_micros", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_strict=True,
    )
    op.create_table(
        "budget",
        sa.Column("budget_id", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("time_window", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("limit_nano", NUMBER, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("created_at_micros", NUMBER, nullable=False),
        sa.Column("changed_at_micros", NUMBER, nullable=False),
        sa.CheckConstraint(f"limit_nano BETWEEN 0 AND {MAX_NANO}", name="budget_limit_nano_range"),
        sa.CheckConstraint("time_window IN ('hour', 'day', 'week', 'month', 'total')", name="budget_time_window_known"),
        sa.CheckConstraint("mode IN ('reject', 'clamp')", name="budget_mode_known"),
        sa.PrimaryKeyConstraint("budget_id"),
        sqlite_strict=True,
    )
    op.execute(
        "INSERT INTO team (name, is_prepaid, created_at_micros)"
        " SELECT account, 0, min(created_at_micros) FROM access_key WHERE role = 'key' GROUP BY account"
    )
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_entries()
    else:
        op.drop_constraint("ledger_entry_kind_known", "ledger_entry")
        op.create_check_constraint("ledger_entry_kind_known", "ledger_entry", KINDS)
        op.add_column("ledger_entry", sa.Column("note", sa.Text))
        op.add_column("ledger_entry", sa.Column("reference", sa.Text))
    named = sa.text("reference IS NOT NULL")
    op.create_index(
        "ledger_entry_by_reference",
        "ledger_entry",
        ["reference"],
        unique=True,
        sqlite_where=named,
        postgresql_where=named,
    )


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")


def _rebuild_entries() -> None:
    """SQLite changes no constraint in place: the table is made anew and takes over every row."""
    op.rename_table("ledger_entry", "ledger_entry_before")
    op.create_table(
        "ledger_entry",
        sa.Column("entry_id", sa.Integer, nullable=False),
        sa.Column("attempt_id", sa.Text, nullable=True),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("line_kind", sa.Text, nullable=False),
        sa.Column("debit", sa.Text, nullable=False),
        sa.Column("credit", sa.Text, nullable=False),
        sa.Column("quantity", NUMBER, nullable=False),
        sa.Column("price_pico", NUMBER, nullable=False),
        sa.Column("amount_nano", NUMBER, nullable=False),
        sa.Column("at_micros", NUMBER, nullable=False),
        sa.Column("reverses", sa.Integer, nullable=True),
        sa.Column("note", sa.Text, nullable=True),
        sa.Column("reference", sa.Text, nullable=True),
        sa.CheckConstraint(KINDS, name="ledger_entry_kind_known"),
        *(_within(column) for column in ("amount_nano", "line", "price_pico", "quantity")),
        sa.CheckConstraint("debit <> credit", name="ledger_entry_two_accounts"),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.attempt_id"]),
        sa.ForeignKeyConstraint(["reverses"], ["ledger_entry.entry_id"]),
        sa.PrimaryKeyConstraint("entry_id"),
        sa.UniqueConstraint("attempt_id", "line", "kind", name="ledger_entry_once"),
        sqlite_strict=True,
    )
    op.execute(CARRY)
    op.drop_table("ledger_entry_before")
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER ledger_entry_no_{verb.lower()} BEFORE {verb} ON ledger_entry "
            "BEGIN SELECT RAISE(ABORT, 'ledger_entry is append-only'); END"
        )


def _within(column: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} BETWEEN 0 AND {MAX_NANO}", name=f"ledger_entry_{column}_range")
