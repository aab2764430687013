"""Owns reading what a bill is compared with, and the comparisons that were made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from headrace.domain.bill import DAY_MICROS, BookedAttempt, BookedHour, Figures, add_up, day_of, start_of
from headrace.domain.bill_cause import ANOMALY, BROKEN, ESTIMATED, LEFT, POSSIBLE_SPEND, REASONS, RECOVERED, UNMATCHED
from headrace.domain.money import PICO_PER_NANO
from headrace.domain.usage import Usage
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.sqlite import Cursor
from headrace.ports.reconciliation import KeptReconciliation, Period
from headrace.wire.usage_json import read_quantities

Row: TypeAlias = "tuple[Any, ...]"
Found: TypeAlias = "dict[tuple[str, str], list[BookedAttempt]]"

HOUR_MICROS = 3_600_000_000
# Ids of attempts begin with the time of their making, so the primary key finds a range of time. An attempt that ended
# in the range was begun at most so long before.
LONGEST_MICROS = 24 * HOUR_MICROS
FIRST_ID = "att_{:012x}"
MOST_DOUBTFUL = 50_000
MOST_FILLED = 100
HOURS = """
SELECT hour_start_micros, model_id, sum(attempts), sum(input_fresh), sum(input_cache_read),
    sum(input_cache_write_5m + input_cache_write_1h), sum(output_text), sum(output_reasoning), sum(cost_nano)
FROM usage_hour
WHERE provider = ? AND hour_start_micros >= ? AND hour_start_micros < ? AND status <> 'voided'
GROUP BY hour_start_micros, model_id ORDER BY hour_start_micros, model_id
"""
RARE = """
SELECT resolution.ended_at_micros, attempt.model_id, resolution.usage_more
FROM attempt JOIN resolution ON resolution.attempt_id = attempt.attempt_id
WHERE attempt.attempt_id >= ? AND attempt.attempt_id < ? AND attempt.provider = ?
    AND resolution.usage_more IS NOT NULL AND resolution.ended_at_micros >= ? AND resolution.ended_at_micros < ?
"""
ATTEMPTS = """
SELECT attempt.attempt_id, attempt.request_id, attempt.model_id, resolution.ended_at_micros, resolution.possible_spend,
    resolution.usage_source, resolution.ending, resolution.reconcile, resolution.upstream_request_id,
    coalesce(resolution.input_fresh + resolution.input_cache_read + resolution.input_cache_write_5m
        + resolution.input_cache_write_1h, 0),
    coalesce(resolution.output_text + resolution.output_reasoning, 0),
    coalesce((
        SELECT sum(line.cost_nano) FROM settled_line AS line WHERE line.attempt_id = attempt.attempt_id
    ), 0)
FROM attempt JOIN resolution ON resolution.attempt_id = attempt.attempt_id
WHERE attempt.attempt_id >= ? AND attempt.attempt_id < ? AND attempt.provider = ?
    AND resolution.ended_at_micros >= ? AND resolution.ended_at_micros < ?
"""
DOUBTFUL = f"""{ATTEMPTS}    AND (resolution.possible_spend = 1 OR resolution.usage_source <> 'upstream'
        OR resolution.ending <> 'complete' OR resolution.reconcile IS NOT NULL)
LIMIT {MOST_DOUBTFUL}
"""
SETTLED = f"{ATTEMPTS}    AND resolution.outcome = 'settled'"
OF_MODEL = f"{SETTLED} AND attempt.model_id = ? LIMIT ?"
ADD = """
INSERT INTO reconciliation (id, provider, digest, made_at_micros, summary, report) VALUES (?, ?, ?, ?, ?, ?)
"""
GET = "SELECT id, provider, digest, made_at_micros, summary, report FROM reconciliation WHERE id = ?"
RECENT = """
SELECT id, provider, digest, made_at_micros, summary, '' FROM reconciliation
WHERE coalesce(?, provider) = provider ORDER BY made_at_micros DESC, id DESC LIMIT ?
"""
LEFT_ENDINGS = frozenset({"client_closed", "slow_reader"})


class SqlBookedUsage:
    """Our books of one provider: hours from the sums, attempts from the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hours(self, period: Period) -> tuple[BookedHour, ...]:
        """Return the hours in which something was settled, by model."""
        return await self._database.read(lambda cursor: _hours(cursor, period))

    async def attempts(
        self, period: Period, billed: frozenset[str] | None, most_each: int
    ) -> tuple[tuple[BookedAttempt, ...], frozenset[str]]:
        """Return the attempts that may differ from a bill, the strongest reasons first, and the bill's ids found."""
        return await self._database.read(lambda cursor: _attempts(cursor, period, billed, most_each))


