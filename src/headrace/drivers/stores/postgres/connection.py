"""Owns a session with PostgreSQL in the shape that the stores know; what it must own before it may write is lock.py's.

Statements come with `?` for parameters, exceptions go as SQLite's library names them, and a session that was lost is
followed by a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus

from headrace.drivers.stores.postgres.place import Place
from headrace.drivers.stores.postgres.values import adapt_values
from headrace.drivers.stores.sqlite import IntegrityError, OperationalError, ProgrammingError

Raw: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

# Twelve statements of the ledger stand for up to 32 rows each.
PREPARED_STATEMENTS = 600
TRANSLATIONS = 1_000
# A transaction that writes leaves its number on the row of the process's epoch, which nobody else may write.
BEGIN: Mapping[str, bytes] = {
    "BEGIN IMMEDIATE": b"""
BEGIN ISOLATION LEVEL READ COMMITTED;
UPDATE epoch SET pid = pid WHERE epoch = (SELECT max(epoch) FROM epoch) RETURNING pg_current_xact_id()
""",
    "BEGIN": b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
}
# A lock that somebody else holds makes a write fail, as a locked file does; a silent client loses its session.
SETTINGS = b"""
SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = '60s'; SET statement_timeout = 0; SET jit = off;
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3
"""


def connect(place: Place) -> Raw:
    """Open a session without any lock; raises OperationalError."""
    try:
        raw: Raw = psycopg.connect(place.conninfo.reveal(), autocommit=True, cursor_factory=psycopg.RawCursor)
        adapt_values(raw.adapters)
        raw.prepared_max = PREPARED_STATEMENTS
        raw.execute(SETTINGS, prepare=False)
    except psycopg.Error as error:
        raise named(error) from error
    return raw


class PostgresCursor:
    """Runs statements on the connection's session of the moment."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection
        self._last: psycopg.Cursor[tuple[Any, ...]] | None = None

    @property
    def description(self) -> Any:
        """A column for each of the result, its name first."""
        return None if self._last is None else self._last.description

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""
        return -1 if self._last is None else self._last.rowcount

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> PostgresCursor:
        """Run a statement; raises OperationalError, IntegrityError or ProgrammingError."""
        if sql in BEGIN:
            self._last = self._connection.begin(BEGIN[sql])
            return self
        raw = self._connection.raw
        try:
            if self._last is None or self._last.connection is not raw:
                self._last = raw.cursor()
            self._last.execute(translated(sql), parameters or None)
        except psycopg.Error as error:
            raise named(error) from error
        return self

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        return None if self._last is None else self._last.fetchone()

    def fetchall(self) -> list[Any]:
        """Return the rows that are left; none after a statement that gives none."""
        return [] if self._last is None or self._last.description is None else self._last.fetchall()


class PostgresConnection:
    """A session that is opened again, at the next transaction, when it was lost."""

    def __init__(self, open_session: Callable[[], Raw]) -> None:
        self._open_session = open_session
        self.raw = open_session()
        self.transaction = ""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return not self.is_lost and self.raw.info.transaction_status != TransactionStatus.IDLE

    @property
    def is_lost(self) -> bool:
        """Whether the session has ended without our doing."""
        return self.raw.closed

    def cursor(self) -> PostgresCursor:
        """Return a new cursor."""
        return PostgresCursor(self)

    def close(self) -> None:
        """End the session."""
        self.raw.close()

    def renew(self) -> None:
        """Open a new session in the place of the lost one; raises OperationalError."""
        self.raw.close()
        self.raw = self._open_session()

    def begin(self, statement: bytes) -> psycopg.Cursor[tuple[Any, ...]]:
        """Begin a transaction, on a new session when the old one turns out to be lost; return its cursor.

        Nothing was asked in this transaction yet, so that trying twice does no harm.
        """
        if self.is_lost:
            self.renew()
        try:
            return self._begin(statement)
        except psycopg.Error as error:
            if not self.is_lost:
                raise named(error) from error
        self.renew()
        try:
            return self._begin(statement)
        except psycopg.Error as error:
            raise named(error) from error

    def _begin(self, statement: bytes) -> psycopg.Cursor[tuple[Any, ...]]:
        cursor = self.raw.cursor()
        cursor.execute(statement, prepare=False)
        if cursor.nextset():
            row = cursor.fetchone()
            self.transaction = "" if row is None else str(row[0])
        return cursor


@lru_cache(TRANSLATIONS)
def translated(sql: str) -> bytes:
    """Return a statement with numbered parameters; no text in our statements holds a question mark."""
    numbers = count(1)
    first, *rest = sql.split("?")
    return (first + "".join(f"${next(numbers)}{part}" for part in rest)).encode()


def named(error: psycopg.Error) -> Exception:
    """Return the exception that the stores know for one of the library."""
    text = " ".join(str(error).split())
    match error:
        case psycopg.IntegrityError() | psycopg.DataError():
            return IntegrityError(text)
        case psycopg.ProgrammingError():
            return ProgrammingError(text)
        case _:
            return OperationalError(text)
