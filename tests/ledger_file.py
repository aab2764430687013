"""A read-only look into an installation's ledger, past the product: by SQL on its file, or on a copy of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

DATABASE = "headrace.db"
ENDED = """
SELECT attempt.request_id, count(*), min(attempt.attempt_id),
    min(resolution.outcome), min(resolution.ending), min(resolution.error_code), min(resolution.usage_source),
    max(resolution.possible_spend), max(resolution.delivered_bytes),
    max(coalesce(input_fresh, 0) + coalesce(input_cache_read, 0)),
    max(coalesce(output_text, 0) + coalesce(output_reasoning, 0)),
    coalesce(sum(booked.entries), 0), coalesce(sum(booked.cost), 0), coalesce(sum(booked.charge), 0)
FROM attempt
LEFT JOIN resolution ON resolution.attempt_id = attempt.attempt_id
LEFT JOIN (
    SELECT attempt_id, count(*) AS entries,
        sum(CASE kind WHEN 'cost' THEN amount_nano ELSE 0 END) AS cost,
        sum(CASE kind WHEN 'charge' THEN amount_nano ELSE 0 END) AS charge
    FROM ledger_entry GROUP BY attempt_id
) AS booked ON booked.attempt_id = attempt.attempt_id
GROUP BY attempt.request_id
"""


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


class LedgerFile:
    """One connection to a ledger's file that cannot write."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def requests(self) -> dict[str, EndedRequest]:
        """Every request in the ledger by its id."""
        rows = self._connection.execute(ENDED).fetchall()
        return {row[0]: EndedRequest(*row) for row in rows}

    def open_holds(self) -> OpenHolds:
        """What is reserved now."""
        held, sent = self._connection.execute("SELECT count(*), count(sent_at_micros) FROM hold").fetchone()
        (nano,) = self._connection.execute("SELECT coalesce(sum(held_nano), 0) FROM scope").fetchone()
        return OpenHolds(held, sent, nano)

    def unbalanced_scopes(self) -> list[tuple[str, int, int]]:
        """Scopes whose spending is not the sum of what was charged to them."""
        return self._connection.execute(
            """
            SELECT scope.scope, scope.spent_nano, coalesce(sum(entry.amount_nano), 0) AS charged
            FROM scope
            LEFT JOIN (SELECT attempt_id, drawn.value AS scope FROM attempt, json_each(attempt.scopes) AS drawn)
                AS drawn ON drawn.scope = scope.scope
            LEFT JOIN ledger_entry AS entry ON entry.attempt_id = drawn.attempt_id AND entry.kind = 'charge'
            GROUP BY scope.scope HAVING scope.spent_nano <> charged
            """
        ).fetchall()

    def overdrawn_scopes(self) -> list[tuple[str, int, int, int]]:
        """Scopes that hold and have spent more than their limit."""
        statement = (
            "SELECT scope, limit_nano, held_nano, spent_nano FROM scope WHERE held_nano + spent_nano > limit_nano"
        )
        return self._connection.execute(statement).fetchall()

    def payments(self) -> dict[str, int]:
        """The amounts that were paid in and are booked, by reference."""
        statement = "SELECT reference, sum(amount_nano) FROM ledger_entry WHERE kind = 'top_up' GROUP BY reference"
        return dict(self._connection.execute(statement).fetchall())

    def limit(self, scope: str) -> int | None:
        """The limit of a scope."""
        found = self._connection.execute("SELECT limit_nano FROM scope WHERE scope = ?", (scope,)).fetchone()
        return None if found is None else found[0]


@contextmanager
def ledger_file(home: Path) -> Generator[LedgerFile]:
    """The ledger of a running or stopped installation."""
    with closing(sqlite3.connect(f"file:{home / DATABASE}?mode=ro", uri=True)) as connection:
        yield LedgerFile(connection)


@contextmanager
def ledger_copy(home: Path, folder: Path) -> Generator[LedgerFile]:
    """The ledger as a killed process left it, read in a copy, so that looking changes nothing for the restart."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (DATABASE, f"{DATABASE}-wal"):
        if (home / name).exists():
            shutil.copy(home / name, folder / name)
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        yield LedgerFile(connection)