class SqlReconciliations:
    """Comparisons, one row each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, kept: KeptReconciliation) -> None:
        """Store a comparison."""
        values = (kept.id, kept.provider, kept.digest, kept.made_at_micros, kept.summary, kept.report)
        await self._database.write(lambda cursor: cursor.execute(ADD, values).rowcount)

    async def get(self, reconciliation_id: str) -> KeptReconciliation | None:
        """Return a comparison, or None."""
        rows = await self._database.read(lambda cursor: cursor.execute(GET, (reconciliation_id,)).fetchall())
        return KeptReconciliation(*rows[0]) if rows else None

    async def recent(self, provider: str | None, limit: int) -> tuple[KeptReconciliation, ...]:
        """Return the newest first, without their reports."""
        rows = await self._database.read(lambda cursor: cursor.execute(RECENT, (provider, limit)).fetchall())
        return tuple(KeptReconciliation(*row) for row in rows)


def _hours(cursor: Cursor, period: Period) -> tuple[BookedHour, ...]:
    values = (period.provider, period.since_micros, period.until_micros)
    found: dict[tuple[int, str], Figures] = {}
    for hour, model_id, requests, fresh, read, written, text, reasoning, cost in cursor.execute(
        HOURS, values
    ).fetchall():
        found[hour, model_id] = Figures(
            requests, fresh + read + written, read, written, text + reasoning, reasoning, cost * PICO_PER_NANO
        )
    for ended_at, model_id, more in cursor.execute(RARE, _range(period)).fetchall():
        usage = Usage(more=read_quantities(more))
        place = (ended_at - ended_at % HOUR_MICROS, model_id)
        rare = Figures(input_tokens=usage.input_total, output_tokens=usage.output_total)
        found[place] = add_up((found.get(place, Figures()), rare))
    return tuple(BookedHour(hour, model_id, figures) for (hour, model_id), figures in sorted(found.items()))


def _attempts(
    cursor: Cursor, period: Period, billed: frozenset[str] | None, most_each: int
) -> tuple[tuple[BookedAttempt, ...], frozenset[str]]:
    found: Found = {}
    known: set[str] = set()
    for row in cursor.execute(DOUBTFUL, _range(period)).fetchall():
        _note(found, _attempt(row, billed))
    if billed is not None:
        doubtful = {attempt.attempt_id for attempts in found.values() for attempt in attempts}
        cursor.execute(SETTLED, _range(period))
        while (row := cursor.fetchone()) is not None:
            attempt = _attempt(row, billed)
            known.update((row[8],) if row[8] in billed else ())
            if attempt.reasons and attempt.attempt_id not in doubtful:
                _note(found, attempt)
    for place in list(_models(cursor, period))[:MOST_FILLED]:
        _fill(cursor, period, found.setdefault(place, []), (place, most_each))
    order = {reason: rank for rank, reason in enumerate(REASONS)}
    ranked = (attempt for attempts in found.values() for attempt in attempts)
    return tuple(
        sorted(ranked, key=lambda each: (min((order[reason] for reason in each.reasons), default=99), -each.cost_nano))
    ), frozenset(known)


def _note(found: Found, attempt: BookedAttempt) -> None:
    found.setdefault((attempt.day, attempt.model_id), []).append(attempt)


def _models(cursor: Cursor, period: Period) -> Iterator[tuple[str, str]]:
    places = {(day_of(hour.hour_start_micros), hour.model_id) for hour in _hours(cursor, period)}
    yield from sorted(places)


def _fill(cursor: Cursor, period: Period, attempts: list[BookedAttempt], wanted: tuple[tuple[str, str], int]) -> None:
    (day, model_id), most = wanted
    missing = most - len(attempts)
    if missing <= 0:
        return
    start, ends = max(period.since_micros, start_of(day)), min(period.until_micros, start_of(day) + DAY_MICROS)
    there = {attempt.attempt_id for attempt in attempts}
    values = (*_range(Period(period.provider, start, ends)), model_id, most)
    others = [_attempt(row, None) for row in cursor.execute(OF_MODEL, values).fetchall()]
    attempts += [each for each in others if each.attempt_id not in there][:missing]


def _range(period: Period) -> tuple[str, str, str, int, int]:
    first = FIRST_ID.format(max(0, period.since_micros - LONGEST_MICROS) // 1_000)
    last = FIRST_ID.format(-(-period.until_micros // 1_000))
    return first, last, period.provider, period.since_micros, period.until_micros


def _attempt(row: Row, billed: frozenset[str] | None) -> BookedAttempt:
    attempt_id, request_id, model_id, ended_at, spend, source, ending, reconcile, upstream_id, used, made, cost = row
    told = {
        POSSIBLE_SPEND: bool(spend),
        UNMATCHED: billed is not None and source is not None and upstream_id not in billed,
        RECOVERED: reconcile == RECOVERED or ending == RECOVERED,
        ESTIMATED: source not in (None, "upstream"),
        ANOMALY: reconcile == ANOMALY,
        LEFT: ending in LEFT_ENDINGS,
        BROKEN: ending not in (None, "complete", RECOVERED) and ending not in LEFT_ENDINGS,
    }
    reasons = tuple(reason for reason in REASONS if told[reason])
    return BookedAttempt(
        day_of(ended_at), model_id, attempt_id, request_id, ended_at, reasons, used, made, cost, upstream_id
    )
