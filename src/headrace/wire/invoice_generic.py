"""Our own form of a bill, for providers whose exports are not read as they are: one line a day and model, or finer.

`input_tokens` holds cached ones, `output_tokens` those of reasoning; `cost` is in dollars. The form is documented in
docs/reconciliation.md.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from headrace.domain.bill import Figures
from headrace.wire.invoice_cells import Cells, bill_invalid
from headrace.wire.invoice_record import Record

COUNTS = (
    ("requests", "requests"),
    ("input_tokens", "input_tokens"),
    ("cached_input_tokens", "cache_read_tokens"),
    ("cache_write_tokens", "cache_write_tokens"),
    ("output_tokens", "output_tokens"),
    ("reasoning_tokens", "reasoning_tokens"),
)
COST = ("cost", "cost_usd")
COLUMNS = ("date", "model", *(name for name, _ in COUNTS), *COST, "currency", "request_id")


def is_generic(columns: AbstractSet[str]) -> bool:
    """Whether a file's columns can be our own form."""
    return "date" in columns and any(name in columns for name, _ in (*COUNTS, *((each, "") for each in COST)))


def generic_record(cells: Cells) -> Record:
    """Return one line; an amount finer than a pico-dollar is refused."""
    amount = cells.amount(*COST)
    if amount is not None:
        cells.currency("currency")
        if amount.is_rounded:
            raise cells.wrong("cost", amount.text, "write at most twelve decimal places")
    counts = {ours: cells.count(theirs) for theirs, ours in COUNTS}
    told = Figures(**counts, cost_pico=None if amount is None else amount.pico)
    if not any(name in cells.columns for name, _ in COUNTS) and amount is None:
        raise bill_invalid(f"{cells.place}: the cost is missing: write it in dollars, 0 where nothing was billed.")
    return Record(cells.day("date"), cells.word("model"), told, amount, cells.word("request_id") or None)
