"""Owns the choice of the SQLite library and how its connections are opened; knows no table.

The wheel's library is preferred: old system libraries can corrupt a write-ahead log that two connections write.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from headrace.drivers.stores.connection import Cursor

if TYPE_CHECKING:
    import sqlite3 as library
    from sqlite3 import Connection, DatabaseError, IntegrityError, OperationalError, ProgrammingError
else:
    try:
        from pysqlite3 import dbapi2 as library
    except ImportError:
        import sqlite3 as library
    Connection, DatabaseError = library.Connection, library.DatabaseError
    IntegrityError, OperationalError = library.IntegrityError, library.OperationalError
    ProgrammingError = library.ProgrammingError

__all__ = [
    "Connection",
    "Cursor",
    "DatabaseError",
    "IntegrityError",
    "OperationalError",
    "ProgrammingError",
    "connect_reader",
    "connect_writer",
    "is_store_fault",
    "library",
    "library_version",
    "synchronous_setting",
    "wal_reset_safe",
]

BUSY_MILLISECONDS = 2_000
# A checkpoint holds commits up for some milliseconds: with 64 MB between two of them, under one request in a hundred.
CHECKPOINT_PAGES = 16_384
SYNCHRONOUS_NAMES = ("off", "normal", "full", "extra")


def library_version() -> str:
    """Return the version of the SQLite library in use."""
    return library.sqlite_version


def wal_reset_safe(version: tuple[int, ...] = library.sqlite_version_info) -> bool:
    """Whether a library has the fix of the race between two connections that write and checkpoint.

    Source: https://sqlite.org/wal.html, fixed in 3.51.3, and in the branches 3.44.6 and 3.50.7.
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def connect_writer(path: Path, busy_milliseconds: int = BUSY_MILLISECONDS) -> Connection:
    """Open the one connection that writes and checkpoints, with full synchronous commits.

    It may pass from the opening thread to the writer's; never two at once.
    """
    connection = library.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    try:
        for pragma in (
            f"busy_timeout = {busy_milliseconds}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "fullfsync = ON",
            "checkpoint_fullfsync = ON",
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "temp_store = MEMORY",
            "journal_size_limit = 67108864",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, busy_milliseconds: int = BUSY_MILLISECONDS) -> Connection:
    """Open a read-only connection; it never checkpoints."""
    uri = f"file:{quote(str(path))}?mode=ro"
    connection = library.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {busy_milliseconds}").fetchall()
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    return connection


def synchronous_setting(connection: Connection) -> str:
    """Return the synchronous setting as the connection itself reports it."""
    return SYNCHRONOUS_NAMES[int(connection.execute("PRAGMA synchronous").fetchone()[0])]


def is_store_fault(error: Exception) -> bool:
    """Whether the file, the disk or a lock is to blame (full, locked, damaged) and not the one operation."""
    return isinstance(error, OperationalError) or type(error) is DatabaseError
