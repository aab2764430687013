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
    where = moved_to(cursor)
    if where is not None:
        raise StoreUnusable(f"The books of {path} were moved to {where}. {give_address(where)}")


def moved_to(cursor: Cursor) -> str | None:
    """Return where the books were moved, or None when they are still here."""
    row = cursor.execute(GET, (MARK,)).fetchone()
    return None if row is None else str(row[0])


def give_address(where: str) -> str:
    """Return how a verb is told where the books are now."""
    return (
        f"Give that address: `headrace serve --store {where}`, for every verb HEADRACE_STORE, or `store` below "
        "[server] in headrace.toml."
    )
