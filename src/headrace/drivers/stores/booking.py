"""Owns writing an attempt's end: its one resolution, its settled lines and the closing of its hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

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
LINE_COLUMNS = 7
RESOLUTION_COLUMNS = 26

Value: TypeAlias = "str | int"


class Booking(NamedTuple):
    """Who books and when; `reconcile` says why somebody should compare it with the upstream's bill."""

    epoch: int
    at_micros: int
    reconcile: str | None = None
    possible_spend: bool = False


def book_settlement(cursor: Cursor, settlement: Settlement, booking: Booking, figures: Figures) -> Conflict | None:
    """Write a settlement, or return the conflict and change nothing when the attempt has ended or is unknown.

    A charge above the hold is booked in full and flagged: it may carry a scope past its limit once.
    """
    sent_at_micros = close_holds(cursor, (settlement.attempt_id,)).get(settlement.attempt_id)
    if sent_at_micros is None:
        return ended(settlement.attempt_id)
    origin, charge = figures.open_attempts.ended(cursor, settlement.attempt_id), charge_of(settlement)
    figures.balances.release(cursor, origin.scopes, origin.amount_nano, charge)
    over_hold = charge > origin.amount_nano
    cursor.execute(sql.ADD_RESOLUTION, settled_row(settlement, booking, sent_at_micros, over_hold=over_hold))
    if settlement.lines:
        run_rows(cursor, sql.ADD_LINE, LINE_COLUMNS, line_values(settlement))
    figures.rollups.settled(settlement, charge, origin)
    return None


def book_waiver(cursor: Cursor, settlement: Settlement, at_micros: int, figures: Figures) -> None:
    """Take back the charge of a settlement that was booked though its caller was told that nothing is owed.

    Its cost stays. A second time changes nothing.
    """
    told = settlement.withheld()
    waived = (settlement.attempt_id, told.error_code or "", told.request_status or 0, at_micros)
    cursor.execute(sql.ADD_WAIVER, waived)
    if cursor.rowcount == 0:
        return
    origin, charge = figures.open_attempts.ended(cursor, settlement.attempt_id), charge_of(settlement)
    figures.balances.release(cursor, origin.scopes, 0, -charge)
    figures.rollups.waived(settlement, charge, origin)


def book_void(cursor: Cursor, void: Void, booking: Booking, figures: Figures) -> Conflict | None:
    """Write a void, or return the conflict and change nothing when the attempt has ended or is unknown."""
    sent_at_micros = close_holds(cursor, (void.attempt_id,)).get(void.attempt_id)
    if sent_at_micros is None:
        return ended(void.attempt_id)
    origin = figures.open_attempts.ended(cursor, void.attempt_id)
    figures.balances.release(cursor, origin.scopes, origin.amount_nano, 0)
    cursor.execute(sql.ADD_RESOLUTION, voided_row(void, booking, sent_at_micros))
    figures.rollups.voided(void, origin)
    return None


def settled_row(settlement: Settlement, booking: Booking, sent_at_micros: int, *, over_hold: bool) -> tuple[Value, ...]:
    """Return the parameters of ADD_RESOLUTION for a settlement."""
    usage = settlement.usage
    reconcile = OVER_HOLD if over_hold else booking.reconcile or (ANOMALY if usage.anomaly else "")
    return (
        settlement.attempt_id,
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
        quantities_text(usage.more) if usage.more else "",
        settlement.share_micros or -1,
        settlement.share_nano if settlement.share_micros else -1,
    )


def voided_row(void: Void, booking: Booking, sent_at_micros: int) -> tuple[Value, ...]:
    """Return the parameters of ADD_RESOLUTION for a void."""
    spend = void.possible_spend or booking.possible_spend
    no_usage = (-1, -1, -1, -1, -1, -1, "", "")
    return (
        *(void.attempt_id, "voided", booking.epoch, booking.at_micros, sent_at_micros, -1, void.ended_at_micros),
        *(*no_usage, 0, "", void.error_code, or_nothing(void.upstream_status), ""),
        *(or_nothing(void.request_status), int(spend), booking.reconcile or (POSSIBLE_SPEND if spend else "")),
        *("", -1, -1),
    )


def line_values(settlement: Settlement) -> list[Value]:
    """Return the parameters of ADD_LINE, one line after the other."""
    attempt_id = settlement.attempt_id
    values: list[Value] = []
    for number, line in enumerate(settlement.lines):
        values += (attempt_id, number, line.kind, line.quantity, line.price_pico, line.cost_nano, line.charge_nano)
    return values


def charge_of(settlement: Settlement) -> int:
    """Return what a settlement charges, in nano-dollars."""
    return sum([line.charge_nano for line in settlement.lines])


def close_holds(cursor: Cursor, attempt_ids: Iterable[str]) -> dict[str, int]:
    """Close the holds of these attempts; return when those that were open were sent, or -1.

    Their scopes are still to be released.
    """
    return dict(run_rows(cursor, sql.CLOSE_HOLDS, 1, list(dict.fromkeys(attempt_ids))))


def ended(attempt_id: str) -> Conflict:
    """Return the conflict of ending an attempt that is not open."""
    return Conflict(f"The attempt {attempt_id} has ended already or never began; nothing was booked.")


def or_nothing(number: int | None) -> int:
    """Return the number, or the -1 that the statements write as NULL."""
    return -1 if number is None else number
