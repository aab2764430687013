"""What a format's reader makes of one record of a bill."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.bill import Figures
from headrace.wire.invoice_cells import Amount


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its day, the model as the provider names it ("" for the whole day), its figures and its amount."""

    day: str
    model: str
    figures: Figures
    amount: Amount | None = None
    request_id: str | None = None
