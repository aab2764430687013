"""A read-only look into an installation's ledger, past the product: by SQL on its file or a copy, or on PostgreSQL."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.running import RunningHeadrace, eventually

DATABASE = "headrace.db"
ENDED = """
SELECT attempt.request_id, count(*), min(attempt.attempt_id),
    min(resolution.outcome), min(resolution.ending), min(resolution.error_code), min(resolution.usage_source),
    max(resolution.possible_spend), max(resolution.delivered_bytes),
    max(coalesce(input_fresh, 0) + coalesce(input_cache_read, 0)),
    max(coalesce(output_text, 0) + coalesce(output_reasoning, 0)),
    CAST(coalesce(sum(booked.lines), 0) AS BIGINT), CAST(coalesce(sum(booked.cost), 0) AS BIGINT),
    CAST(coalesce(sum(booked.charge), 0) AS BIGINT)
FROM attempt
LEFT JOIN resolution ON resolution.attempt_id = attempt.attempt_id
LEFT JOIN (
    SELECT settled_line.attempt_id, count(*) AS lines, sum(cost_nano) AS cost,
        sum(CASE WHEN waiver.attempt_id IS NULL THEN charge_nano ELSE 0 END) AS charge
    FROM settled_line LEFT JOIN waiver ON waiver.attempt_id = settled_line.attempt_id
    GROUP BY settled_line.attempt_id
) AS booked ON booked.attempt_id = attempt.attempt_id
GROUP BY attempt.request_id
"""
CHARGED = """
SELECT scope.scope, scope.spent_nano, CAST(coalesce(sum(line.charge_nano), 0) AS BIGINT)
FROM scope
LEFT JOIN (SELECT attempt_id, drawn.value AS scope FROM attempt, {each} AS drawn)
    AS drawn ON drawn.scope = scope.scope
LEFT JOIN settled_line AS line ON line.attempt_id = drawn.attempt_id
    AND line.attempt_id NOT IN (SELECT attempt_id FROM waiver)
GROUP BY scope.scope, scope.spent_nano
"""
RUNS = """
SELECT run.started_at_micros, run.ready_at_micros, run.gone_at_micros, run.nano_per_hour,
    CAST(coalesce(sum(entry.quantity), 0) AS BIGINT), CAST(coalesce(sum(entry.amount_nano), 0) AS BIGINT)
FROM replica_run AS run
LEFT JOIN ledger_entry AS entry ON entry.run_id = run.run_id AND entry.kind = 'charge' AND entry.reverses IS NULL
GROUP BY run.run_id, run.started_at_micros, run.ready_at_micros, run.gone_at_micros, run.nano_per_hour
ORDER BY run.started_at_micros
"""
BUDGETS = "SELECT scope, limit_nano, held_nano, spent_nano FROM scope WHERE limit_nano IS NOT NULL"
SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class EndedRequest:
    """How the ledger closed a request of one attempt; `outcome` is None while the attempt is open."""

    request_id: str
    attempts: int
    attempt_id: str
    outcome: str | None
    ending: str | None
    error_code: str | None
    usage_source: str | None
    possible_spend: int
    delivered_bytes: int
    input_tokens: int
    output_tokens: int
    entries: int
    cost_nano: int
    charge_nano: int


@dataclass(frozen=True, slots=True)
class OpenHolds:
    """What is reserved: rows of holds, those of them whose request was sent, and nano-dollars in the scopes."""

    held: int
    sent: int
    scope_nano: int


@dataclass(frozen=True, slots=True)
class BookedRun:
    """One run of a replica and what its lines add up to: microseconds that are paid, and nano-dollars."""

    started_at_micros: int
    ready_at_micros: int | None
    gone_at_micros: int | None
    nano_per_hour: int
    paid_micros: int
    amount_nano: int


class LedgerFile:
    """One connection to a ledger that does not write; `run` returns all rows of a statement."""

    def __init__(self, run: Callable[[str], Sequence[Row]], each: str = "json_each(attempt.scopes)") -> None:
        self._run = run
        self._each = each

    def requests(self) -> dict[str, EndedRequest]:
        """Every request in the ledger by its id."""
        return {row[0]: EndedRequest(*row) for row in self._run(ENDED)}

    def open_holds(self) -> OpenHolds:
        """What is reserved now."""
        ((held, sent),) = self._run("SELECT count(*), count(sent_at_micros) FROM hold")
        ((nano,),) = self._run("SELECT CAST(coalesce(sum(held_nano), 0) AS BIGINT) FROM scope")
        return OpenHolds(held, sent, nano)

    def unbalanced_scopes(self) -> list[tuple[str, int, int]]:
        """Scopes whose spending is not the sum of what was charged to them."""
        rows = self._run(CHARGED.format(each=self._each))
        return [(scope, spent, charged) for scope, spent, charged in rows if spent != charged]

    def budgets(self) -> list[tuple[str, int, int, int]]:
        """Every scope with a limit: the limit, what is held and what is spent."""
        return [(scope, limit, held, spent) for scope, limit, held, spent in self._run(BUDGETS)]

    def overdrawn_scopes(self) -> list[tuple[str, int, int, int]]:
        """Scopes that hold and have spent more than their limit."""
        return [each for each in self.budgets() if each[2] + each[3] > each[1]]

    def replica_runs(self) -> list[BookedRun]:
        """Every run of a replica, oldest first."""
        return [BookedRun(*row) for row in self._run(RUNS)]

    def waivers(self) -> int:
        """How many charges were taken back, because their callers had been told that the request failed."""
        ((number,),) = self._run("SELECT count(*) FROM waiver")
        return int(number)

    def payments(self) -> dict[str, int]:
        """The amounts that were paid in and are booked, by reference."""
        rows = self._run("SELECT reference, amount_nano FROM ledger_entry WHERE kind = 'top_up'")
        return dict(rows)

    def sessions(self) -> int:
        """How many others are connected; PostgreSQL knows."""
        ((others,),) = self._run(SESSIONS)
        return int(others)

    def limit(self, scope: str) -> int | None:
        """The limit of a scope."""
        return next((limit for name, limit, _, _ in self.budgets() if name == scope), None)


@contextmanager
def ledger_of(headrace: RunningHeadrace, store: str = "") -> Generator[LedgerFile]:
    """The ledger of a running or stopped installation; by another address than its own where that is given."""
    if headrace.store:
        with psycopg.connect(store or headrace.store, autocommit=True) as connection:
            yield LedgerFile(_rows_of(connection), "json_array_elements_text(CAST(attempt.scopes AS json))")
    else:
        with closing(sqlite3.connect(f"file:{headrace.home / DATABASE}?mode=ro", uri=True)) as connection:
            yield LedgerFile(lambda statement: connection.execute(statement).fetchall())


@contextmanager
def ledger_left_by(headrace: RunningHeadrace, folder: Path) -> Generator[LedgerFile]:
    """The ledger as a killed process left it: a file is read in a copy, so that looking changes nothing.

    What PostgreSQL was told before the kill it still ends: its sessions are waited for.
    """
    if headrace.store:
        with ledger_of(headrace) as ledger:
            eventually(lambda: ledger.sessions() == 0, "the killed server's sessions have ended")
            yield ledger
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (DATABASE, f"{DATABASE}-wal"):
        if (headrace.home / name).exists():
            shutil.copy(headrace.home / name, folder / name)
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        yield LedgerFile(lambda statement: connection.execute(statement).fetchall())


def _rows_of(connection: psycopg.Connection[Row]) -> Callable[[str], Sequence[Row]]:
    return lambda statement: connection.execute(statement.encode()).fetchall()
