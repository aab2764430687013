"""Looking into a home's database without changing it: for the doctor, also while a server runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headrace.domain.errors import StoreUnusable
from headrace.drivers.stores.audit import audit_holds, check_file
from headrace.drivers.stores.database import FILE_NAME
from headrace.drivers.stores.moved import moved_to
from headrace.drivers.stores.sqlite import DatabaseError, connect_reader
from headrace.drivers.stores.upgrade import REVISIONS, stored_revision
from headrace.ports.ambient import Clock

CHECK_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What a look into the database found; `problem` is None when nothing is wrong.

    `moved_to` says where the books are now, when they were moved from this file.
    """

    revision: str | None
    known_revision: str
    problem: str | None
    sealed_providers: frozenset[str]
    where: str = ""
    moved_to: str | None = None


def inspect_store(home: Path, clock: Clock) -> StoreReport | None:
    """Return what is in the home's database, or None when there is none; raises StoreUnusable."""
    path = home / FILE_NAME
    if not path.is_file():
        return None
    try:
        connection = connect_reader(path)
        try:
            problem = check_file(connection, clock, CHECK_SECONDS).problem
            revision = stored_revision(connection)
            sealed, gone = frozenset[str](), None
            if problem is None and revision is not None:
                problem = audit_holds(connection.cursor())
                rows = connection.execute("SELECT provider FROM provider_credential").fetchall()
                sealed, gone = frozenset(str(row[0]) for row in rows), moved_to(connection.cursor())
            return StoreReport(revision, REVISIONS[-1], problem, sealed, moved_to=gone)
        finally:
            connection.close()
    except DatabaseError as error:
        raise StoreUnusable(
            f"{path} cannot be read ({error}). Put back a backup: `headrace restore BACKUP --home {home} --force`.",
            detail=str(error),
        ) from error
