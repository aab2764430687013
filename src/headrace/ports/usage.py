"""The ports to usage by the hour and by any dimension, for questions about weeks of traffic."""

from __future__ import annotations

from typing import Protocol

from headrace.domain.usage_hour import UsageHour
from headrace.domain.usage_report import UsageQuestion, UsageReport


class UsageHours(Protocol):
    """Settled usage by hour, model and provider."""

    async def hours(self, since_micros: int, until_micros: int, model_id: str | None) -> tuple[UsageHour, ...]:
        """Return the hours in which something was settled, oldest first; `until_micros` is not in the range.

        With a model's id only its own. An hour without traffic has no entry.
        """
        ...


class UsageReports(Protocol):
    """Usage grouped and filtered by its dimensions, from the hourly sums."""

    async def report(self, question: UsageQuestion) -> UsageReport:
        """Return the rows that are wanted and the totals, all of one moment.

        Rows come by span and then by group, each in ascending order; a span without usage has none.
        """
        ...
