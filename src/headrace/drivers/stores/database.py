"""Owns opening and closing HOME/headrace.db and the two verbs that reach it, write and read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from headrace import __version__
from headrace.domain.errors import StoreUnusable
from headrace.drivers.stores import sql
from headrace.drivers.stores.audit import Soundness, check_file
from headrace.drivers.stores.readers import Readers
from headrace.drivers.stores.sqlite import Connection, Cursor, DatabaseError, connect_reader, connect_writer
from headrace.drivers.stores.upgrade import ensure_schema, note_writer, stored_revision
from headrace.drivers.stores.writer import Writer, apply
from headrace.ports.ambient import Clock

T = TypeVar("T")

FILE_NAME = "headrace.db"
CHECK_SECONDS = 0.5


class Database:
    """The open store: one writer, a few readers, and the epoch of this process."""

    def __init__(self, path: Path, connection: Connection, clock: Clock, soundness: Soundness) -> None:
        self.path = path
        self.soundness = soundness
        self._clock = clock
        self._connection = connection
        self.epoch = _begin_epoch(connection, clock)
        self.prices_known: frozenset[str] = frozenset(
            str(row[0]) for row in connection.execute("SELECT price_version FROM price_version")
        )
        self.writer = Writer(connection, clock)
        self._readers = Readers(path)

    async def write(self, work: Callable[[Cursor], T]) -> T:
        """Run a write function in the next commit and return its result once that is durable.

        It may run twice, so it changes nothing but the database. Raises MeteringUnavailable, and Conflict when a
        constraint refuses it.
        """
        return await self.writer.submit(apply, work)

    async def read(self, work: Callable[[Cursor], T]) -> T:
        """Run a read function on one consistent state, off the event loop."""
        return await self._readers.read(work)

    def close(self) -> None:
        """Commit what is queued, fold the write-ahead log into the file and close it."""
        self.writer.close()
        self._readers.close()
        # A full disk or a foreign lock loses nothing here: the log holds every commit and the next start reads it.
        with contextlib.suppress(DatabaseError):
            ended = (self._clock.unix_micros(), self.epoch)
            self._connection.execute("UPDATE epoch SET ended_at_micros = ? WHERE epoch = ?", ended)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()


def open_database(home: Path, clock: Clock, check_seconds: float = CHECK_SECONDS) -> Database:
    """Open (or create) the home's database, check it, migrate it and begin an epoch.

    Raises StoreUnusable for a damaged or locked file, HomeUnusable for one that a newer version wrote.
    """
    path = home / FILE_NAME
    try:
        connection = _open_file(path)
        try:
            soundness = check_file(connection, clock, check_seconds)
            if soundness.problem is not None:
                raise StoreUnusable(_damaged(path, soundness.problem))
            ensure_schema(connection, path, clock.unix_micros())
            note_writer(connection)
            return Database(path, connection, clock, soundness)
        except BaseException:
            connection.close()
            raise
    except DatabaseError as error:
        raise StoreUnusable(_unusable(path, error), detail=str(error)) from error
    except OSError as error:
        raise StoreUnusable(f"{path} cannot be used: {error.strerror}.", detail=str(error)) from error


def _open_file(path: Path) -> Connection:
    if not path.exists():
        path.touch(mode=0o600)
    elif path.stat().st_size:
        _refuse_foreign(path)
    return connect_writer(path)


def _refuse_foreign(path: Path) -> None:
    """Another program's file is recognised before anything is written into it."""
    with contextlib.closing(connect_reader(path)) as reader:
        stored_revision(reader)


def _begin_epoch(connection: Connection, clock: Clock) -> int:
    cursor = connection.execute(sql.ADD_EPOCH, (os.getpid(), __version__, clock.unix_micros()))
    if cursor.lastrowid is None:
        raise StoreUnusable("The store did not number this process's epoch.")
    return cursor.lastrowid


def _damaged(path: Path, what: str) -> str:
    return (
        f"{path} is damaged ({what}). Nothing was changed. Put back a backup with "
        f"`headrace restore BACKUP --home {path.parent} --force`; it keeps the damaged file beside it."
    )


def _unusable(path: Path, error: DatabaseError) -> str:
    text = str(error)
    if "locked" in text:
        return f"{path} is locked by another program: close it (a database browser, a copy job) and start again."
    if "unable to open" in text or "readonly" in text or "disk I/O" in text or "full" in text:
        return f"{path} cannot be opened for writing ({text}): check its owner, its permissions and the disk."
    return _damaged(path, text)
