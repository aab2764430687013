"""Owns what must be known of an open attempt to end it: in memory from its hold on, else read from the ledger."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import msgspec

from headrace.domain.books import Opening
from headrace.drivers.stores.sqlite import Cursor

Place: TypeAlias = "tuple[str | int, ...]"

NAMES = msgspec.json.Decoder(tuple[str, ...])
READ = """
SELECT request.account, request.key_id, attempt.model_id, attempt.provider, coalesce(attempt.deployment, ''),
    coalesce(request.route, ''), attempt.held_at_micros, request.tags, attempt.bound_nano, attempt.scopes
FROM attempt JOIN request ON request.request_id = attempt.request_id WHERE attempt.attempt_id = ?
"""


class Origin(NamedTuple):
    """What an attempt began with; `place` is where its hourly sums belong: account, key, model and so on."""

    place: Place
    held_at_micros: int
    tags: tuple[str, ...]
    amount_nano: int
    scopes: tuple[str, ...]


class OpenAttempts:
    """The attempts that this process holds open; it belongs to the writer's thread."""

    def __init__(self) -> None:
        self._known: dict[str, Origin] = {}

    def forget(self) -> None:
        """Drop what a transaction that was rolled back had opened; origins are then read."""
        self._known.clear()

    def opened(self, opening: Opening) -> None:
        """Remember an attempt whose hold is written."""
        request = opening.request
        place = (
            request.account,
            request.key_id,
            opening.model_id,
            opening.provider,
            opening.deployment or "",
            request.route or "",
        )
        self._known[opening.attempt_id] = Origin(
            place, opening.at_micros, request.tags, opening.bound.amount_nano, opening.scopes
        )

    def ended(self, cursor: Cursor, attempt_id: str) -> Origin:
        """Return what an attempt began with, and remember it no longer."""
        known = self._known.pop(attempt_id, None)
        if known is not None:
            return known
        row = cursor.execute(READ, (attempt_id,)).fetchone()
        tags = () if row[7] is None else NAMES.decode(row[7])
        return Origin(tuple(row[:6]), row[6], tags, row[8], NAMES.decode(row[9]))
