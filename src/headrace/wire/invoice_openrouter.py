"""OpenRouter's activity: the API's days, and the CSV of single generations; amounts are in dollars.

`usage` is what the account was charged; what a key of the operator's own paid elsewhere is not in it. Prompt tokens
hold cached ones, completion tokens those of reasoning.
Source: https://openrouter.ai/docs/client-sdks/typescript/models/activityitem and
https://openrouter.ai/docs/cookbook/administration/activity-export (read 2026-11-28).
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from headrace.domain.bill import Figures
from headrace.wire.invoice_cells import Cells
from headrace.wire.invoice_record import Record

DAY = ("date", "created_at")
COST = ("usage", "cost_total")


def is_openrouter(columns: AbstractSet[str]) -> bool:
    """Whether a file's columns are those of these exports."""
    return not columns.isdisjoint(("generation_id", "byok_usage_inference", "model_permaslug"))


def openrouter_record(cells: Cells) -> Record | None:
    """Return one day of one model, or one generation."""
    amount = cells.amount(*COST)
    generation = cells.word("generation_id") or None
    used = Figures(
        requests=1 if generation else cells.count("requests"),
        input_tokens=cells.count("prompt_tokens", "tokens_prompt"),
        cache_read_tokens=cells.count("tokens_cached"),
        output_tokens=cells.count("completion_tokens", "tokens_completion"),
        reasoning_tokens=cells.count("reasoning_tokens", "tokens_reasoning"),
        cost_pico=0 if amount is None else amount.pico,
    )
    return Record(cells.day(*DAY), cells.word("model", "model_permaslug"), used, amount, generation)
