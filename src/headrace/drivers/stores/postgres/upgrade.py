"""Owns bringing a PostgreSQL database to the schema that this version knows; the steps themselves are steps.py's."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from headrace import __version__
from headrace.domain.errors import HomeUnusable, StoreUnusable
from headrace.drivers.stores.connection import Cursor
from headrace.drivers.stores.postgres.place import Place
from headrace.drivers.stores.upgrade import STEPS, Steps

TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
OURS = frozenset({"alembic_version", "installation"})


class _Runner(Protocol):
    def apply_steps(self, place: Place, folder: Path) -> None: ...


def stored_revision(cursor: Cursor, place: Place) -> str | None:
    """Return the schema revision that the database carries, or None for an empty one.

    Raises StoreUnusable when it is a database of something else.
    """
    tables = {row[0] for row in cursor.execute(TABLES).fetchall()}
    if not tables:
        return None
    if not tables >= OURS:
        raise StoreUnusable(
            f"{place.name} has tables that are not Headrace's: give it a database, or a schema, of its own."
        )
    row = cursor.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def ensure_schema(cursor: Cursor, place: Place, steps: Steps = STEPS) -> None:
    """Migrate to the newest known revision; raises HomeUnusable when a newer version wrote the database."""
    revision = stored_revision(cursor, place)
    if revision == steps.newest:
        return
    if revision is not None and revision not in steps.revisions:
        raise HomeUnusable(
            f"{place.name} was written by a newer version of Headrace (schema {revision}); this is Headrace "
            f"{__version__}, which knows schemas up to {steps.newest}. Install that version or a newer one."
        )
    runner = cast("_Runner", importlib.import_module("headrace.drivers.stores.postgres.steps"))
    runner.apply_steps(place, steps.folder)
