"""What an attempt's settlement books becomes a row a line, in the place of two entries with two accounts each.

A hold says no longer what its attempt says, and turns, which nothing ever read, go. The books stay what they are:
entries that are no pair of a cost and a charge are refused, and both sums are compared before the old rows go.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from headrace.domain.errors import StoreUnusable

revision = "0017"
down_revision = "0016"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MAX_NANO = 2**62
KINDS = "kind IN ('cost', 'charge', 'top_up', 'adjustment')"
NO_PAIR = """
SELECT attempt_id, line FROM ledger_entry WHERE attempt_id IS NOT NULL GROUP BY attempt_id, line
HAVING count(*) <> 2 OR min(kind) <> 'charge' OR max(kind) <> 'cost' OR max(reverses) IS NOT NULL
    OR min(line_kind) <> max(line_kind) OR min(quantity) <> max(quantity) OR min(price_pico) <> max(price_pico)
LIMIT 1
"""
CARRY_LINES = """
INSERT INTO settled_line (attempt_id, line, line_kind, quantity, price_pico, cost_nano, charge_nano)
SELECT attempt_id, line, min(line_kind), min(quantity), min(price_pico),
    sum(CASE WHEN kind = 'cost' THEN amount_nano ELSE 0 END), sum(CASE WHEN kind = 'charge' THEN amount_nano ELSE 0 END)
FROM ledger_entry WHERE attempt_id IS NOT NULL GROUP BY attempt_id, line ORDER BY attempt_id, line
"""
BOOKED = "SELECT kind, sum(amount_nano) FROM ledger_entry WHERE attempt_id IS NOT NULL GROUP BY kind"
CARRIED = "SELECT coalesce(sum(cost_nano), 0), coalesce(sum(charge_nano), 0) FROM settled_line"
CARRY_ENTRIES = """
INSERT INTO ledger_entry (entry_id, line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano, at_micros,
    reverses, note, reference, run_id, scopes)
SELECT entry_id, line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano, at_micros,
    reverses, note, reference, run_id, scopes
FROM ledger_entry_before WHERE attempt_id IS NULL ORDER BY entry_id
"""
CARRY_ATTEMPTS = """
INSERT INTO attempt_anew (attempt_id, request_id, turn_index, attempt_index, parent_attempt_id, epoch, model_id,
    provider, deployment, identity, price_version, bound_input_tokens, bound_output_tokens, bound_nano, input_estimate,
    scopes, held_at_micros)
SELECT attempt_id, request_id, turn_index, attempt_index, parent_attempt_id, epoch, model_id,
    provider, deployment, identity, price_version, bound_input_tokens, bound_output_tokens, bound_nano, input_estimate,
    scopes, held_at_micros
FROM attempt ORDER BY attempt_id
"""
CARRY_HOLDS = """
INSERT INTO hold (attempt_id, sent_at_micros, checkpoint_output_tokens, checkpoint_bytes, checkpoint_at_micros)
SELECT attempt_id, sent_at_micros, checkpoint_output_tokens, checkpoint_bytes, checkpoint_at_micros FROM hold_before
"""
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
        SELECT sum(line.cost_nano) FROM settled_line AS line WHERE line.attempt_id = attempt.attempt_id
    ), 0) AS cost_nano,
    coalesce((
        SELECT sum(line.charge_nano) FROM settled_line AS line WHERE line.attempt_id = attempt.attempt_id
            AND NOT EXISTS (SELECT 1 FROM waiver WHERE waiver.attempt_id = attempt.attempt_id)
    ), 0) AS charge_nano,
    resolution.ended_at_micros - attempt.held_at_micros AS duration_micros,
    coalesce(resolution.first_event_at_micros - attempt.held_at_micros, 0) AS first_event_micros,
    CASE WHEN resolution.first_event_at_micros IS NULL THEN 0 ELSE 1 END AS first_events
FROM resolution
JOIN attempt ON attempt.attempt_id = resolution.attempt_id
JOIN request ON request.request_id = attempt.request_id
"""
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
    op.execute("DROP VIEW used")
    op.execute("DROP VIEW resolved")
    _add_settled_line()
    _add_waiver()
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_entries()
        _rebuild_attempts()
        _rebuild_holds()
    else:
        _alter_tables()
    op.drop_table("turn")
    op.execute(RESOLVED)
    op.execute(USED)


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")


