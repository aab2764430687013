"""Who may see whose usage: an access key its own, the admin token everybody's; summing is the UsageReports port's."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from headrace.domain.access import Caller
from headrace.domain.errors import InvalidRequest, Overloaded
from headrace.domain.usage_report import UsageQuestion, UsageReport
from headrace.ports.usage import UsageReports

MOST_ROWS_AT_ONCE = 50_000
MOST_WAITING = 32
RETRY_SECONDS = 1.0


class UsageReader:
    """Answers questions about usage on behalf of a caller, one after the other: any key asks, and it may take long."""

    def __init__(self, reports: UsageReports, most_rows_at_once: int = MOST_ROWS_AT_ONCE) -> None:
        self._reports = reports
        self._most_rows_at_once = most_rows_at_once
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def page(self, question: UsageQuestion, caller: Caller, page: int, limit: int) -> UsageReport:
        """Return one page of the report; somebody else's usage is never in it. Raises Overloaded when many ask."""
        return await self._report(question, caller, (page - 1) * limit, limit)

    async def whole(self, question: UsageQuestion, caller: Caller) -> UsageReport:
        """Return the report with every row; raises InvalidRequest for more than are let through, and Overloaded."""
        most = self._most_rows_at_once
        report = await self._report(question, caller, 0, most)
        if report.row_count > most:
            raise InvalidRequest(
                f"The report has {report.row_count:,} rows, more than the {most:,} that are written at "
                'once: ask for a shorter time, a longer "interval" or fewer groups, or page through it as JSON.',
                param="format",
            )
        return report

    async def _report(self, question: UsageQuestion, caller: Caller, first: int, most: int) -> UsageReport:
        whose = None if caller.is_admin else caller.key_id
        if self._waiting >= MOST_WAITING:
            raise Overloaded(
                f"{MOST_WAITING} reports of usage are asked for already.", retry_after_seconds=RETRY_SECONDS
            )
        self._waiting += 1
        try:
            async with self._turn:
                return await self._reports.report(replace(question, key_id=whose, first_row=first, most_rows=most))
        finally:
            self._waiting -= 1
