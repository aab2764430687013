"""Anthropic's usage and cost: reports of the Admin API, and the console's CSV exports.

Usage tells tokens in disjoint classes and no requests. A cost report's `amount` is in cents, as a decimal text; the
console's `cost_usd` is in dollars.
Source: https://platform.claude.com/docs/en/api/admin/cost_report and .../usage_report (read 2026-11-28); the columns
of the console's exports are those of files that users published.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from headrace.domain.bill import Figures
from headrace.wire.invoice_cells import CENTS, Amount, Cells
from headrace.wire.invoice_record import Record

DAY = ("usage_date_utc", "starting_at")
MODEL = ("model_version", "model")
FRESH = ("uncached_input_tokens", "usage_input_tokens_no_cache")
READ = ("cache_read_input_tokens", "usage_input_tokens_cache_read")
WRITTEN = (
    ("cache_creation.ephemeral_5m_input_tokens", "usage_input_tokens_cache_write_5m"),
    ("cache_creation.ephemeral_1h_input_tokens", "usage_input_tokens_cache_write_1h"),
)
OUTPUT = ("output_tokens", "usage_output_tokens")


def is_anthropic(columns: AbstractSet[str]) -> bool:
    """Whether a file's columns are those of these reports and exports."""
    return not columns.isdisjoint(DAY) and not columns.isdisjoint((*FRESH, "amount", "cost_usd"))


def anthropic_record(cells: Cells) -> Record | None:
    """Return one result; None for one that tells nothing."""
    if cells.has("amount", "cost_usd"):
        amount = cells.amount("amount", unit=CENTS) or cells.amount("cost_usd")
        return None if amount is None else _cost(cells, amount)
    fresh, read = cells.count(*FRESH), cells.count(*READ)
    written = _sum(*(cells.count(*names) for names in WRITTEN))
    counts = {
        "input_tokens": _sum(fresh, read, written),
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "output_tokens": cells.count(*OUTPUT),
    }
    if not any(counts.values()):
        return None
    return Record(cells.day(*DAY), cells.word(*MODEL), Figures(**counts))


def _cost(cells: Cells, amount: Amount) -> Record:
    """Costs of no model, such as searches, go by their description; without any it is of the whole day."""
    cells.currency("currency")
    model = cells.word("model") or cells.word("description", "cost_type")
    return Record(cells.day(*DAY), model, Figures(cost_pico=amount.pico), amount)


def _sum(*counts: int | None) -> int | None:
    told = [count for count in counts if count is not None]
    return sum(told) if told else None
