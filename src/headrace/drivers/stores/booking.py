"""Owns writing an attempt's end: its one resolution, its entries and the closing of its holds.

One entry is one transfer. A charge goes from `receivable:ACCOUNT` to `revenue`, a cost from
`expense:PROVIDER` to `payable:PROVIDER`; entries are never changed, a correction reverses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import msgspec

from headrace.domain.books import Settlement, Void
from headrace.domain.errors import Conflict
from headrace.drivers.stores import sql
from headrace.drivers.stores.sqlite import Cursor

OVER_HOLD = "over_hold"
ANOMALY = "usage_anomaly"
POSSIBLE_SPEND = "possible_spend"
SCOPES = msgspec.json.Decoder(tuple[str, ...])
ENTRY_ROW = ", (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Booking:
    """Who books and when; `reconcile` says why somebody should compare it with the upstream's bill."""

    epoch: int
    at_micros: int
    reconcile: str | None = None
    possible_spend: bool = False


def book_settlement(cursor: Cursor, settlement: Settlement, booking: Booking) -> Conflict | None:
    """Write a settlement, or return the conflict and change nothing when the attempt has ended or is unknown.

    A charge above the hold is booked in full and flagged: it may carry a scope past its limit once.
    """
    attempt_id, usage, lines = settlement.attempt_id, settlement.usage, settlement.lines
    charge = sum([line.charge_nano for line in lines])
    closed = _close(cursor, attempt_id, charge)
    if closed is None:
        return _ended(attempt_id)
    provider, account, held_nano, sent_at_micros = closed
    reconcile = OVER_HOLD if charge > held_nano else booking.reconcile or (ANOMALY if usage.anomaly else "")
    values = (
        attempt_id,
        "settled",
        booking.epoch,
        booking.at_micros,
        sent_at_micros,
        or_nothing(settlement.timing.first_event_at_micros),
        settlement.timing.ended_at_micros,
        usage.input_fresh,
        usage.input_cache_read,
        usage.input_cache_write_5m,
        usage.input_cache_write_1h,
        usage.output_text,
        usage.output_reasoning,
        usage.source,
        usage.anomaly or "",
        settlement.delivered_bytes,
        settlement.ending,
        settlement.error_code or "",
        or_nothing(settlement.upstream_status),
        settlement.upstream_request_id or "",
        or_nothing(settlement.request_status),
        int(booking.possible_spend),
        reconcile,
    )
    cursor.execute(sql.ADD_RESOLUTION, values)
    if lines:
        _write_entries(cursor, settlement, (provider, account), booking.at_micros)
    return None


def book_void(cursor: Cursor, void: Void, booking: Booking) -> Conflict | None:
    """Write a void, or return the conflict and change nothing when the attempt has ended or is unknown."""
    closed = _close(cursor, void.attempt_id, 0)
    if closed is None:
        return _ended(void.attempt_id)
    spend = void.possible_spend or booking.possible_spend
    no_usage = (-1, -1, -1, -1, -1, -1, "", "")
    values = (
        *(void.attempt_id, "voided", booking.epoch, booking.at_micros, closed[3], -1, void.ended_at_micros),
        *(*no_usage, 0, "", void.error_code, or_nothing(void.upstream_status), ""),
        *(or_nothing(void.request_status), int(spend), booking.reconcile or (POSSIBLE_SPEND if spend else "")),
    )
    cursor.execute(sql.ADD_RESOLUTION, values)
    return None


def or_nothing(number: int | None) -> int:
    """Return the number, or the -1 that the statements write as NULL."""
    return -1 if number is None else number


def _close(cursor: Cursor, attempt_id: str, charge: int) -> tuple[str, str, int, int] | None:
    of_attempt = (attempt_id,)
    row = cursor.execute(sql.READ_HOLD, of_attempt).fetchone()
    if row is None:
        return None
    provider, account, held_nano, scopes, sent_at_micros = row
    cursor.execute(sql.CLOSE_HOLD, of_attempt)
    for scope in SCOPES.decode(scopes):
        cursor.execute(sql.RELEASE, (held_nano, charge, scope))
    return provider, account, held_nano, sent_at_micros


def _write_entries(cursor: Cursor, settlement: Settlement, owed: tuple[str, str], at_micros: int) -> None:
    provider, account = owed
    expense, payable, receivable = f"expense:{provider}", f"payable:{provider}", f"receivable:{account}"
    attempt_id = settlement.attempt_id
    values: list[str | int] = []
    for number, line in enumerate(settlement.lines):
        priced = (line.quantity, line.price_pico)
        values += (attempt_id, number, "cost", line.kind, expense, payable, *priced, line.cost_nano, at_micros)
        values += (attempt_id, number, "charge", line.kind, receivable, "revenue", *priced)
        values += (line.charge_nano, at_micros)
    cursor.execute(_entries_sql(2 * len(settlement.lines)), values)


@cache
def _entries_sql(rows: int) -> str:
    return sql.ADD_ENTRY + ENTRY_ROW * (rows - 1)


def _ended(attempt_id: str) -> Conflict:
    return Conflict(f"The attempt {attempt_id} has ended already or never began; nothing was booked.")
