"""Owns writing an attempt's end: its one resolution, its entries and the closing of its holds.

One entry is one transfer. A charge goes from `receivable:ACCOUNT` to `revenue`, a cost from
`expense:PROVIDER` to `payable:PROVIDER`; entries are never changed, a correction reverses them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from headrace.domain.books import Settlement, Void
from headrace.domain.errors import Conflict
from headrace.drivers.stores import sql
from headrace.drivers.stores.figures import Figures
from headrace.drivers.stores.rowsets import run_rows
from headrace.drivers.stores.sqlite import Cursor
from headrace.wire.usage_json import quantities_text

OVER_HOLD = "over_hold"
ANOMALY = "usage_anomaly"
POSSIBLE_SPEND = "possible_spend"
SCOPES = msgspec.json.Decoder(tuple[str, ...])
ENTRY_COLUMNS = 10
RESOLUTION_COLUMNS = 26

Value: TypeAlias = "str | int"
Closed: TypeAlias = "tuple[str, str, str, int, str, int]"
"""A hold as it was closed: attempt, provider, account, amount, scopes as JSON, when it was sent or -1."""


@dataclass(frozen=True, slots=True)
class Booking:
    """Who books and when; `reconcile` says why somebody should compare it with the upstream's bill."""

    epoch: int
    at_micros: int
    reconcile: str | None = None
    possible_spend: bool = False


def book_settlement(cursor: Cursor, settlement: Settlement, booking: Booking, figures: Figures) -> Conflict | None:
    """Write a settlement, or return the conflict and change nothing when the attempt has ended or is unknown.

    A charge above the hold is booked in full and flagged: it may carry a scope past its limit once.
    """
    charge = charge_of(settlement)
    closed = _close(cursor, settlement.attempt_id, charge, figures)
    if closed is None:
        return ended(settlement.attempt_id)
    cursor.execute(sql.ADD_RESOLUTION, settled_row(settlement, booking, closed, charge))
    if settlement.lines:
        run_rows(cursor, sql.ADD_ENTRY, ENTRY_COLUMNS, entry_values(settlement, closed, booking.at_micros))
    figures.rollups.settled(cursor, settlement, charge)
    return None


def book_void(cursor: Cursor, void: Void, booking: Booking, figures: Figures) -> Conflict | None:
    """Write a void, or return the conflict and change nothing when the attempt has ended or is unknown."""
    closed = _close(cursor, void.attempt_id, 0, figures)
    if closed is None:
        return ended(void.attempt_id)
    cursor.execute(sql.ADD_RESOLUTION, voided_row(void, booking, closed))
    figures.rollups.voided(cursor, void)
    return None


def settled_row(settlement: Settlement, booking: Booking, closed: Closed, charge: int) -> tuple[Value, ...]:
    """Return the parameters of ADD_RESOLUTION for a settlement."""
    usage = settlement.usage
    reconcile = OVER_HOLD if charge > closed[3] else booking.reconcile or (ANOMALY if usage.anomaly else "")
    return (
        settlement.attempt_id,
        "settled",
        booking.epoch,
        booking.at_micros,
        closed[5],
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
        quantities_text(usage.more) if usage.more else "",
        settlement.share_micros or -1,
        settlement.share_nano if settlement.share_micros else -1,
    )


def voided_row(void: Void, booking: Booking, closed: Closed) -> tuple[Value, ...]:
    """Return the parameters of ADD_RESOLUTION for a void."""
    spend = void.possible_spend or booking.possible_spend
    no_usage = (-1, -1, -1, -1, -1, -1, "", "")
    return (
        *(void.attempt_id, "voided", booking.epoch, booking.at_micros, closed[5], -1, void.ended_at_micros),
        *(*no_usage, 0, "", void.error_code, or_nothing(void.upstream_status), ""),
        *(or_nothing(void.request_status), int(spend), booking.reconcile or (POSSIBLE_SPEND if spend else "")),
        *("", -1, -1),
    )


def entry_values(settlement: Settlement, closed: Closed, at_micros: int) -> list[Value]:
    """Return the parameters of ADD_ENTRY for a cost and a charge per line, one row after the other."""
    attempt_id, provider, account = closed[:3]
    expense, payable, receivable = f"expense:{provider}", f"payable:{provider}", f"receivable:{account}"
    values: list[Value] = []
    for number, line in enumerate(settlement.lines):
        priced = (line.quantity, line.price_pico)
        values += (attempt_id, number, "cost", line.kind, expense, payable, *priced, line.cost_nano, at_micros)
        values += (attempt_id, number, "charge", line.kind, receivable, "revenue", *priced)
        values += (line.charge_nano, at_micros)
    return values


def charge_of(settlement: Settlement) -> int:
    """Return what a settlement charges, in nano-dollars."""
    return sum([line.charge_nano for line in settlement.lines])


def close_holds(cursor: Cursor, attempt_ids: Iterable[str]) -> dict[str, Closed]:
    """Close the holds of these attempts and return those that were open; their scopes are still to be released."""
    return {row[0]: row for row in run_rows(cursor, sql.CLOSE_HOLDS, 1, list(dict.fromkeys(attempt_ids)))}


def ended(attempt_id: str) -> Conflict:
    """Return the conflict of ending an attempt that is not open."""
    return Conflict(f"The attempt {attempt_id} has ended already or never began; nothing was booked.")


def or_nothing(number: int | None) -> int:
    """Return the number, or the -1 that the statements write as NULL."""
    return -1 if number is None else number


def _close(cursor: Cursor, attempt_id: str, charge: int, figures: Figures) -> Closed | None:
    closed: Closed | None = close_holds(cursor, (attempt_id,)).get(attempt_id)
    if closed is not None:
        figures.balances.release(cursor, SCOPES.decode(closed[4]), closed[3], charge)
    return closed
