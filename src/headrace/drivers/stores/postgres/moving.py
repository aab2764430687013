"""Owns moving an installation's books from the home's SQLite file into an empty PostgreSQL database, all or nothing.

Both stores are locked meanwhile. The copy is compared with the file before either side commits: rows of each table,
the sum of each column of numbers, the length of each column of texts. Then the file is marked as moved, so that no
server goes on with it by mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from sqlalchemy import ColumnElement, Integer, Table, func, literal_column, select

from headrace import __version__
from headrace.domain.errors import HomeUnusable, StoreUnusable
from headrace.domain.moved import Moved
from headrace.domain.secret import Secret
from headrace.drivers.stores.audit import audit_holds, audit_spending, check_file
from headrace.drivers.stores.connection import Cursor
from headrace.drivers.stores.database import FILE_NAME
from headrace.drivers.stores.home import open_home
from headrace.drivers.stores.moved import MARK, mark_moved
from headrace.drivers.stores.postgres.connection import PostgresConnection
from headrace.drivers.stores.postgres.database import require_usable
from headrace.drivers.stores.postgres.lock import WritingSessions, unusable
from headrace.drivers.stores.postgres.place import Place
from headrace.drivers.stores.postgres.upgrade import ensure_schema, stored_revision
from headrace.drivers.stores.schema import METADATA
from headrace.drivers.stores.sqlite import Connection, DatabaseError, connect_writer
from headrace.drivers.stores.upgrade import REVISIONS
from headrace.drivers.stores.upgrade import stored_revision as revision_of_file
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Progress

Watch: TypeAlias = Callable[[Progress], None]

CHECK_SECONDS = 600.0
ROWS_BETWEEN_REPORTS = 2_000
# A sum of many times in microseconds does not fit into one number, so it is two.
BILLION = literal_column("1000000000", Integer)
SEQUENCE = "SELECT pg_get_serial_sequence(?, ?)"
MONEY = """
SELECT (SELECT coalesce(sum(amount_nano), 0) FROM ledger_entry)
    + (SELECT coalesce(sum(cost_nano + charge_nano), 0) FROM settled_line)
