"""Owns the tables of the store in SQLAlchemy Core; statements, migrations and reading live elsewhere.

Units: money in integer nano-dollars, prices in pico-dollars per token, times in microseconds since 1970 UTC.
A request has turns, a turn has attempts; an attempt draws on several scopes at once and may have a parent.
What is known when an attempt begins (`attempt`) and what is known when it ends (`resolution`, and a `settled_line`
for each line of a settlement) are written once and never changed. While it is open it has a row in `hold`, which goes
when it ends; there are no others. `scopes` are JSON lists in the order in which they were taken.

A settled line is two transfers: its cost from `expense:PROVIDER` to `payable:PROVIDER` and its charge from
`receivable:ACCOUNT` to `revenue`. A `waiver` takes back the charge of an attempt whose caller was told that it failed,
because nobody knew yet that its settlement had been committed. Transfers that no attempt made are rows of
`ledger_entry`, with their accounts.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from headrace.domain.money import MAX_NANO
from headrace.drivers.stores.schema_hours import METADATA, NUMBER

REFERENCED = text("reference IS NOT NULL")
OF_A_RUN, RUN_PLACE = text("run_id IS NOT NULL"), ("run_id", "line", "kind")
DEPLOYED = text("deployment IS NOT NULL")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _optional_text(name: str) -> Column[str]:
    return Column(name, Text)


def _number(name: str) -> Column[int]:
    return Column(name, NUMBER, nullable=False)


def _optional_number(name: str) -> Column[int]:
    return Column(name, NUMBER)


def _within(table: str, *columns: str, most: int = MAX_NANO) -> list[CheckConstraint]:
    return [CheckConstraint(f"{column} BETWEEN 0 AND {most}", name=f"{table}_{column}_range") for column in columns]


def _one_of(table: str, column: str, values: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({values})", name=f"{table}_{column}_known")


installation = Table(
    "installation",
    METADATA,
    Column("name", Text, primary_key=True, nullable=False),
    _text("value"),
    sqlite_strict=True,
)

epoch = Table(
    "epoch",
    METADATA,
    Column("epoch", Integer, primary_key=True),
    _number("pid"),
    _text("version"),
    _number("started_at_micros"),
    _optional_number("ended_at_micros"),
    sqlite_strict=True,
)

price_version = Table(
    "price_version",
    METADATA,
    Column("price_version", Text, primary_key=True, nullable=False),
    _text("provider"),
    _text("model_id"),
    _text("effective"),
    _text("source"),
    _text("rates_pico"),
    _number("markup_ppm"),
    _optional_text("variants"),
    *_within("price_version", "markup_ppm"),
    sqlite_strict=True,
)

request = Table(
    "request",
    METADATA,
    Column("request_id", Text, primary_key=True, nullable=False),
    _text("operation"),
    _text("account"),
    _text("key_id"),
    _text("key_name"),
    _text("requested_model"),
    Column("stream", Integer, nullable=False),
    _optional_text("route"),
    _number("received_at_micros"),
    _optional_text("tags"),
    _optional_text("excluded"),
    Index("request_by_key", "key_id", "request_id"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

attempt = Table(
    "attempt",
    METADATA,
    Column("attempt_id", Text, primary_key=True, nullable=False),
    Column("request_id", Text, ForeignKey("request.request_id"), nullable=False),
    Column("turn_index", Integer, nullable=False),
    Column("attempt_index", Integer, nullable=False),
    Column("parent_attempt_id", Text, ForeignKey("attempt.attempt_id")),
    Column("epoch", Integer, ForeignKey("epoch.epoch"), nullable=False),
    _text("model_id"),
    _text("provider"),
    _optional_text("deployment"),
    _text("identity"),
    Column("price_version", Text, ForeignKey("price_version.price_version"), nullable=False),
    _number("bound_input_tokens"),
    _number("bound_output_tokens"),
    _number("bound_nano"),
    _number("input_estimate"),
    _text("scopes"),
    _number("held_at_micros"),
    UniqueConstraint("request_id", "turn_index", "attempt_index", name="attempt_place"),
    Index("attempt_by_deployment", "deployment", "attempt_id", sqlite_where=DEPLOYED, postgresql_where=DEPLOYED),
    *_within("attempt", "turn_index", "bound_nano", "bound_input_tokens", "bound_output_tokens", "input_estimate"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

hold = Table(
    "hold",
    METADATA,
    Column("attempt_id", Text, ForeignKey("attempt.attempt_id"), primary_key=True, nullable=False),
    _optional_number("sent_at_micros"),
    _optional_number("checkpoint_output_tokens"),
    _optional_number("checkpoint_bytes"),
    _optional_number("checkpoint_at_micros"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

resolution = Table(
    "resolution",
    METADATA,
    Column("attempt_id", Text, ForeignKey("attempt.attempt_id"), primary_key=True, nullable=False),
    _text("outcome"),
    Column("epoch", Integer, ForeignKey("epoch.epoch"), nullable=False),
    _number("at_micros"),
    _optional_number("sent_at_micros"),
    _optional_number("first_event_at_micros"),
    _number("ended_at_micros"),
    _optional_number("input_fresh"),
    _optional_number("input_cache_read"),
    _optional_number("input_cache_write_5m"),
    _optional_number("input_cache_write_1h"),
    _optional_number("output_text"),
    _optional_number("output_reasoning"),
    _optional_text("usage_source"),
    _optional_text("usage_anomaly"),
    _number("delivered_bytes"),
    _optional_text("ending"),
    _optional_text("error_code"),
    _optional_number("upstream_status"),
    _optional_text("upstream_request_id"),
    _optional_number("request_status"),
    Column("possible_spend", Integer, nullable=False),
    _optional_text("reconcile"),
    _optional_text("usage_more"),
    _optional_number("share_micros"),
    _optional_number("share_nano"),
    _one_of("resolution", "outcome", "'settled', 'voided'"),
    CheckConstraint("possible_spend IN (0, 1)", name="resolution_possible_spend_flag"),
    CheckConstraint("(outcome = 'settled') = (usage_source IS NOT NULL)", name="resolution_usage_when_settled"),
    *_within("resolution", "delivered_bytes"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

settled_line = Table(
    "settled_line",
    METADATA,
    Column("attempt_id", Text, ForeignKey("resolution.attempt_id"), primary_key=True, nullable=False),
    Column("line", Integer, primary_key=True, nullable=False),
    _text("line_kind"),
    _number("quantity"),
    _number("price_pico"),
    _number("cost_nano"),
    _number("charge_nano"),
    *_within("settled_line", "line", "quantity", "price_pico", "cost_nano", "charge_nano"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

waiver = Table(
    "waiver",
    METADATA,
    Column("attempt_id", Text, ForeignKey("resolution.attempt_id"), primary_key=True, nullable=False),
    _text("error_code"),
    _number("request_status"),
    _number("at_micros"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

ledger_entry = Table(
    "ledger_entry",
    METADATA,
    Column("entry_id", NUMBER, primary_key=True),
    Column("line", Integer, nullable=False),
    _text("kind"),
    _text("line_kind"),
    _text("debit"),
    _text("credit"),
    _number("quantity"),
    _number("price_pico"),
    _number("amount_nano"),
    _number("at_micros"),
    Column("reverses", NUMBER, ForeignKey("ledger_entry.entry_id")),
    _optional_text("note"),
    _optional_text("reference"),
    _optional_text("run_id"),
    _optional_text("scopes"),
    Index("ledger_entry_by_reference", "reference", unique=True, sqlite_where=REFERENCED, postgresql_where=REFERENCED),
    Index("ledger_entry_by_run", *RUN_PLACE, unique=True, sqlite_where=OF_A_RUN, postgresql_where=OF_A_RUN),
    _one_of("ledger_entry", "kind", "'cost', 'charge', 'top_up', 'adjustment'"),
    *_within("ledger_entry", "quantity", "price_pico", "amount_nano", "line"),
    CheckConstraint("debit <> credit", name="ledger_entry_two_accounts"),
    sqlite_strict=True,
)

scope = Table(
    "scope",
    METADATA,
    Column("scope", Text, primary_key=True, nullable=False),
    _optional_number("limit_nano"),
    _number("held_nano"),
    _number("spent_nano"),
    *_within("scope", "limit_nano", "held_nano", "spent_nano"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

team = Table(
    "team",
    METADATA,
    Column("name", Text, primary_key=True, nullable=False),
    Column("is_prepaid", Integer, nullable=False),
    _number("created_at_micros"),
    sqlite_strict=True,
)

budget = Table(
    "budget",
    METADATA,
    Column("budget_id", Text, primary_key=True, nullable=False),
    _text("scope"),
    _text("time_window"),
    _text("zone"),
    _number("limit_nano"),
    _text("mode"),
    _number("created_at_micros"),
    _number("changed_at_micros"),
    _one_of("budget", "time_window", "'hour', 'day', 'week', 'month', 'total'"),
    _one_of("budget", "mode", "'reject', 'clamp'"),
    *_within("budget", "limit_nano"),
    sqlite_strict=True,
)

access_key = Table(
    "access_key",
    METADATA,
    Column("public_id", Text, primary_key=True, nullable=False),
    _text("name"),
    _text("role"),
    _text("account"),
    Column("digest", LargeBinary, nullable=False),
    _optional_text("models"),
    _number("created_at_micros"),
    _optional_number("revoked_at_micros"),
    _optional_number("cache_seconds"),
    _optional_text("first_id"),
    _optional_text("deployment"),
    _one_of("access_key", "role", "'key', 'admin'"),
    sqlite_strict=True,
)

provider_credential = Table(
    "provider_credential",
    METADATA,
    Column("provider", Text, primary_key=True, nullable=False),
    Column("label", Text, primary_key=True, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    _number("key_version"),
    _number("set_at_micros"),
    sqlite_strict=True,
)

blob = Table(
    "blob",
    METADATA,
    Column("owner", Text, primary_key=True, nullable=False),
    Column("kind", Text, primary_key=True, nullable=False),
    Column("id", Text, primary_key=True, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_version", Integer, nullable=False),
    _number("expires_at_micros"),
    Index("blob_by_expiry", "expires_at_micros"),
    sqlite_strict=True,
)

alias = Table(
    "alias",
    METADATA,
    Column("name", Text, primary_key=True, nullable=False),
    _text("points_to"),
    _text("fallbacks"),
    _number("created_at_micros"),
    _number("changed_at_micros"),
    sqlite_strict=True,
)

rate_limit = Table(
    "rate_limit",
    METADATA,
    Column("scope", Text, primary_key=True, nullable=False),
    _text("limits"),
    _number("changed_at_micros"),
    sqlite_strict=True,
)

reconciliation = Table(
    "reconciliation",
    METADATA,
    Column("id", Text, primary_key=True, nullable=False),
    _text("provider"),
    _text("digest"),
    _number("made_at_micros"),
    _text("summary"),
    _text("report"),
    sqlite_strict=True,
)

outcome = Table(
    "outcome",
    METADATA,
    Column("owner", Text, primary_key=True, nullable=False),
    Column("route", Text, primary_key=True, nullable=False),
    Column("name", Text, primary_key=True, nullable=False),
    _text("digest"),
    _text("request_id"),
    _text("state"),
    Column("epoch", Integer, nullable=False),
    Column("sealed", LargeBinary),
    Column("key_version", Integer),
    _number("expires_at_micros"),
    _one_of("outcome", "state", "'running', 'stored', 'lost'"),
    CheckConstraint("(state = 'stored') = (sealed IS NOT NULL)", name="outcome_sealed_when_stored"),
    Index("outcome_by_expiry", "expires_at_micros"),
    sqlite_strict=True,
)
