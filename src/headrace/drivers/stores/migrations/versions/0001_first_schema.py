"""The first schema: requests, turns, attempts, holds, the ledger, scopes, keys and credentials.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$
"""
APPEND_ONLY = ("request", "turn", "attempt", "resolution", "ledger_entry", "price_version")


def upgrade() -> None:
    """Apply the step."""
    _add_access_key()
    _add_epoch()
    _add_installation()
    _add_price_version()
    _add_provider_credential()
    _add_request()
    _add_scope()
    _add_turn()
    _add_attempt()
    _add_hold()
    _add_ledger_entry()
    _add_resolution()
    op.create_index("request_by_key", "request", ["key_id", "request_id"])
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        op.execute(REFUSE_CHANGE)
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE", *(("TRUNCATE",) if is_postgresql else ())):
            _refuse(table, verb)


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")


def _within(table: str, column: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} BETWEEN 0 AND 4611686018427387904", name=f"{table}_{column}_range")


def _refuse(table: str, verb: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        each = "STATEMENT" if verb == "TRUNCATE" else "ROW"
        name = f"{table}_no_{verb.lower()}"
        op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH {each} EXECUTE FUNCTION refuse_change()")
        return
    op.execute(
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )


def _add_access_key() -> None:
    op.create_table(
        "access_key",
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("models", sa.Text, nullable=True),
        sa.Column("created_at_micros", NUMBER, nullable=False),
        sa.Column("revoked_at_micros", NUMBER, nullable=True),
        sa.CheckConstraint("role IN ('key', 'admin')", name="access_key_role_known"),
        sa.PrimaryKeyConstraint("public_id"),
        sqlite_strict=True,
    )


def _add_epoch() -> None:
    op.create_table(
        "epoch",
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("pid", NUMBER, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_at_micros", NUMBER, nullable=False),
        sa.Column("ended_at_micros", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("epoch"),
        sqlite_strict=True,
    )


def _add_installation() -> None:
    op.create_table(
        "installation",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_strict=True,
    )


def _add_price_version() -> None:
    op.create_table(
        "price_version",
        sa.Column("price_version", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model_id", sa.Text, nullable=False),
        sa.Column("effective", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("rates_pico", sa.Text, nullable=False),
        sa.Column("markup_ppm", NUMBER, nullable=False),
        _within("price_version", "markup_ppm"),
        sa.PrimaryKeyConstraint("price_version"),
        sqlite_strict=True,
    )


def _add_provider_credential() -> None:
    op.create_table(
        "provider_credential",
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("key_version", NUMBER, nullable=False),
        sa.Column("set_at_micros", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("provider"),
        sqlite_strict=True,
    )


def _add_request() -> None:
    op.create_table(
        "request",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("key_name", sa.Text, nullable=False),
        sa.Column("requested_model", sa.Text, nullable=False),
        sa.Column("stream", sa.Integer, nullable=False),
        sa.Column("route", sa.Text, nullable=True),
        sa.Column("received_at_micros", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("request_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _add_scope() -> None:
    op.create_table(
        "scope",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("limit_nano", NUMBER, nullable=True),
        sa.Column("held_nano", NUMBER, nullable=False),
        sa.Column("spent_nano", NUMBER, nullable=False),
        _within("scope", "held_nano"),
        _within("scope", "limit_nano"),
        _within("scope", "spent_nano"),
        sa.PrimaryKeyConstraint("scope"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _add_turn() -> None:
    op.create_table(
        "turn",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("turn_index", sa.Integer, nullable=False),
        sa.Column("started_at_micros", NUMBER, nullable=False),
        _within("turn", "turn_index"),
        sa.ForeignKeyConstraint(["request_id"], ["request.request_id"]),
        sa.PrimaryKeyConstraint("request_id", "turn_index"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _add_attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("attempt_id", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("turn_index", sa.Integer, nullable=False),
        sa.Column("attempt_index", sa.Integer, nullable=False),
        sa.Column("parent_attempt_id", sa.Text, nullable=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("model_id", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("deployment", sa.Text, nullable=True),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("price_version", sa.Text, nullable=False),
        sa.Column("bound_input_tokens", NUMBER, nullable=False),
        sa.Column("bound_output_tokens", NUMBER, nullable=False),
        sa.Column("bound_nano", NUMBER, nullable=False),
        sa.Column("input_estimate", NUMBER, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("held_at_micros", NUMBER, nullable=False),
        _within("attempt", "bound_input_tokens"),
        _within("attempt", "bound_nano"),
        _within("attempt", "bound_output_tokens"),
        _within("attempt", "input_estimate"),
        sa.ForeignKeyConstraint(["epoch"], ["epoch.epoch"]),
        sa.ForeignKeyConstraint(["parent_attempt_id"], ["attempt.attempt_id"]),
        sa.ForeignKeyConstraint(["price_version"], ["price_version.price_version"]),
        sa.ForeignKeyConstraint(["request_id", "turn_index"], ["turn.request_id", "turn.turn_index"]),
        sa.PrimaryKeyConstraint("attempt_id"),
        sa.UniqueConstraint("request_id", "turn_index", "attempt_index", name="attempt_place"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _add_hold() -> None:
    op.create_table(
        "hold",
        sa.Column("attempt_id", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("amount_nano", NUMBER, nullable=False),
        sa.Column("sent_at_micros", NUMBER, nullable=True),
        sa.Column("checkpoint_output_tokens", NUMBER, nullable=True),
        sa.Column("checkpoint_bytes", NUMBER, nullable=True),
        sa.Column("checkpoint_at_micros", NUMBER, nullable=True),
        _within("hold", "amount_nano"),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.attempt_id"]),
        sa.ForeignKeyConstraint(["epoch"], ["epoch.epoch"]),
        sa.PrimaryKeyConstraint("attempt_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _add_ledger_entry() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("entry_id", NUMBER, nullable=False),
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
        sa.Column("reverses", NUMBER, nullable=True),
        sa.CheckConstraint("kind IN ('cost', 'charge')", name="ledger_entry_kind_known"),
        _within("ledger_entry", "amount_nano"),
        sa.CheckConstraint("debit <> credit", name="ledger_entry_two_accounts"),
        _within("ledger_entry", "line"),
        _within("ledger_entry", "price_pico"),
        _within("ledger_entry", "quantity"),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.attempt_id"]),
        sa.ForeignKeyConstraint(["reverses"], ["ledger_entry.entry_id"]),
        sa.PrimaryKeyConstraint("entry_id"),
        sa.UniqueConstraint("attempt_id", "line", "kind", name="ledger_entry_once"),
        sqlite_strict=True,
    )


def _add_resolution() -> None:
    op.create_table(
        "resolution",
        sa.Column("attempt_id", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("at_micros", NUMBER, nullable=False),
        sa.Column("sent_at_micros", NUMBER, nullable=True),
        sa.Column("first_event_at_micros", NUMBER, nullable=True),
        sa.Column("ended_at_micros", NUMBER, nullable=False),
        sa.Column("input_fresh", NUMBER, nullable=True),
        sa.Column("input_cache_read", NUMBER, nullable=True),
        sa.Column("input_cache_write_5m", NUMBER, nullable=True),
        sa.Column("input_cache_write_1h", NUMBER, nullable=True),
        sa.Column("output_text", NUMBER, nullable=True),
        sa.Column("output_reasoning", NUMBER, nullable=True),
        sa.Column("usage_source", sa.Text, nullable=True),
        sa.Column("usage_anomaly", sa.Text, nullable=True),
        sa.Column("delivered_bytes", NUMBER, nullable=False),
        sa.Column("ending", sa.Text, nullable=True),
        sa.Column("error_code", sa.Text, nullable=True),
        sa.Column("upstream_status", NUMBER, nullable=True),
        sa.Column("upstream_request_id", sa.Text, nullable=True),
        sa.Column("request_status", NUMBER, nullable=True),
        sa.Column("possible_spend", sa.Integer, nullable=False),
        sa.Column("reconcile", sa.Text, nullable=True),
        sa.CheckConstraint("(outcome = 'settled') = (usage_source IS NOT NULL)", name="resolution_usage_when_settled"),
        sa.CheckConstraint("outcome IN ('settled', 'voided')", name="resolution_outcome_known"),
        _within("resolution", "delivered_bytes"),
        sa.CheckConstraint("possible_spend IN (0, 1)", name="resolution_possible_spend_flag"),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.attempt_id"]),
        sa.ForeignKeyConstraint(["epoch"], ["epoch.epoch"]),
        sa.PrimaryKeyConstraint("attempt_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
