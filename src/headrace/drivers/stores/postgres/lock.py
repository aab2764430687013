"""Owns the right to write: one session of the database holds the lock, and the newest epoch is that of its process.

The lock belongs to the session that writes. When the session is lost, so is the lock, and nothing written after that
reaches the database: a process that was cut off cannot write behind the back of the next one.
"""

from __future__ import annotations

import os
import platform

import psycopg

from headrace.domain.errors import StoreUnusable
from headrace.domain.secret import Secret
from headrace.drivers.stores.postgres.connection import Raw, connect, named
from headrace.drivers.stores.postgres.place import Place, read_place
from headrace.drivers.stores.sqlite import OperationalError

LOCK = 0x4865_6164
WAIT_SECONDS = 3.0
TAKE = f"SELECT pg_advisory_lock({LOCK}, hashtext(coalesce(current_schema(), '')))".encode()
HOLDER = f"""
SELECT coalesce(activity.application_name, '') FROM pg_locks AS held
LEFT JOIN pg_stat_activity AS activity ON activity.pid = held.pid
WHERE held.locktype = 'advisory' AND held.granted AND held.classid = {LOCK}
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
""".encode()  # noqa: S608 - a number of ours
NEWEST_EPOCH = b"SELECT coalesce(max(epoch), 0) FROM epoch"
DURABLE = b"SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"


class InUse(StoreUnusable):
    """Another Headrace writes to this database."""


class WritingSessions:
    """Opens sessions that may write, one after the other, for one process."""

    def __init__(self, url: Secret, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_milliseconds = int(wait_seconds * 1_000)
        self.place: Place = read_place(url, f"headrace {platform.node()} pid {os.getpid()}"[:63])
        self.epoch: int | None = None

    def open(self) -> Raw:
        """Return a session that holds the lock.

        Raises InUse when another Headrace has the lock as this process begins, OperationalError when the server is
        away, and for ever once another Headrace had the lock in between.
        """
        raw = connect(self.place)
        try:
            self._take(raw)
        except BaseException:
            raw.close()
            raise
        return raw

    def _take(self, raw: Raw) -> None:
        try:
            raw.execute(f"SET lock_timeout = {self._wait_milliseconds}".encode())
            raw.execute(TAKE)
            raw.execute(b"SET lock_timeout = '2s'")
            raw.execute(DURABLE)
            newest = 0 if self.epoch is None else (raw.execute(NEWEST_EPOCH).fetchone() or (0,))[0]
        except psycopg.errors.LockNotAvailable as error:
            raise (self._in_use(raw) if self.epoch is None else named(error)) from error
        except psycopg.Error as error:
            raise named(error) from error
        if self.epoch is not None and newest != self.epoch:
            raise OperationalError(
                f"another Headrace has written to {self.place.name} since this one lost it (epoch {newest} after "
                f"{self.epoch}): stop one of the two and start the other again"
            )

    def _in_use(self, raw: Raw) -> InUse:
        row = raw.execute(HOLDER).fetchone()
        who = f" ({row[0]})" if row is not None and row[0] else ""
        return InUse(
            f"{self.place.name} is in use by another Headrace{who}. One server writes to a database: stop that one, or "
            "give this one another database with --store."
        )


def unusable(place: Place, error: Exception) -> StoreUnusable:
    """Return the error for a database that cannot be opened; the library's text names host and user, no password."""
    return StoreUnusable(
        f"{place.name} cannot be opened ({error}). Check that the server runs and lets this user in.", detail=str(error)
    )
