"""Owns reading what a deployment's requests used and had of its replicas' time; writes nothing."""

from __future__ import annotations

from headrace.domain.deployment_costs import Served
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor

MICROS_PER_MILLI = 1_000
# Ids of attempts begin with the time of their making, so an index finds a range of time. An attempt that ended in the
# range was begun at most so long before.
LONGEST_MICROS = 24 * 3_600_000_000
FIRST_ID = "att_{:012x}"
SERVED = """
SELECT count(*), coalesce(sum(resolution.input_fresh), 0), coalesce(sum(resolution.input_cache_read), 0),
    coalesce(sum(resolution.input_cache_write_5m), 0), coalesce(sum(resolution.input_cache_write_1h), 0),
    coalesce(sum(resolution.output_text), 0), coalesce(sum(resolution.output_reasoning), 0),
    coalesce(sum(resolution.share_micros), 0), coalesce(sum(resolution.share_nano), 0)
FROM attempt JOIN resolution ON resolution.attempt_id = attempt.attempt_id
WHERE attempt.deployment = ? AND attempt.attempt_id >= ? AND attempt.attempt_id < ?
    AND resolution.outcome = 'settled' AND resolution.ended_at_micros >= ? AND resolution.ended_at_micros < ?
"""


class SqlDeploymentUse:
    """Sums over the settled attempts of one deployment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def served(self, deployment_id: str, since_micros: int, until_micros: int) -> Served:
        """Return the sums of its attempts that were settled and ended from then up to then."""
        first = FIRST_ID.format(max(0, since_micros - LONGEST_MICROS) // MICROS_PER_MILLI)
        values = (
            deployment_id,
            first,
            FIRST_ID.format(until_micros // MICROS_PER_MILLI + 1),
            since_micros,
            until_micros,
        )

        def read(cursor: Cursor) -> Served:
            return Served(*(int(each) for each in cursor.execute(SERVED, values).fetchone()))

        return await self._database.read(read)
