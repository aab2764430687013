"""Owns checking a database: that the file is sound and that the balances match the open holds; repairs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.drivers.stores.sqlite import Connection, Cursor, OperationalError
from headrace.ports.ambient import Clock

STEPS_BETWEEN_LOOKS = 20_000
HELD_AGAINST_HOLDS = """
SELECT scope.scope, scope.held_nano, coalesce(open.nano, 0) AS open_nano
FROM scope
LEFT JOIN (
    SELECT drawn.value AS scope, sum(attempt.bound_nano) AS nano
    FROM hold JOIN attempt ON attempt.attempt_id = hold.attempt_id CROSS JOIN json_each(attempt.scopes) AS drawn
    GROUP BY drawn.value
) AS open ON open.scope = scope.scope
WHERE scope.held_nano <> coalesce(open.nano, 0) ORDER BY scope.scope
"""
SPENT_AGAINST_CHARGES = """
SELECT scope.scope, scope.spent_nano, coalesce(charged.nano, 0) AS booked_nano
FROM scope
LEFT JOIN (
    SELECT drawn.value AS scope, sum(booked.nano) AS nano
    FROM (
        SELECT attempt.scopes, line.charge_nano AS nano
        FROM settled_line AS line JOIN attempt ON attempt.attempt_id = line.attempt_id
        WHERE NOT EXISTS (SELECT 1 FROM waiver WHERE waiver.attempt_id = line.attempt_id)
        UNION ALL
        SELECT scopes, CASE WHEN reverses IS NULL THEN amount_nano ELSE -amount_nano END
        FROM ledger_entry WHERE kind = 'charge'
    ) AS booked CROSS JOIN json_each(booked.scopes) AS drawn GROUP BY drawn.value
) AS charged ON charged.scope = scope.scope
WHERE scope.spent_nano <> coalesce(charged.nano, 0) ORDER BY scope.scope
"""

USAGE_AGAINST_LEDGER = """
WITH told AS (
    SELECT hour_start_micros, account, key_id, model_id, provider, deployment, route, status,
        sum(attempts), sum(requests), sum(input_fresh), sum(input_cache_read), sum(input_cache_write_5m),
        sum(input_cache_write_1h), sum(output_text), sum(output_reasoning), sum(cost_nano), sum(charge_nano),
        sum(duration_micros), sum(first_event_micros), sum(first_events)
    FROM used GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
)
SELECT * FROM (SELECT * FROM told EXCEPT SELECT * FROM usage_hour)
UNION ALL SELECT * FROM (SELECT * FROM usage_hour EXCEPT SELECT * FROM told)
ORDER BY 1
"""
TAGS_AGAINST_LEDGER = """
WITH told AS (
    SELECT hour_start_micros, tag.value, account, key_id, model_id, provider, deployment, route, status,
        sum(attempts), sum(requests), sum(input_fresh), sum(input_cache_read), sum(input_cache_write_5m),
        sum(input_cache_write_1h), sum(output_text), sum(output_reasoning), sum(cost_nano), sum(charge_nano),
        sum(duration_micros), sum(first_event_micros), sum(first_events)
    FROM used CROSS JOIN json_each(used.tags) AS tag GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
)
SELECT * FROM (SELECT * FROM told EXCEPT SELECT * FROM tag_hour)
UNION ALL SELECT * FROM (SELECT * FROM tag_hour EXCEPT SELECT * FROM told)
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Soundness:
    """What a check of the file found; `problem` is None when nothing is wrong as far as it was read."""

    complete: bool
    problem: str | None

    @property
    def text(self) -> str:
        """The result in a few words."""
        if self.problem is not None:
            return self.problem
        return "ok" if self.complete else "ok as far as it was checked"


def check_file(connection: Connection, clock: Clock, budget_seconds: float) -> Soundness:
    """Run SQLite's quick check, for at most so long; a large file is then only partly checked."""
    deadline = clock.monotonic() + budget_seconds
    connection.set_progress_handler(lambda: clock.monotonic() > deadline, STEPS_BETWEEN_LOOKS)
    try:
        rows = connection.execute("PRAGMA quick_check(1)").fetchall()
    except OperationalError as error:
        if "interrupt" not in str(error):
            raise
        return Soundness(complete=False, problem=None)
    finally:
        connection.set_progress_handler(None, 0)
    found = str(rows[0][0])
    return Soundness(complete=True, problem=None if found == "ok" else found)


def audit_holds(cursor: Cursor) -> str | None:
    """Return what is wrong when a scope's held amount is not the sum of its open holds, else None."""
    rows = cursor.execute(HELD_AGAINST_HOLDS).fetchall()
    if not rows:
        return None
    scope, held, open_nano = rows[0]
    return f"{len(rows)} scopes disagree with their open holds; {scope} holds {held}, its holds sum to {open_nano}"


def audit_spending(cursor: Cursor) -> str | None:
    """Return what is wrong when a scope's spent amount is not the fold of its entries; reads the whole ledger."""
    rows = cursor.execute(SPENT_AGAINST_CHARGES).fetchall()
    if not rows:
        return None
    scope, spent, booked = rows[0]
    return f"{len(rows)} scopes disagree with the ledger; {scope} has spent {spent}, its entries sum to {booked}"


def audit_usage(cursor: Cursor) -> str | None:
    """Return what is wrong when an hourly sum is not the fold of the ledger; reads the whole ledger."""
    for table, statement in (("usage_hour", USAGE_AGAINST_LEDGER), ("tag_hour", TAGS_AGAINST_LEDGER)):
        rows = cursor.execute(statement).fetchall()
        if rows:
            return f"{table} disagrees with the ledger in {len(rows)} rows; the first of either is {tuple(rows[0])}"
    return None
