"""The ports to what a bill is compared with, and to the comparisons that were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headrace.domain.bill import BookedAttempt, BookedHour


@dataclass(frozen=True, slots=True)
class KeptReconciliation:
    """A comparison as it was made; `summary` and `report` are JSON, `digest` is that of the file."""

    id: str
    provider: str
    digest: str
    made_at_micros: int
    summary: str
    report: str


@dataclass(frozen=True, slots=True)
class Period:
    """A provider and a time; the end is not in it."""

    provider: str
    since_micros: int
    until_micros: int


class BookedUsage(Protocol):
    """Our books of one provider."""

    async def hours(self, period: Period) -> tuple[BookedHour, ...]:
        """Return the hours in which something was settled, by model."""
        ...

    async def attempts(
        self, period: Period, billed: frozenset[str] | None, most_each: int
    ) -> tuple[tuple[BookedAttempt, ...], frozenset[str]]:
        """Return the attempts that may differ from a bill, the strongest reasons first, and the bill's ids found here.

        With `billed`, the ids that the bill names, an attempt without one of them may differ too. Where fewer of a day
        and model may differ than `most_each`, others fill them up; they carry no reason.
        """
        ...


class ReconciliationStore(Protocol):
    """Comparisons that were made; none is ever changed."""

    async def add(self, kept: KeptReconciliation) -> None:
        """Store a comparison."""
        ...

    async def get(self, reconciliation_id: str) -> KeptReconciliation | None:
        """Return a comparison, or None."""
        ...

    async def recent(self, provider: str | None, limit: int) -> tuple[KeptReconciliation, ...]:
        """Return the newest first, without their reports."""
        ...
