"""What bills are compared with, in memory."""

from __future__ import annotations

from headrace.domain.bill import BookedAttempt, BookedHour, day_of
from headrace.ports.reconciliation import KeptReconciliation, Period


class MemoryBookedUsage:
    """Booked hours and attempts of any provider."""

    def __init__(self) -> None:
        self.booked: list[BookedHour] = []
        self.behind: list[BookedAttempt] = []
        self.asked: list[Period] = []

    async def hours(self, period: Period) -> tuple[BookedHour, ...]:
        self.asked.append(period)
        return tuple(
            each for each in self.booked if period.since_micros <= each.hour_start_micros < period.until_micros
        )

    async def attempts(
        self, period: Period, billed: frozenset[str] | None, most_each: int
    ) -> tuple[tuple[BookedAttempt, ...], frozenset[str]]:
        days = (day_of(period.since_micros), day_of(period.until_micros - 1))
        found = tuple(each for each in self.behind if days[0] <= each.day <= days[1])
        ids = {each.upstream_request_id for each in self.behind if each.upstream_request_id is not None}
        return found, frozenset(ids & (billed or frozenset()))


class MemoryReconciliations:
    """Comparisons in the order in which they were made."""

    def __init__(self) -> None:
        self.kept: list[KeptReconciliation] = []

    async def add(self, kept: KeptReconciliation) -> None:
        self.kept.append(kept)

    async def get(self, reconciliation_id: str) -> KeptReconciliation | None:
        return next((each for each in self.kept if each.id == reconciliation_id), None)

    async def recent(self, provider: str | None, limit: int) -> tuple[KeptReconciliation, ...]:
        found = [each for each in reversed(self.kept) if provider in (None, each.provider)]
        return tuple(found[:limit])
