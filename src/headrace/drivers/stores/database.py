"""Owns opening and closing HOME/headrace.db and the two verbs that reach it, write and read."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from headrace import __version__
from headrace.domain.errors import StoreUnusable
from headrace.drivers.stores import sql
from headrace.drivers.stores.audit import Soundness, check_file
from headrace.drivers.stores.connection import StoreConnection
from headrace.drivers.stores.figures import Figures
from headrace.drivers.stores.moved import refuse_moved
from headrace.drivers.stores.readers import Readers
from headrace.drivers.stores.sqlite import (
    Connection,
    Cursor,
    DatabaseError,
    connect_reader,
    connect_writer,
    library_version,
    synchronous_setting,
)
from headrace.drivers.stores.upgrade import ensure_schema, note_writer, stored_revision
from headrace.drivers.stores.writer import Writer, apply
from headrace.ports.ambient import Clock

T = TypeVar("T")

FILE_NAME = "headrace.db"
CHECK_SECONDS = 0.5
TRIAL = "UPDATE epoch SET ended_at_micros = NULL WHERE epoch = ?"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a kind of database brings to an open store; `library` names it, `fold` tidies up at the end."""

    soundness: Soundness
    library: str
    make_writer: Callable[[], Writer]
    connect_reader: Callable[[], StoreConnection]
    fold: Callable[[Cursor], None]


class Database:
    """The open store: one writer, a few readers, the sums beside its entries, and the epoch of this process."""

    def __init__(self, connection: StoreConnection, clock: Clock, parts: Parts) -> None:
        self.soundness = parts.soundness
        self.library = parts.library
        self._clock = clock
        self._connection = connection
        self._fold = parts.fold
        cursor = connection.cursor()
        self.epoch = begin_epoch(cursor, clock)
        self.prices_known: frozenset[str] = frozenset(
            str(row[0]) for row in cursor.execute("SELECT price_version FROM price_version").fetchall()
        )
        self.writer = parts.make_writer()
        self.figures = Figures()
        self._readers = Readers(parts.connect_reader)
        self._trial: asyncio.Future[int] | None = None

    def fault(self) -> str | None:
        """Return why the last batch was not committed, or None; from the event loop.

        To be asked while there is a fault tries a write, for nobody else may: a balancer sends no calls to what is not
        ready.
        """
        error = self.writer.last_error
        if error is not None and (self._trial is None or self._trial.done()):
            self._trial = self.writer.submit(_try_write, self.epoch)
            self._trial.add_done_callback(_hear)
        return error

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
        """Commit what is queued, note the end of the epoch and close everything."""
        self.writer.close()
        self._readers.close()
        # A full disk, a foreign lock or a lost server loses nothing here: every commit is durable already.
        with contextlib.suppress(DatabaseError):
            cursor = self._connection.cursor()
            ended = (self._clock.unix_micros(), self.epoch)
            cursor.execute("UPDATE epoch SET ended_at_micros = ? WHERE epoch = ?", ended)
            self._fold(cursor)
        self._connection.close()


class FileDatabase(Database):
    """An open store in a file of the home."""

    def __init__(self, path: Path, connection: Connection, clock: Clock, soundness: Soundness) -> None:
        self.path = path
        parts = Parts(
            soundness=soundness,
            library=f"SQLite {library_version()}",
            make_writer=lambda: Writer(connection, clock, synchronous_setting(connection)),
            connect_reader=lambda: connect_reader(path),
            fold=_fold_log,
        )
        super().__init__(connection, clock, parts)


def open_database(home: Path, clock: Clock, check_seconds: float = CHECK_SECONDS) -> FileDatabase:
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
            refuse_moved(connection.cursor(), path)
            note_writer(connection.cursor())
            return FileDatabase(path, connection, clock, soundness)
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


def _fold_log(cursor: Cursor) -> None:
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def begin_epoch(cursor: Cursor, clock: Clock) -> int:
    """Note this process among those that had the store and return its number."""
    rows: list[tuple[int]] = cursor.execute(sql.ADD_EPOCH, (os.getpid(), __version__, clock.unix_micros())).fetchall()
    return rows[0][0]


def _hear(trial: asyncio.Future[int]) -> None:
    """Take note of a failed trial: the writer tells what was wrong."""
    if not trial.cancelled():
        trial.exception()


def _try_write(cursor: Cursor, epoch: int) -> int:
    return cursor.execute(TRIAL, (epoch,)).rowcount


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
