"""Owns bringing an opened database to the schema that this version knows; the steps are in migrations/.

When the revision is current, nothing of SQLAlchemy or Alembic is imported: a start stays quick.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from headrace import __version__
from headrace.domain.errors import HomeUnusable, StoreUnusable
from headrace.drivers.stores.sqlite import Connection, Cursor, library


@dataclass(frozen=True, slots=True)
class Steps:
    """The numbered steps: their revisions in order and the folder that Alembic reads them from."""

    revisions: tuple[str, ...]
    folder: Path

    @property
    def newest(self) -> str:
        """The revision that this version works with."""
        return self.revisions[-1]


REVISIONS = tuple(f"{number:04}" for number in range(1, 18))
STEPS = Steps(REVISIONS, Path(__file__).parent / "migrations")


class _Runner(Protocol):
    def apply_steps(self, connection: Connection, folder: Path) -> None: ...


def stored_revision(connection: Connection) -> str | None:
    """Return the schema revision that the file carries, or None for an empty file.

    Raises StoreUnusable when the file is a database of something else.
    """
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    if "alembic_version" not in tables:
        path = connection.execute("PRAGMA database_list").fetchone()[2] or "This SQLite file"
        raise StoreUnusable(f"{path} is not a Headrace database: move it away or choose another home with --home.")
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def ensure_schema(connection: Connection, path: Path, unix_micros: int, steps: Steps = STEPS) -> None:
    """Migrate to the newest known revision, first copying an existing database to HOME/backups.

    Raises HomeUnusable when a newer version wrote the file.
    """
    revision = stored_revision(connection)
    if revision == steps.newest:
        return
    if revision is not None:
        if revision not in steps.revisions:
            raise HomeUnusable(_newer(connection, path, revision, steps))
        copy_database(connection, path.parent / "backups" / f"{path.stem}-{revision}-{unix_micros}.db")
    runner = cast("_Runner", importlib.import_module("headrace.drivers.stores.migrations.runner"))
    runner.apply_steps(connection, steps.folder)


def copy_database(source: Connection, destination: Path) -> None:
    """Write a consistent copy of an open database to a new file that only its owner can read."""
    destination.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    destination.touch(mode=0o600, exist_ok=False)
    target = library.connect(destination)
    try:
        source.backup(target)
    finally:
        target.close()


def note_writer(cursor: Cursor) -> None:
    """Remember which version of Headrace opened the database last."""
    cursor.execute(
        "INSERT INTO installation (name, value) VALUES ('written_by', ?) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE installation.value <> excluded.value",
        (__version__,),
    )


def _newer(connection: Connection, path: Path, revision: str, steps: Steps) -> str:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'installation'").fetchone()
    row = connection.execute("SELECT value FROM installation WHERE name = 'written_by'").fetchone() if known else None
    writer = f"Headrace {row[0]}" if row else "a newer version of Headrace"
    return (
        f"{path} was written by {writer} (schema {revision}); this is Headrace {__version__}, which knows "
        f"schemas up to {steps.newest}. Install that version or a newer one, or restore an older backup into "
        "another home."
    )
