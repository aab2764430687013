"""Owns resolving what dead processes left open; each attempt ends like any other, by booking.py.

An attempt that was not marked SENT is voided. Its send may have begun in the instant of the crash, so a
possible spend is noted; the caller got nothing, because no byte leaves before SENT is durable.

An attempt that was SENT is settled from its last checkpoint. When output had been delivered, the caller is
charged for the output counted there, never for more than was held, and for the estimate of the prompt that was
stored with the hold. When nothing had been delivered, the caller is charged nothing; the same figures are booked as
the operator's cost, with a possible spend noted. Either way the usage says "counted" and the attempt is marked for
reconciling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from headrace.domain.books import RecoveryReport, Settlement, Timing, Void
from headrace.domain.errors import HeadraceError
from headrace.domain.price import PriceVersion, price_lines
from headrace.domain.usage import Usage
from headrace.drivers.stores.audit import audit_holds
from headrace.drivers.stores.booking import Booking, book_settlement, book_void
from headrace.drivers.stores.figures import Figures
from headrace.drivers.stores.sqlite import Cursor
from headrace.wire.price_json import read_rates, read_variants

Found: TypeAlias = (
    "tuple[str, int | None, int, int, int, int, int, int | None, int, str, str, str, str, str, str, int, str | None]"
)

RECOVERED = "recovered"
OPEN_OF_DEAD_EPOCHS = """
SELECT attempt.attempt_id, hold.sent_at_micros, attempt.held_at_micros, attempt.epoch,
    attempt.input_estimate, coalesce(hold.checkpoint_output_tokens, 0),
    coalesce(hold.checkpoint_bytes, 0), hold.checkpoint_at_micros, attempt.bound_output_tokens,
    price.price_version, price.provider, price.model_id, price.effective, price.source, price.rates_pico,
    price.markup_ppm, price.variants
FROM hold
JOIN attempt ON attempt.attempt_id = hold.attempt_id
JOIN price_version AS price ON price.price_version = attempt.price_version
WHERE attempt.epoch <> ?
ORDER BY attempt.attempt_id
"""


def recover(cursor: Cursor, told: tuple[int, int, str, Figures]) -> RecoveryReport:
    """Resolve every open attempt of another epoch; told: this epoch, the time, what the file check found, figures."""
    epoch, now_micros, soundness, figures = told
    rows: list[Found] = cursor.execute(OPEN_OF_DEAD_EPOCHS, (epoch,)).fetchall()
    settled = 0
    for row in rows:
        if row[1] is None:
            void = Void(row[0], RECOVERED, row[2], possible_spend=True)
            _require(book_void(cursor, void, Booking(epoch, now_micros, RECOVERED), figures))
        else:
            _settle(cursor, row, Booking(epoch, now_micros, RECOVERED, possible_spend=row[6] == 0), figures)
            settled += 1
    figures.write(cursor)
    problem = audit_holds(cursor)
    return RecoveryReport(
        epochs=len({row[3] for row in rows}),
        settled=settled,
        voided=len(rows) - settled,
        integrity=soundness if problem is None else problem,
    )


def read_price(columns: Sequence[str | int | None]) -> PriceVersion:
    """Return a stored price: id, provider, model, effective, source, rates as JSON, markup, variants as JSON."""
    tiers, windows, batch_ppm = read_variants(None if columns[7] is None else str(columns[7]))
    return PriceVersion(
        id=str(columns[0]),
        provider=str(columns[1]),
        model_id=str(columns[2]),
        effective=str(columns[3]),
        source=str(columns[4]),
        rates_pico=read_rates(str(columns[5])),
        markup_ppm=int(columns[6] or 0),
        tiers=tiers,
        windows=windows,
        batch_ppm=batch_ppm,
    )


def _settle(cursor: Cursor, row: Found, booking: Booking, figures: Figures) -> None:
    attempt_id, sent_at_micros, held_at_micros, _, input_tokens, output_tokens, bytes_, checkpoint_at, most = row[:9]
    usage = Usage(input_fresh=input_tokens, output_text=min(output_tokens, most), source="counted")
    settlement = Settlement(
        attempt_id=attempt_id,
        usage=usage,
        lines=price_lines(usage, read_price(row[9:]), held_at_micros, charged=bytes_ > 0),
        ending=RECOVERED,
        timing=Timing(None, checkpoint_at or sent_at_micros or held_at_micros),
        delivered_bytes=bytes_,
        error_code=RECOVERED,
    )
    _require(book_settlement(cursor, settlement, booking, figures))


def _require(conflict: HeadraceError | None) -> None:
    if conflict is not None:
        raise conflict
