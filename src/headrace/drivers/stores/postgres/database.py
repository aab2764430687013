"""Owns opening a PostgreSQL database as the store of one server."""

from __future__ import annotations

from headrace.domain.errors import StoreUnusable
from headrace.domain.secret import Secret
from headrace.drivers.stores.audit import Soundness
from headrace.drivers.stores.connection import Cursor
from headrace.drivers.stores.database import Database, Parts
from headrace.drivers.stores.postgres.connection import PostgresConnection, connect
from headrace.drivers.stores.postgres.lock import WAIT_SECONDS, WritingSessions, unusable
from headrace.drivers.stores.postgres.upgrade import ensure_schema
from headrace.drivers.stores.postgres.writer import PostgresWriter
from headrace.drivers.stores.sqlite import DatabaseError
from headrace.drivers.stores.upgrade import note_writer
from headrace.ports.ambient import Clock

OLDEST_VERSION = 14
ENCODING = "UTF8"


class PostgresDatabase(Database):
    """An open store in PostgreSQL; what it keeps in memory stays true because nobody else holds its lock."""

    def __init__(self, sessions: WritingSessions, connection: PostgresConnection, clock: Clock) -> None:
        place = sessions.place
        parts = Parts(
            soundness=Soundness(complete=True, problem=None),
            library=library_of(connection),
            make_writer=lambda: PostgresWriter(connection, clock, synchronous_of(connection.cursor())),
            connect_reader=lambda: PostgresConnection(lambda: connect(place)),
            fold=lambda cursor: None,
        )
        super().__init__(connection, clock, parts)
        self.place = place
        sessions.epoch = self.epoch


def open_postgres(url: Secret, clock: Clock, wait_seconds: float = WAIT_SECONDS) -> PostgresDatabase:
    """Open the database at an address, take its lock, migrate it and begin an epoch.

    For so long it waits for the lock: a server that was killed just now gives it up in an instant.

    Raises ConfigInvalid for an address that cannot be read, StoreUnusable for a server that is away or a database that
    another Headrace writes to, HomeUnusable for one that a newer version wrote.
    """
    sessions = WritingSessions(url, wait_seconds)
    try:
        connection = PostgresConnection(sessions.open)
        try:
            require_usable(connection, sessions.place.name)
            ensure_schema(connection.cursor(), sessions.place)
            note_writer(connection.cursor())
            return PostgresDatabase(sessions, connection, clock)
        except BaseException:
            connection.close()
            raise
    except DatabaseError as error:
        raise unusable(sessions.place, error) from error


def require_usable(connection: PostgresConnection, name: str) -> None:
    """Raise StoreUnusable when the server is too old or the database keeps texts in another encoding."""
    info = connection.raw.info
    if info.server_version < OLDEST_VERSION * 10_000:
        raise StoreUnusable(f"{name} is {library_of(connection)}; Headrace needs {OLDEST_VERSION} or newer.")
    encoding = info.parameter_status("server_encoding")
    if encoding != ENCODING:
        raise StoreUnusable(f"{name} keeps texts as {encoding}; make it with ENCODING '{ENCODING}' TEMPLATE template0.")


def library_of(connection: PostgresConnection) -> str:
    """Return the server's name and version."""
    return f"PostgreSQL {connection.raw.info.parameter_status('server_version')}"


def synchronous_of(cursor: Cursor) -> str:
    """Return how long a commit waits, as the session itself reports it."""
    return str(cursor.execute("SHOW synchronous_commit").fetchone()[0])
