"""Owns reading settled usage by the hour out of the hourly sums, without that of deployments; writes nothing."""

from __future__ import annotations

from headrace.domain.usage_hour import UsageHour
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor

HOURS = """
SELECT hour_start_micros, model_id, provider, sum(attempts), sum(input_fresh), sum(input_cache_read),
    sum(input_cache_write_5m + input_cache_write_1h), sum(output_text), sum(output_reasoning),
    sum(cost_nano), sum(charge_nano), sum(duration_micros)
FROM usage_hour
WHERE hour_start_micros >= ? AND hour_start_micros < ? AND status <> 'voided' AND provider <> 'dedicated'
    AND coalesce(?, model_id) = model_id
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


class SqlUsageHours:
    """Usage by the hour, from the sums that every commit keeps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hours(self, since_micros: int, until_micros: int, model_id: str | None) -> tuple[UsageHour, ...]:
        """Return the hours in which something was settled, oldest first."""
        values = (since_micros, until_micros, model_id)

        def read(cursor: Cursor) -> tuple[UsageHour, ...]:
            rows = cursor.execute(HOURS, values).fetchall()
            return tuple(UsageHour(*row[:3], *(int(each) for each in row[3:])) for row in rows)

        return await self._database.read(read)
