"""Owns the mark on a home's database whose books were moved elsewhere: no server goes on with it by mistake."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.errors import StoreUnusable
from headrace.drivers.stores.connection import Cursor
from headrace.ports.ambient import Clock

MARK = "moved_to"
PUT = "INSERT INTO installation (name, value) VALUES (?, ?)"
GET = "SELECT value FROM installation WHERE name = ?"


def mark_moved(cursor: Cursor, where: str, clock: Clock) -> None:
    """Note where the books are from now on, and since when."""
    cursor.execute(PUT, (MARK, where))
    cursor.execute(PUT, ("moved_at_micros", str(clock.unix_micros())))


def refuse_moved(cursor: Cursor, path: Path) -> None:
    """Raise StoreUnusable when the books of this file were moved."""
    row = cursor.execute(GET, (MARK,)).fetchone()
    if row is not None:
        raise StoreUnusable(
            f"The books of {path} were moved to {row[0]}. Give that address: `headrace serve --store {row[0]}`, for "
            "every verb HEADRACE_STORE, or `store` below [server] in headrace.toml."
        )
