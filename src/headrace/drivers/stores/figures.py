"""Owns what is known beside the rows: balances and hourly usage, which move with every booking, and what is open."""

from __future__ import annotations

from headrace.drivers.stores.balances import Balances
from headrace.drivers.stores.open_attempts import OpenAttempts
from headrace.drivers.stores.rollups import Rollups
from headrace.drivers.stores.sqlite import Cursor


class Figures:
    """The sums of an open store; they belong to the writer's thread."""

    def __init__(self) -> None:
        self.balances = Balances()
        self.rollups = Rollups()
        self.open_attempts = OpenAttempts()

    def forget(self) -> None:
        """Drop what was learnt from a transaction that was rolled back."""
        self.balances.forget()
        self.rollups.forget()
        self.open_attempts.forget()

    def write(self, cursor: Cursor) -> None:
        """Write what has moved since the last time."""
        self.balances.write(cursor)
        self.rollups.write(cursor)
