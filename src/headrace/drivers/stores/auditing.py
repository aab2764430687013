"""Owns the audit of a whole home: on one consistent state, read only, also while a server runs in it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import msgspec

from headrace import __version__
from headrace.domain.audit import AuditReport, Findings
from headrace.domain.errors import HomeUnusable, StoreUnusable
from headrace.drivers.stores.audit_books import BooksAudit, Row, Rows, Value
from headrace.drivers.stores.audit_decisions import audit_decisions
from headrace.drivers.stores.audit_usage import audit_usage_hours
from headrace.drivers.stores.database import FILE_NAME
from headrace.drivers.stores.home import open_home
from headrace.drivers.stores.moved import refuse_moved
from headrace.drivers.stores.rollups import rebuild
from headrace.drivers.stores.sqlite import Connection, DatabaseError, connect_reader, connect_writer
from headrace.drivers.stores.upgrade import REVISIONS, stored_revision
from headrace.ports.fleet import Progress

Watch: TypeAlias = Callable[[Progress], None]

FETCHED_AT_ONCE = 1_000
COUNTS = """
SELECT (SELECT count(*) FROM attempt), (SELECT count(*) FROM resolution)
    + (SELECT count(*) FROM ledger_entry WHERE run_id IS NOT NULL), (SELECT count(*) FROM request)
"""


def audit_home(home: Path, now_micros: int, watch: Watch) -> AuditReport:
    """Derive every figure of a home's store anew and return what differs; changes nothing.

    Raises HomeUnusable where there is no store of this version's schema, StoreUnusable when it cannot be read or its
    books were moved elsewhere.
    """
    path = _store_of(home)
    with _faults(path), closing(connect_reader(path)) as connection:
        _require_revision(connection, path)
        return audit(connection, now_micros, watch)


def rebuild_usage(home: Path) -> None:
    """Make the hourly sums anew from the ledger, in one transaction, while nothing runs in the home.

    Raises HomeUnusable when something does, StoreUnusable when the store cannot be written.
    """
    path = _store_of(home)
    with open_home(home), _faults(path), closing(connect_writer(path)) as connection:
        _require_revision(connection, path)
        connection.execute("BEGIN IMMEDIATE")
        try:
            rebuild(connection.cursor())
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def audit(connection: Connection, now_micros: int, watch: Watch) -> AuditReport:
    """Audit what an open connection sees: one consistent state, whatever is written meanwhile."""

    def rows(statement: str, values: Sequence[Value]) -> Iterator[Row]:
        cursor = connection.cursor()
        cursor.arraysize = FETCHED_AT_ONCE
        cursor.execute(statement, values)
        while found := cursor.fetchmany():
            yield from found

    is_ours = not connection.in_transaction
    if is_ours:
        connection.execute("BEGIN")
    try:
        return audit_rows(rows, now_micros, watch)
    finally:
        if is_ours:
            connection.execute("ROLLBACK")


def audit_rows(rows: Rows, now_micros: int, watch: Watch) -> AuditReport:
    """Audit what a reader of rows gives, of one consistent state; raises StoreUnusable for a mangled row."""
    try:
        attempts, used, requests = next(rows(COUNTS, ()))
        findings = Findings()
        findings.count("receipts", requests)
        BooksAudit(rows, findings).run(now_micros, lambda done: watch(Progress("attempts", done, attempts, "rows")))
        audit_decisions(rows, findings)
        audit_usage_hours(rows, findings, lambda done: watch(Progress("hours of usage", done, used, "rows")))
        return findings.report()
    except (msgspec.MsgspecError, KeyError, ValueError, TypeError) as error:
        raise StoreUnusable(
            f"A row of the books cannot be read ({type(error).__name__}: {error}), so they were changed from outside. "
            "Put back a backup: `headrace restore BACKUP --force`.",
            detail=repr(error),
        ) from error


def _store_of(home: Path) -> Path:
    path = home / FILE_NAME
    if not path.is_file():
        raise HomeUnusable(f"{home} has no {FILE_NAME}: there is nothing to audit. Is --home right?")
    return path


def _require_revision(connection: Connection, path: Path) -> None:
    revision = stored_revision(connection)
    if revision == REVISIONS[-1]:
        refuse_moved(connection.cursor(), path)
        return
    if revision is not None and revision not in REVISIONS:
        raise HomeUnusable(
            f"{path} was written by a newer version (schema {revision}); this is Headrace {__version__}, which knows "
            f"schemas up to {REVISIONS[-1]}. Audit it with that version."
        )
    raise HomeUnusable(
        f"{path} has the schema {revision or 'of nothing yet'}, older than this version's {REVISIONS[-1]}. Start it "
        "once with this version, `headrace serve`, which carries it over; then audit."
    )


@contextmanager
def _faults(path: Path) -> Generator[None]:
    try:
        yield
    except DatabaseError as error:
        raise StoreUnusable(
            f"{path} cannot be read ({error}). Put back a backup: `headrace restore BACKUP --home {path.parent} "
            "--force`.",
            detail=str(error),
        ) from error