def _add_settled_line() -> None:
    op.create_table(
        "settled_line",
        sa.Column("attempt_id", sa.Text, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("line_kind", sa.Text, nullable=False),
        *(sa.Column(name, NUMBER, nullable=False) for name in ("quantity", "price_pico", "cost_nano", "charge_nano")),
        *_within("settled_line", "line", "quantity", "price_pico", "cost_nano", "charge_nano"),
        sa.ForeignKeyConstraint(["attempt_id"], ["resolution.attempt_id"]),
        sa.PrimaryKeyConstraint("attempt_id", "line"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    bind = op.get_bind()
    if (odd := bind.exec_driver_sql(NO_PAIR).first()) is not None:
        raise _refused(f"line {odd[1]} of {odd[0]} is not one cost and one charge")
    op.execute(CARRY_LINES)
    booked = {str(kind): int(amount) for kind, amount in bind.exec_driver_sql(BOOKED)}
    cost, charge = bind.exec_driver_sql(CARRIED).one()
    if (int(cost), int(charge)) != (booked.get("cost", 0), booked.get("charge", 0)):
        raise _refused(f"the lines sum up to {cost} and {charge}, the entries to {booked}")
    _append_only("settled_line")


def _add_waiver() -> None:
    op.create_table(
        "waiver",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("attempt_id", "error_code")),
        *(sa.Column(name, NUMBER, nullable=False) for name in ("request_status", "at_micros")),
        sa.ForeignKeyConstraint(["attempt_id"], ["resolution.attempt_id"]),
        sa.PrimaryKeyConstraint("attempt_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    _append_only("waiver")


def _refused(why: str) -> StoreUnusable:
    return StoreUnusable(
        f"The books were not carried over to this version's schema: {why}. They were left as they were. Go on with the "
        "version of Headrace that wrote them, audit them with it (`headrace audit`), and report this."
    )


def _rebuild_entries() -> None:
    """SQLite drops no column of a constraint: the table is made anew and takes over the rows that stay."""
    op.rename_table("ledger_entry", "ledger_entry_before")
    op.create_table(
        "ledger_entry",
        sa.Column("entry_id", NUMBER, nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "line_kind", "debit", "credit")),
        *(sa.Column(name, NUMBER, nullable=False) for name in ("quantity", "price_pico", "amount_nano", "at_micros")),
        sa.Column("reverses", NUMBER, nullable=True),
        *(sa.Column(name, sa.Text, nullable=True) for name in ("note", "reference", "run_id", "scopes")),
        sa.CheckConstraint(KINDS, name="ledger_entry_kind_known"),
        *_within("ledger_entry", "amount_nano", "line", "price_pico", "quantity"),
        sa.CheckConstraint("debit <> credit", name="ledger_entry_two_accounts"),
        sa.ForeignKeyConstraint(["reverses"], ["ledger_entry.entry_id"]),
        sa.PrimaryKeyConstraint("entry_id"),
        sqlite_strict=True,
    )
    op.execute(CARRY_ENTRIES)
    op.drop_table("ledger_entry_before")
    _append_only("ledger_entry")
    for name, columns in (("reference", ["reference"]), ("run", ["run_id", "line", "kind"])):
        there = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(f"ledger_entry_by_{name}", "ledger_entry", columns, unique=True, sqlite_where=there)


def _rebuild_attempts() -> None:
    op.create_table(
        "attempt_anew",
        *(sa.Column(name, sa.Text, nullable=False) for name in ("attempt_id", "request_id")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("turn_index", "attempt_index")),
        sa.Column("parent_attempt_id", sa.Text, nullable=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("model_id", "provider")),
        sa.Column("deployment", sa.Text, nullable=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("identity", "price_version")),
        *(sa.Column(f"bound_{name}", NUMBER, nullable=False) for name in ("input_tokens", "output_tokens", "nano")),
        sa.Column("input_estimate", NUMBER, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("held_at_micros", NUMBER, nullable=False),
        *_within("attempt", "turn_index", "bound_nano", "bound_input_tokens", "bound_output_tokens", "input_estimate"),
        sa.ForeignKeyConstraint(["epoch"], ["epoch.epoch"]),
        sa.ForeignKeyConstraint(["parent_attempt_id"], ["attempt.attempt_id"]),
        sa.ForeignKeyConstraint(["price_version"], ["price_version.price_version"]),
        sa.ForeignKeyConstraint(["request_id"], ["request.request_id"]),
        sa.PrimaryKeyConstraint("attempt_id"),
        sa.UniqueConstraint("request_id", "turn_index", "attempt_index", name="attempt_place"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute(CARRY_ATTEMPTS)
    op.drop_table("attempt")
    op.rename_table("attempt_anew", "attempt")
    _append_only("attempt")
    deployed = sa.text("deployment IS NOT NULL")
    op.create_index("attempt_by_deployment", "attempt", ["deployment", "attempt_id"], sqlite_where=deployed)


def _rebuild_holds() -> None:
    op.rename_table("hold", "hold_before")
    counts = ("sent_at_micros", "checkpoint_output_tokens", "checkpoint_bytes", "checkpoint_at_micros")
    op.create_table(
        "hold",
        sa.Column("attempt_id", sa.Text, nullable=False),
        *(sa.Column(name, NUMBER, nullable=True) for name in counts),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.attempt_id"]),
        sa.PrimaryKeyConstraint("attempt_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute(CARRY_HOLDS)
    op.drop_table("hold_before")


def _alter_tables() -> None:
    op.execute("ALTER TABLE ledger_entry DISABLE TRIGGER ledger_entry_no_delete")
    op.execute("DELETE FROM ledger_entry WHERE attempt_id IS NOT NULL")
    op.execute("ALTER TABLE ledger_entry ENABLE TRIGGER ledger_entry_no_delete")
    op.drop_column("ledger_entry", "attempt_id")
    op.drop_constraint("attempt_request_id_turn_index_fkey", "attempt")
    op.create_foreign_key("attempt_request_id_fkey", "attempt", "request", ["request_id"], ["request_id"])
    op.create_check_constraint("attempt_turn_index_range", "attempt", f"turn_index BETWEEN 0 AND {MAX_NANO}")
    for column in ("epoch", "account", "provider", "scopes", "amount_nano"):
        op.drop_column("hold", column)


def _within(table: str, *columns: str) -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint(f"{column} BETWEEN 0 AND {MAX_NANO}", name=f"{table}_{column}_range") for column in columns
    ]


def _append_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    for verb, each in (("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        name = f"{table}_no_{verb.lower()}"
        op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH {each} EXECUTE FUNCTION refuse_change()")
