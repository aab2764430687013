"""Owns reading back what routers decided, with what serving it took, and forgetting it; the ledger's steps write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from headrace.drivers.stores.database import Database
from headrace.drivers.stores.decision_rows import read_decision
from headrace.drivers.stores.receipts import usage_of
from headrace.drivers.stores.sqlite import Cursor
from headrace.ports.routing import RoutedRequest

Row: TypeAlias = "Mapping[str, Any]"

GET = "SELECT * FROM decision WHERE request_id = ?"
SINCE = """
SELECT * FROM decision
WHERE router = ? AND received_at_micros >= ? AND (received_at_micros, request_id) < (?, ?)
ORDER BY received_at_micros DESC, request_id DESC LIMIT ?
"""
COUNT = "SELECT count(*) FROM decision WHERE router = ? AND received_at_micros >= ? AND received_at_micros < ?"
ATTEMPTS = """
SELECT attempt.request_id, attempt.model_id, resolution.*, (
    SELECT coalesce(sum(line.cost_nano), 0) FROM settled_line AS line WHERE line.attempt_id = attempt.attempt_id
) AS cost_nano
FROM attempt JOIN resolution ON resolution.attempt_id = attempt.attempt_id
WHERE attempt.request_id IN ({marks}) ORDER BY attempt.turn_index, attempt.attempt_index
"""
SWEEP = """
DELETE FROM decision WHERE request_id IN (
    SELECT request_id FROM decision WHERE received_at_micros < ? ORDER BY received_at_micros LIMIT ?
)
"""
SWEPT_AT_ONCE = 500
# Attempts are read for so many requests at a time.
READ_AT_ONCE = 200
LAST = (2**63 - 1, "")


class SqlDecisions:
    """Decisions by request; what was settled of the request stands in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def since(
        self, router: str, since_micros: int, limit: int, before: tuple[int, str] | None = None
    ) -> tuple[RoutedRequest, ...]:
        """Return the newest requests that the router decided since then, oldest first; all before a time and an id."""
        values = (router, since_micros, *(before or LAST), max(0, limit))
        return await self._database.read(lambda cursor: _found(cursor, SINCE, values))

    async def count(self, router: str, since_micros: int, until_micros: int) -> int:
        """Return how many requests the router decided from then up to then."""
        values = (router, since_micros, until_micros)
        return int(await self._database.read(lambda cursor: cursor.execute(COUNT, values).fetchone()[0]))

    async def get(self, request_id: str) -> RoutedRequest | None:
        """Return one, or None when no router decided it, or its decision is forgotten."""
        found = await self._database.read(lambda cursor: _found(cursor, GET, (request_id,)))
        return found[0] if found else None

    async def sweep(self, before_micros: int) -> int:
        """Forget what was decided for requests that came before, some at a time; returns how many there were."""
        values, swept = (before_micros, SWEPT_AT_ONCE), 0
        while True:
            gone = await self._database.write(lambda cursor: cursor.execute(SWEEP, values).rowcount)
            swept += gone
            if gone < SWEPT_AT_ONCE:
                return swept


def _found(cursor: Cursor, statement: str, values: Sequence[str | int]) -> tuple[RoutedRequest, ...]:
    rows = _rows(cursor, statement, values)[::-1]
    attempts: dict[str, list[Row]] = {}
    for start in range(0, len(rows), READ_AT_ONCE):
        ids = [row["request_id"] for row in rows[start : start + READ_AT_ONCE]]
        for each in _rows(cursor, ATTEMPTS.format(marks=", ".join("?" * len(ids))), ids):
            attempts.setdefault(each["request_id"], []).append(each)
    return tuple(_routed(row, attempts.get(row["request_id"], ())) for row in rows)


def _routed(row: Row, attempts: Sequence[Row]) -> RoutedRequest:
    settled = next((each for each in attempts if each["outcome"] == "settled"), None)
    usage = None if settled is None else usage_of(settled)
    statuses = [each["request_status"] for each in attempts if each["request_status"] is not None]
    return RoutedRequest(
        request_id=row["request_id"],
        received_at_micros=row["received_at_micros"],
        decision=read_decision(row["body"], row["features"]),
        served_by=None if settled is None else settled["model_id"],
        cost_nano=sum(int(each["cost_nano"]) for each in attempts),
        input_tokens=0 if usage is None else usage.input_total,
        cached_tokens=0 if usage is None else usage.input_cache_read,
        output_tokens=0 if usage is None else usage.output_total,
        reasoning_tokens=0 if usage is None else usage.output_reasoning,
        status=statuses[-1] if statuses else None,
    )


def _rows(cursor: Cursor, statement: str, values: Sequence[str | int]) -> list[Row]:
    cursor.execute(statement, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
