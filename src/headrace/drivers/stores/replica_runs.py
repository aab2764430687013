"""Owns the runs of replicas in the store; booking their seconds is replica_steps.py's."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.replica_run import ReplicaRun
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.replica_steps import COLUMNS, Meter, ReplicaSteps, add_run
from headrace.drivers.stores.sqlite import Cursor

UNFINISHED = f"""
SELECT {COLUMNS} FROM replica_run WHERE gone_at_micros IS NULL ORDER BY started_at_micros, run_id
"""  # noqa: S608 - names of ours
OVERLAPPING = f"""
SELECT {COLUMNS} FROM replica_run
WHERE deployment_id = ? AND started_at_micros < ? AND (gone_at_micros IS NULL OR gone_at_micros > ?)
ORDER BY started_at_micros, run_id
"""  # noqa: S608 - names of ours


class SqlReplicaRuns:
    """Runs and their lines; what a line moves in the scopes and sums is moved in the same commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._steps = ReplicaSteps(database.figures)

    async def begin(self, run: ReplicaRun) -> None:
        """Store a run that has started; one of its id that is there already stays as it is."""
        await self._database.write(lambda cursor: add_run(cursor, run))

    async def meter(self, run: ReplicaRun, scopes: Sequence[str]) -> int:
        """Store the run as it is now and book what it owes since it was last metered; returns what was charged.

        That is below 0 when it was gone earlier than the books thought: the lines after that are reversed.
        """
        charged: int = await self._database.writer.submit_step(self._steps, Meter(run, tuple(scopes)))
        return charged

    async def unfinished(self) -> tuple[ReplicaRun, ...]:
        """Return the runs that are not gone, oldest first."""
        return await self._database.read(lambda cursor: _runs(cursor, UNFINISHED, ()))

    async def of(self, deployment_id: str, since_micros: int, until_micros: int) -> tuple[ReplicaRun, ...]:
        """Return a deployment's runs that overlap a span of time, oldest first."""
        values = (deployment_id, until_micros, since_micros)
        return await self._database.read(lambda cursor: _runs(cursor, OVERLAPPING, values))


def _runs(cursor: Cursor, statement: str, values: Sequence[str | int]) -> tuple[ReplicaRun, ...]:
    return tuple(ReplicaRun(*row) for row in cursor.execute(statement, values).fetchall())
