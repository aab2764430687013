"""Owns the outcomes of requests that may be repeated as rows, sealed; what is kept and how long is the services'."""

from __future__ import annotations

import asyncio

from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor
from headrace.ports.ambient import Clock
from headrace.ports.outcomes import Asked, Beginning, Different, Fresh, Lost, Running, Stored
from headrace.ports.stores import Secrets

OFF_LOOP_BYTES = 256 * 1024
SWEPT_AT_ONCE = 500
FIND = """
SELECT digest, state, epoch, request_id, sealed FROM outcome
WHERE owner = ? AND route = ? AND name = ? AND expires_at_micros > ?
"""
BEGIN = """
INSERT INTO outcome (owner, route, name, digest, request_id, state, epoch, expires_at_micros)
VALUES (?, ?, ?, ?, ?, 'running', ?, ?)
ON CONFLICT (owner, route, name) DO UPDATE SET
    digest = excluded.digest, request_id = excluded.request_id, state = excluded.state, epoch = excluded.epoch,
    expires_at_micros = excluded.expires_at_micros, sealed = NULL, key_version = NULL
"""
FINISH = """
UPDATE outcome SET state = ?, sealed = ?, key_version = ?
WHERE owner = ? AND route = ? AND name = ? AND request_id = ? AND state = 'running'
"""
ABANDON = "DELETE FROM outcome WHERE owner = ? AND route = ? AND name = ? AND request_id = ? AND state = 'running'"
SWEEP = """
DELETE FROM outcome WHERE (owner, route, name) IN (
    SELECT owner, route, name FROM outcome WHERE expires_at_micros <= ? ORDER BY expires_at_micros LIMIT ?
)
"""


class SqlOutcomes:
    """Outcomes, one row each; a running one of an earlier epoch is lost, for its process is dead."""

    def __init__(self, database: Database, secrets: Secrets, clock: Clock) -> None:
        self._database = database
        self._secrets = secrets
        self._clock = clock

    async def begin(self, asked: Asked, expires_at_micros: int) -> Beginning:
        """Return what is known of this request, or note it as running."""
        place = (asked.owner, asked.route, asked.name)
        now, epoch = self._clock.unix_micros(), self._database.epoch

        def find_or_begin(cursor: Cursor) -> tuple[str, str, int, str, bytes | None] | None:
            row: tuple[str, str, int, str, bytes | None] | None = cursor.execute(FIND, (*place, now)).fetchone()
            if row is None:
                cursor.execute(BEGIN, (*place, asked.digest, asked.request_id, epoch, expires_at_micros))
            return row

        row = await self._database.write(find_or_begin)
        if row is None:
            return Fresh()
        digest, state, its_epoch, request_id, sealed = row
        if digest != asked.digest:
            return Different(request_id)
        if sealed is not None:
            return Stored(request_id, await self._open(asked, sealed))
        return Running(request_id) if state == "running" and its_epoch == epoch else Lost(request_id)

    async def finish(self, asked: Asked, content: bytes | None) -> None:
        """Keep the outcome, sealed, or that there is one which cannot be kept."""
        sealed = None if content is None else await self._seal(asked, content)
        state = "lost" if sealed is None else "stored"
        version = self._secrets.key_version
        values = (state, sealed, version, asked.owner, asked.route, asked.name, asked.request_id)
        await self._database.write(lambda cursor: cursor.execute(FINISH, values).rowcount)

    async def abandon(self, asked: Asked) -> None:
        """Forget a running request."""
        values = (asked.owner, asked.route, asked.name, asked.request_id)
        await self._database.write(lambda cursor: cursor.execute(ABANDON, values).rowcount)

    async def sweep(self) -> int:
        """Forget what has expired, some at a time; returns how many there were."""
        values, swept = (self._clock.unix_micros(), SWEPT_AT_ONCE), 0
        while True:
            gone = await self._database.write(lambda cursor: cursor.execute(SWEEP, values).rowcount)
            swept += gone
            if gone < SWEPT_AT_ONCE:
                return swept

    async def _seal(self, asked: Asked, content: bytes) -> bytes:
        if len(content) > OFF_LOOP_BYTES:
            return await asyncio.to_thread(self._secrets.seal, _context(asked), content)
        return self._secrets.seal(_context(asked), content)

    async def _open(self, asked: Asked, sealed: bytes) -> bytes:
        if len(sealed) > OFF_LOOP_BYTES:
            return await asyncio.to_thread(self._secrets.open, _context(asked), sealed)
        return self._secrets.open(_context(asked), sealed)


def _context(asked: Asked) -> str:
    return f"outcome/{asked.owner}/{asked.route}/{asked.name}"
