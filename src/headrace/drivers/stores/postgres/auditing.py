"""Owns the audit of books in PostgreSQL: on one consistent state, read only, also while a server runs on them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count

import psycopg

from headrace import __version__
from headrace.domain.audit import AuditReport
from headrace.domain.errors import HomeUnusable
from headrace.domain.secret import Secret
from headrace.drivers.stores.audit_books import Row, Value
from headrace.drivers.stores.auditing import FETCHED_AT_ONCE, audit_rows
from headrace.drivers.stores.postgres.connection import BEGIN, PostgresConnection, connect, named, translated
from headrace.drivers.stores.postgres.lock import WritingSessions, unusable
from headrace.drivers.stores.postgres.place import Place, read_place
from headrace.drivers.stores.postgres.upgrade import stored_revision
from headrace.drivers.stores.rollups import rebuild
from headrace.drivers.stores.sqlite import DatabaseError
from headrace.drivers.stores.upgrade import REVISIONS
from headrace.ports.fleet import Progress


def audit_postgres(url: Secret, now_micros: int, watch: Callable[[Progress], None]) -> AuditReport:
    """Derive every figure of a database's books anew and return what differs; changes nothing.

    Raises HomeUnusable where there are no books of this version's schema, StoreUnusable when they cannot be read.
    """
    place = read_place(url, "headrace audit")
    with _faults(place), closing(connect(place)) as raw:
        require_current(PostgresConnection(lambda: raw), place)
        raw.execute(BEGIN["BEGIN"])
        return audit_rows(_rows_of(raw), now_micros, watch)


def rebuild_postgres(url: Secret) -> None:
    """Make the hourly sums anew from the ledger, in one transaction, while no server has the database.

    Raises StoreUnusable when one has, or when the books cannot be written.
    """
    sessions = WritingSessions(url)
    with _faults(sessions.place), closing(PostgresConnection(sessions.open)) as connection:
        require_current(connection, sessions.place)
        cursor = connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        rebuild(cursor)
        cursor.execute("COMMIT")


def require_current(connection: PostgresConnection, place: Place) -> None:
    """Raise HomeUnusable unless the database has this version's schema."""
    revision = stored_revision(connection.cursor(), place)
    if revision != REVISIONS[-1]:
        raise HomeUnusable(
            f"{place.name} has the schema {revision or 'of nothing yet'}; this is Headrace {__version__} with schema "
            f"{REVISIONS[-1]}. Start an older one once with this version, `headrace serve`, which carries it over."
        )


def _rows_of(raw: psycopg.Connection[Row]) -> Callable[[str, Sequence[Value]], Iterator[Row]]:
    """Rows come through a cursor of the server, some at a time, for the books may be larger than the memory."""
    numbers = count(1)

    def rows(statement: str, values: Sequence[Value]) -> Iterator[Row]:
        try:
            with psycopg.RawServerCursor(raw, f"audit_{next(numbers)}") as cursor:
                cursor.itersize = FETCHED_AT_ONCE
                cursor.execute(translated(statement), values or None)
                yield from cursor
        except psycopg.Error as error:
            raise named(error) from error

    return rows


@contextmanager
def _faults(place: Place) -> Generator[None]:
    try:
        yield
    except DatabaseError as error:
        raise unusable(place, error) from error
