"""Owns reading requests back from the ledger as receipts; writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from headrace.domain.plan import Excluded
from headrace.domain.price import Line
from headrace.domain.receipt import AttemptRecord, Receipt
from headrace.domain.usage import Usage
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.decision_rows import decision_in
from headrace.drivers.stores.sqlite import Cursor
from headrace.wire.usage_json import read_quantities

Row: TypeAlias = "Mapping[str, Any]"

REQUESTS = "SELECT * FROM request"
ATTEMPTS = """
SELECT attempt.*, price.source AS price_source, price.rates_pico, price.variants,
    coalesce(resolution.outcome, CASE WHEN hold.sent_at_micros IS NULL THEN 'held' ELSE 'sent' END) AS state,
    resolution.first_event_at_micros, resolution.ended_at_micros, resolution.input_fresh,
    resolution.input_cache_read, resolution.input_cache_write_5m, resolution.input_cache_write_1h,
    resolution.output_text, resolution.output_reasoning, resolution.usage_source, resolution.usage_anomaly,
    resolution.usage_more,
    coalesce(resolution.delivered_bytes, hold.checkpoint_bytes, 0) AS delivered_bytes, resolution.ending,
    coalesce(waiver.error_code, resolution.error_code) AS error_code, resolution.upstream_status,
    resolution.upstream_request_id, coalesce(resolution.possible_spend, 0) AS possible_spend,
    coalesce(waiver.request_status, resolution.request_status) AS request_status, resolution.share_micros,
    resolution.share_nano
FROM attempt
JOIN price_version AS price ON price.price_version = attempt.price_version
LEFT JOIN hold ON hold.attempt_id = attempt.attempt_id
LEFT JOIN resolution ON resolution.attempt_id = attempt.attempt_id
LEFT JOIN waiver ON waiver.attempt_id = attempt.attempt_id
WHERE attempt.request_id = ?
ORDER BY attempt.turn_index, attempt.attempt_index
"""
LINES = """
SELECT line.attempt_id, line.line_kind, line.quantity, line.price_pico, line.cost_nano,
    CASE WHEN waiver.attempt_id IS NULL THEN line.charge_nano ELSE 0 END
FROM attempt JOIN settled_line AS line ON line.attempt_id = attempt.attempt_id
LEFT JOIN waiver ON waiver.attempt_id = attempt.attempt_id
WHERE attempt.request_id = ?
ORDER BY line.attempt_id, line.line
"""
SCOPES = msgspec.json.Decoder(tuple[str, ...])
RATES = msgspec.json.Decoder(dict[str, int])
EXCLUDED = msgspec.json.Decoder(tuple[Excluded, ...])


class SqlReceipts:
    """Receipts from the ledger's tables; whose request it is, is decided in the query."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, request_id: str, key_id: str | None) -> Receipt | None:
        """Return a receipt; with a key's public id, only when that key made the request."""
        found = await self._database.read(lambda cursor: _get(cursor, request_id, key_id))
        return found[0] if found else None

    async def recent(self, key_id: str | None, limit: int) -> tuple[Receipt, ...]:
        """Return the newest receipts first; with a key's public id, only of requests that it made."""
        return await self._database.read(lambda cursor: _recent(cursor, key_id, limit))


def _get(cursor: Cursor, request_id: str, key_id: str | None) -> tuple[Receipt, ...]:
    mine, whose = _whose(key_id)
    rows = _rows(cursor, f"{REQUESTS} WHERE request_id = ?{mine}", (request_id, *whose))
    return tuple(_receipt(cursor, row) for row in rows)


def _recent(cursor: Cursor, key_id: str | None, limit: int) -> tuple[Receipt, ...]:
    mine, whose = _whose(key_id)
    statement = f"{REQUESTS} WHERE true{mine} ORDER BY request_id DESC LIMIT ?"
    rows = _rows(cursor, statement, (*whose, max(0, limit)))
    return tuple(_receipt(cursor, row) for row in rows)


def _whose(key_id: str | None) -> tuple[str, tuple[str, ...]]:
    return ("", ()) if key_id is None else (" AND key_id = ?", (key_id,))


def _rows(cursor: Cursor, statement: str, values: Sequence[str | int]) -> list[Row]:
    cursor.execute(statement, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _receipt(cursor: Cursor, request: Row) -> Receipt:
    of_request = (request["request_id"],)
    lines = _lines(cursor.execute(LINES, of_request).fetchall())
    rows = _rows(cursor, ATTEMPTS, of_request)
    statuses = [row["request_status"] for row in rows if row["request_status"] is not None]
    return Receipt(
        request_id=request["request_id"],
        operation=request["operation"],
        account=request["account"],
        key_id=request["key_id"],
        key_name=request["key_name"],
        requested_model=request["requested_model"],
        stream=bool(request["stream"]),
        route=request["route"],
        status=statuses[-1] if statuses else None,
        received_at_micros=request["received_at_micros"],
        attempts=tuple(_attempt(row, lines.get(row["attempt_id"], ())) for row in rows),
        excluded=EXCLUDED.decode(request["excluded"]) if request["excluded"] else (),
        decision=decision_in(cursor, request["request_id"]),
    )


def _lines(rows: Sequence[tuple[Any, ...]]) -> Mapping[str, tuple[Line, ...]]:
    by_attempt: dict[str, tuple[Line, ...]] = {}
    for attempt_id, *figures in rows:
        by_attempt[attempt_id] = (*by_attempt.get(attempt_id, ()), Line(*figures))
    return by_attempt


def _attempt(row: Row, lines: tuple[Line, ...]) -> AttemptRecord:
    return AttemptRecord(
        attempt_id=row["attempt_id"],
        turn_index=row["turn_index"],
        attempt_index=row["attempt_index"],
        state=row["state"],
        model_id=row["model_id"],
        provider=row["provider"],
        deployment=row["deployment"],
        identity=row["identity"],
        price_version=row["price_version"],
        price_source=row["price_source"],
        rates_pico=RATES.decode(row["rates_pico"]),
        variants=row["variants"],
        bound_nano=row["bound_nano"],
        usage=usage_of(row),
        lines=lines,
        ending=row["ending"],
        error_code=row["error_code"],
        upstream_status=row["upstream_status"],
        upstream_request_id=row["upstream_request_id"],
        possible_spend=bool(row["possible_spend"]),
        delivered_bytes=row["delivered_bytes"],
        held_at_micros=row["held_at_micros"],
        first_event_at_micros=row["first_event_at_micros"],
        ended_at_micros=row["ended_at_micros"],
        scopes=SCOPES.decode(row["scopes"]),
        parent_attempt_id=row["parent_attempt_id"],
        share_micros=row["share_micros"],
        share_nano=row["share_nano"],
    )


def usage_of(row: Row) -> Usage | None:
    """Return the usage of a resolution's columns, or None for an attempt that was not settled."""
    source = row["usage_source"]
    if source is None:
        return None
    return Usage(
        input_fresh=row["input_fresh"],
        input_cache_read=row["input_cache_read"],
        input_cache_write_5m=row["input_cache_write_5m"],
        input_cache_write_1h=row["input_cache_write_1h"],
        output_text=row["output_text"],
        output_reasoning=row["output_reasoning"],
        source=source,
        anomaly=row["usage_anomaly"],
        more=() if row["usage_more"] is None else read_quantities(row["usage_more"]),
    )