"""
PLATFORM = "SELECT spent_nano, held_nano FROM scope WHERE scope = 'platform'"


def move_books(home: Path, url: Secret, clock: Clock, watch: Watch) -> Moved:
    """Move a home's books and mark its file; returns what both sides agree on.

    Raises HomeUnusable when a server runs in the home, StoreUnusable when one runs on the database, when the database
    is not empty or when the two sides differ at the end; then nothing has changed.
    """
    path = home / FILE_NAME
    if not path.is_file():
        raise HomeUnusable(f"{home} has no {FILE_NAME}: there is nothing to move. Is --home right?")
    sessions = WritingSessions(url)
    with open_home(home), _faults(path, sessions.place), closing(connect_writer(path)) as source:
        _require_sound(source, path, clock)
        with closing(PostgresConnection(sessions.open)) as target:
            require_usable(target, sessions.place.name)
            _require_empty(target.cursor(), sessions.place)
            ensure_schema(target.cursor(), sessions.place)
            return _move(source, target, sessions.place, (path, clock, watch))


def _move(source: Connection, target: PostgresConnection, place: Place, told: tuple[Path, Clock, Watch]) -> Moved:
    path, clock, watch = told
    reading, writing = source.cursor(), target.cursor()
    # While one side sums up a large table, the other has nothing to do.
    writing.execute("SET idle_in_transaction_session_timeout = 0")
    source.execute("BEGIN IMMEDIATE")
    writing.execute("BEGIN IMMEDIATE")
    rows: dict[str, int] = {}
    for table in METADATA.sorted_tables:
        rows[table.name] = _copy(source, target, table, watch)
        _follow(writing, table)
        _compare(reading, writing, table)
    problem = audit_holds(writing) or audit_spending(writing)
    if problem is not None:
        raise StoreUnusable(f"The copy in {place.name} does not agree with itself ({problem}); nothing was moved.")
    (entries,), platform = writing.execute(MONEY).fetchone(), writing.execute(PLATFORM).fetchone() or (0, 0)
    mark_moved(reading, place.name, clock)
    # The file's mark comes last: without it, the worst is a database that a second try finds filled.
    writing.execute("COMMIT")
    source.execute("COMMIT")
    return Moved(str(path), place.name, rows, entries, platform[0], platform[1])


def _require_sound(source: Connection, path: Path, clock: Clock) -> None:
    revision = revision_of_file(source)
    if revision != REVISIONS[-1]:
        raise HomeUnusable(
            f"{path} has the schema {revision or 'of nothing yet'}; this is Headrace {__version__} with the schema "
            f"{REVISIONS[-1]}. Start it once with this version, `headrace serve`, then stop it and move it."
        )
    row = source.execute("SELECT value FROM installation WHERE name = ?", (MARK,)).fetchone()
    if row is not None:
        raise StoreUnusable(f"{path} was moved to {row[0]} already.")
    problem = check_file(source, clock, CHECK_SECONDS).problem or audit_holds(source.cursor())
    if problem is not None:
        raise StoreUnusable(f"{path} is damaged ({problem}); put back a backup first. Nothing was moved.")


def _require_empty(cursor: Cursor, place: Place) -> None:
    if stored_revision(cursor, place) is None:
        return
    for table in METADATA.sorted_tables:
        known = cursor.execute("SELECT to_regclass(?)", (table.name,)).fetchone()[0]
        if known is not None and cursor.execute(str(select(func.count()).select_from(table))).fetchone()[0]:
            raise StoreUnusable(
                f"{place.name} is not empty: it has rows in {table.name}. Give an empty database; one that a server "
                "was started on has keys already."
            )


def _copy(source: Connection, target: PostgresConnection, table: Table, watch: Watch) -> int:
    names = ", ".join(column.name for column in table.columns)
    total = int(source.execute(str(select(func.count()).select_from(table))).fetchone()[0])
    reading = source.execute(str(select(table)))
    done = 0
    with target.raw.cursor().copy(f"COPY {table.name} ({names}) FROM STDIN".encode()) as copy:
        for done, row in enumerate(reading, 1):
            copy.write_row(row)
            if done % ROWS_BETWEEN_REPORTS == 0:
                watch(Progress(table.name, done, total, "rows"))
    watch(Progress(table.name, done, total, "rows"))
    return done


def _follow(cursor: Cursor, table: Table) -> None:
    """Let the numbers that the database gives out go on after those that were copied."""
    for column in table.primary_key.columns:
        sequence = cursor.execute(SEQUENCE, (table.name, column.name)).fetchone()[0]
        if sequence is not None:
            newest = cursor.execute(str(select(func.max(column)))).fetchone()[0] or 0
            cursor.execute("SELECT setval(?, ?, false)", (sequence, newest + 1))


def _compare(mine: Cursor, theirs: Cursor, table: Table) -> None:
    sums: list[ColumnElement[int]] = [func.count()]
    for column in table.columns:
        if isinstance(column.type, Integer):
            sums += [func.sum(column.op(operator)(BILLION)) for operator in ("/", "%")]
        else:
            sums.append(func.sum(func.length(column)))
    statement = str(select(*sums).select_from(table))
    before, after = mine.execute(statement).fetchone(), theirs.execute(statement).fetchone()
    if tuple(before) != tuple(after):
        raise StoreUnusable(
            f"{table.name} differs after the copy: {_first_difference(sums, before, after)}. Nothing was moved."
        )


def _first_difference(sums: Sequence[ColumnElement[int]], before: Sequence[Any], after: Sequence[Any]) -> str:
    name, mine, theirs = next(each for each in zip(sums, before, after, strict=True) if each[1] != each[2])
    return f"{name} is {mine} in the file and {theirs} in the database"


@contextmanager
def _faults(path: Path, place: Place) -> Generator[None]:
    try:
        yield
    except (DatabaseError, psycopg.Error) as error:
        if isinstance(error, psycopg.Error) or isinstance(error.__cause__, psycopg.Error):
            raise unusable(place, error) from error
        raise StoreUnusable(f"{path} cannot be moved: {error}. Nothing was moved.", detail=str(error)) from error
