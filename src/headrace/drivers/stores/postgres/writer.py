"""Owns what the writer does when its session is lost: it opens a new one, and finds out what became of the last commit.

A commit whose answer was lost may have been made. Its number on the row of our epoch tells, once there is a session
again: when it is there, the batch succeeded after all. Whoever could not wait for that was told that it failed, so what
stands of it is taken back. The number's fate alone would not do: a server that crashed gives lost numbers out again.
"""

from __future__ import annotations

import contextlib
import queue
from typing import Any

from headrace.drivers.stores.postgres.connection import PostgresConnection
from headrace.drivers.stores.sqlite import DatabaseError
from headrace.drivers.stores.writer import Group, Operation, Writer
from headrace.ports.ambient import Clock

MEND_SECONDS = 1.0
FATE = """
SELECT count(*) FROM epoch WHERE epoch = (SELECT max(epoch) FROM epoch)
    AND CAST(CAST(xmin AS text) AS bigint) = CAST(? AS bigint) % 4294967296
"""


class PostgresWriter(Writer):
    """The writer of a PostgreSQL database."""

    def __init__(self, connection: PostgresConnection, clock: Clock, synchronous: str) -> None:
        self._session = connection
        self._doubt: tuple[str, list[Operation], list[object]] | None = None
        self._groups: set[Group] = set()
        self._learnt_in = connection.raw
        super().__init__(connection, clock, synchronous)

    def _next_round(self) -> bool:
        while self._session.is_lost or self._doubt is not None:
            with contextlib.suppress(queue.Empty):
                return self._rounds.get(timeout=MEND_SECONDS)
            self._mend()
        return super()._next_round()

    def _commit(self, batch: list[Operation]) -> None:
        self._groups.update(group for _, _, _, group in batch if group is not None)
        super()._commit(batch)

    def _begin(self) -> None:
        if self._doubt is not None:
            self._settle_doubt()
        self._begin_knowing()

    def _begin_knowing(self) -> None:
        """Begin; on a new session drop what was learnt on others, for a server that took over may lack commits."""
        super()._begin()
        if self._session.raw is not self._learnt_in:
            self._learnt_in = self._session.raw
            for group in self._groups:
                group.forget()

    def _end(self, batch: list[Operation], outcomes: list[object]) -> None:
        transaction = self._session.transaction
        try:
            super()._end(batch, outcomes)
        except DatabaseError:
            if not self._session.is_lost:
                raise
            self._doubt = (transaction, batch, outcomes)
            self._session.renew()
            if self._fate(transaction):
                self._doubt = None
                return
            self._doubt = None
            raise

    def _mend(self) -> None:
        """Open a new session while nobody asks, so that readiness comes back by itself."""
        try:
            if self._session.is_lost:
                self._session.renew()
            self._settle_doubt()
        except DatabaseError as error:
            self._last_error = f"{type(error).__name__}: {error}"
        else:
            self._last_error = None

    def _settle_doubt(self) -> None:
        """Take back what stands of a batch whose waiters were told that it failed."""
        if self._doubt is None:
            return
        if self._session.is_lost:
            self._session.renew()
        transaction, batch, outcomes = self._doubt
        if self._fate(transaction):
            self._take_back(batch, outcomes)
        self._doubt = None

    def _fate(self, transaction: str) -> bool:
        """Whether a transaction was committed."""
        row = self._session.cursor().execute(FATE, (transaction,)).fetchone()
        return row[0] == 1

    def _take_back(self, batch: list[Operation], outcomes: list[object]) -> None:
        by_group: dict[Group, list[Any]] = {}
        for (_, _, step, group), outcome in zip(batch, outcomes, strict=True):
            if group is not None and not isinstance(outcome, Exception):
                by_group.setdefault(group, []).append(step)
        try:
            self._begin_knowing()
            for group, steps in by_group.items():
                group.take_back(self._cursor, steps)
            self._cursor.execute("COMMIT")
        except DatabaseError:
            # What its groups learnt must not outlive it, nor may the next one begin inside it.
            self._roll_back(batch)
            raise
