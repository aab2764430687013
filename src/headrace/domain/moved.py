"""What moving an installation's books into another store did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moved:
    """Books that were moved: from where to where, how many rows of each table, and the money that both sides agree on.

    Units: `entries_nano` is the sum of all entries, `spent_nano` and `held_nano` those of the scope `platform`.
    """

    source: str
    target: str
    rows: Mapping[str, int]
    entries_nano: int
    spent_nano: int
    held_nano: int
