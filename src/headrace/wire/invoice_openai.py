"""OpenAI's usage and costs: pages of the API, and the dashboard's CSV exports with the same names.

Usage tells tokens and requests, costs tell amounts in dollars, neither tells both. `input_tokens` holds cached ones.
Source: https://developers.openai.com/api/docs/api-reference/usage (usage results, costs results; read 2026-11-28).
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from headrace.domain.bill import Figures
from headrace.wire.invoice_cells import Amount, Cells
from headrace.wire.invoice_record import Record

AMOUNT = ("amount_value", "amount.value")
CURRENCY = ("amount_currency", "amount.currency")
START = ("start_time", "start_time_iso")


def is_openai(columns: AbstractSet[str]) -> bool:
    """Whether a file's columns are those of these exports."""
    return not columns.isdisjoint(START) and not columns.isdisjoint((*AMOUNT, "num_model_requests"))


def openai_record(cells: Cells) -> Record | None:
    """Return one result; None for a day on which there was nothing."""
    if cells.has(*AMOUNT):
        amount = cells.amount(*AMOUNT)
        return None if amount is None else _cost(cells, amount)
    counts = {
        "requests": cells.count("num_model_requests"),
        "input_tokens": cells.count("input_tokens"),
        "cache_read_tokens": cells.count("input_cached_tokens"),
        "cache_write_tokens": cells.count("input_cache_write_tokens"),
        "output_tokens": cells.count("output_tokens"),
    }
    if not any(counts.values()):
        return None
    return Record(cells.day(*START), cells.word("model"), Figures(**counts))


def _cost(cells: Cells, amount: Amount) -> Record:
    """A line item reads "MODEL, what of it"; without one the amount is of the whole day."""
    cells.currency(*CURRENCY)
    model = cells.word("line_item").partition(",")[0].strip()
    return Record(cells.day(*START), model, Figures(cost_pico=amount.pico), amount)
