"""Looking into a PostgreSQL database without changing it: for the doctor, also while a server runs."""

from __future__ import annotations

from headrace.domain.secret import Secret
from headrace.drivers.stores.audit import audit_holds
from headrace.drivers.stores.connection import Cursor
from headrace.drivers.stores.inspection import StoreReport
from headrace.drivers.stores.postgres.connection import PostgresConnection, connect
from headrace.drivers.stores.postgres.database import library_of, require_usable
from headrace.drivers.stores.postgres.lock import unusable
from headrace.drivers.stores.postgres.place import read_place
from headrace.drivers.stores.postgres.upgrade import stored_revision
from headrace.drivers.stores.sqlite import DatabaseError
from headrace.drivers.stores.upgrade import REVISIONS

SAFE = ("fsync", "full_page_writes")


def inspect_postgres(url: Secret) -> StoreReport:
    """Return what is in a database; raises StoreUnusable when it cannot be read, ConfigInvalid for a bad address."""
    place = read_place(url, "headrace doctor")
    try:
        connection = PostgresConnection(lambda: connect(place))
        try:
            require_usable(connection, place.name)
            cursor = connection.cursor()
            cursor.execute("BEGIN")
            revision = stored_revision(cursor, place)
            problem, sealed = _unsafe(cursor), frozenset[str]()
            if revision == REVISIONS[-1]:
                problem = problem or audit_holds(cursor)
                rows = cursor.execute("SELECT provider FROM provider_credential").fetchall()
                sealed = frozenset(str(row[0]) for row in rows)
            return StoreReport(revision, REVISIONS[-1], problem, sealed, f"{library_of(connection)} at {place.name}")
        finally:
            connection.close()
    except DatabaseError as error:
        raise unusable(place, error) from error


def _unsafe(cursor: Cursor) -> str | None:
    """Return which of the server's settings lets a power cut damage the books, if any."""
    off = [name for name in SAFE if cursor.execute(f"SHOW {name}").fetchone()[0] == "off"]
    return f"{', '.join(off)} is off on the server: a power cut damages the books" if off else None
