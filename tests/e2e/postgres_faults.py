"""A real PostgreSQL server that is locked, full, read-only or gone; calling meanwhile is fault_rounds.py's."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager

import psycopg

from tests.postgres_server import LOG_MEGABYTES, postgres_server

LOCK = b"LOCK TABLE hold IN SHARE MODE"
# Rows of a transaction that is rolled back: the file has grown, and the books have nothing of it. They are so small
# that no page has room for one of ours.
FILL = b"""
INSERT INTO request (request_id, operation, account, key_id, key_name, requested_model, stream, received_at_micros)
SELECT number, '', '', '', '', '', 0, 0 FROM generate_series(1, 25000) AS number
"""
SESSIONS = b"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'headrace %'"


@contextmanager
def locked(store: str) -> Generator[None]:
    """Another session holds a lock on a table that every call writes."""
    with psycopg.connect(store) as other:
        other.execute(LOCK)
        yield
        other.rollback()


@contextmanager
def read_only(store: str) -> Generator[None]:
    """The server takes no writes, as one does whose owner protects the last of its disk."""
    server = postgres_server()
    server.run("ALTER SYSTEM SET default_transaction_read_only = on")
    server.run("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(b"SET default_transaction_read_only = off")
            connection.execute(b"ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute(b"SELECT pg_reload_conf()")


@contextmanager
def full(store: str) -> Generator[None]:
    """The system lets no file of the installation's sessions grow; the server's own log of changes still has room.

    A tablespace on a small file system would need root; where the log has no room either, the server stops.
    """
    with psycopg.connect(store, autocommit=True) as connection:
        with connection.transaction(force_rollback=True):
            connection.execute(FILL)
        pids = [row[0] for row in connection.execute(SESSIONS)]
    _limit_files(pids, str(LOG_MEGABYTES * 2**20))
    try:
        yield
    finally:
        _limit_files(pids, "unlimited")


@contextmanager
def stopped(store: str) -> Generator[None]:
    """The server is gone at once, as in a crash, and comes back."""
    postgres_server().stop()
    try:
        yield
    finally:
        postgres_server().start()


FAULTS: Mapping[str, Callable[[str], AbstractContextManager[None]]] = {
    "locked": locked,
    "full": full,
    "read-only": read_only,
    "stopped": stopped,
}


def _limit_files(pids: list[int], most_bytes: str) -> None:
    for pid in pids:
        postgres_server().act("prlimit", f"--pid={pid}", f"--fsize={most_bytes}:unlimited")
