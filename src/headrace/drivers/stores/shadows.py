"""Owns the rows of answers that a reference model gave too; the texts are blobs, and running them is the services'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, fields

from headrace.domain.shadow import ShadowAnswer, Verdict
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor

SPENT = "SELECT coalesce(sum(amount_nano), 0) FROM shadow_answer WHERE router_uuid = ? AND made_at_micros >= ?"
BEGIN = """
INSERT INTO shadow_answer (request_id, shadow_request_id, router_uuid, route, served_by, reference, made_at_micros,
    amount_nano, state, failure, verdict, judge, judged_at_micros) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (request_id) DO NOTHING
"""
FINISH = "UPDATE shadow_answer SET amount_nano = ?, state = ?, failure = ? WHERE request_id = ?"
GET = "SELECT * FROM shadow_answer WHERE request_id = ?"
LIST = """
SELECT * FROM shadow_answer WHERE router_uuid = ? AND (made_at_micros, request_id) < (?, ?)
ORDER BY made_at_micros DESC, request_id DESC LIMIT ?
"""
UNJUDGED = """
SELECT * FROM shadow_answer
WHERE router_uuid = ? AND (made_at_micros, request_id) < (?, ?) AND state = 'kept' AND verdict IS NULL
ORDER BY made_at_micros DESC, request_id DESC LIMIT ?
"""
JUDGE = """
UPDATE shadow_answer SET verdict = ?, judge = ?, judged_at_micros = ? WHERE request_id = ? AND state = 'kept'
"""
VERDICTS = """
SELECT verdict, count(*) FROM shadow_answer
WHERE router_uuid = ? AND made_at_micros >= ? AND made_at_micros < ? AND verdict IS NOT NULL GROUP BY verdict
"""
SWEEP = """
DELETE FROM shadow_answer WHERE request_id IN (
    SELECT request_id FROM shadow_answer WHERE made_at_micros < ? ORDER BY made_at_micros LIMIT ?
)
"""
SWEPT_AT_ONCE = 500
LAST = (2**63 - 1, "")
_NAMES = tuple(each.name for each in fields(ShadowAnswer))


class SqlShadows:
    """Answers of reference models, one row each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, answer: ShadowAnswer, day_micros: int, most_nano: int) -> bool:
        """Store an answer that is to be made, if what its router's answers since then amount to leaves room for it."""
        values = astuple(answer)

        def write(cursor: Cursor) -> bool:
            spent = cursor.execute(SPENT, (answer.router_uuid, day_micros)).fetchone()[0]
            if int(spent) + answer.amount_nano > most_nano:
                return False
            return cursor.execute(BEGIN, values).rowcount == 1

        return await self._database.write(write)

    async def finish(self, request_id: str, amount_nano: int, failure: str | None) -> None:
        """Note what an answer cost, and that it is kept, or what went wrong."""
        values = (amount_nano, "kept" if failure is None else "failed", failure, request_id)
        await self._database.write(lambda cursor: cursor.execute(FINISH, values).rowcount)

    async def get(self, request_id: str) -> ShadowAnswer | None:
        """Return one, or None."""
        found = await self._database.read(lambda cursor: _found(cursor, GET, (request_id,)))
        return found[0] if found else None

    async def list(
        self, router_uuid: str, limit: int, before: tuple[int, str] | None = None, *, unjudged: bool = False
    ) -> tuple[ShadowAnswer, ...]:
        """Return the newest answers of a router first; with `unjudged` those only that wait for a verdict."""
        values = (router_uuid, *(before or LAST), limit)
        return await self._database.read(lambda cursor: _found(cursor, UNJUDGED if unjudged else LIST, values))

    async def judge(self, request_id: str, verdict: Verdict, judge: str, at_micros: int) -> bool:
        """Store a verdict, or replace it; returns whether there is such an answer, and it is kept."""
        values = (verdict.value, judge, at_micros, request_id)
        return await self._database.write(lambda cursor: cursor.execute(JUDGE, values).rowcount == 1)

    async def verdicts(self, router_uuid: str, since_micros: int, until_micros: int) -> Mapping[Verdict, int]:
        """Return how often there was which verdict, on requests from then up to then."""
        values = (router_uuid, since_micros, until_micros)
        rows = await self._database.read(lambda cursor: cursor.execute(VERDICTS, values).fetchall())
        return {Verdict(name): int(count) for name, count in rows}

    async def sweep(self, before_micros: int) -> int:
        """Forget older answers, some at a time; returns how many there were."""
        values, swept = (before_micros, SWEPT_AT_ONCE), 0
        while True:
            gone = await self._database.write(lambda cursor: cursor.execute(SWEEP, values).rowcount)
            swept += gone
            if gone < SWEPT_AT_ONCE:
                return swept


def _found(cursor: Cursor, statement: str, values: tuple[str | int, ...]) -> tuple[ShadowAnswer, ...]:
    cursor.execute(statement, values)
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return tuple(
        ShadowAnswer(**{name: row[name] for name in _NAMES if name != "verdict"}, verdict=_verdict(row["verdict"]))
        for row in rows
    )


def _verdict(name: str | None) -> Verdict | None:
    return None if name is None else Verdict(name)
