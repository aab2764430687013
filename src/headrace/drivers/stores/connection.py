"""The shape of a connection and a cursor that the stores run their statements on, whatever database is behind them.

Statements are portable SQL with `?` for parameters. SQLite's own cursor has this shape; PostgreSQL's is made in
postgres/. Both raise the exceptions that sqlite.py names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Cursor(Protocol):
    """Runs one statement at a time."""

    @property
    def description(self) -> Any:
        """A sequence for each column of the result, its name first."""
        ...

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Run a statement; its rows are fetched from what is returned."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        ...


class StoreConnection(Protocol):
    """One session with a database; a transaction begins by `BEGIN IMMEDIATE` to write and by `BEGIN` to read."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    def cursor(self) -> Cursor:
        """Return a new cursor."""
        ...

    def close(self) -> None:
        """End the session."""
        ...
