"""Owns when a burst of operations has come in whole, so that they share a commit; it knows no queue and no thread."""

from __future__ import annotations

from headrace.ports.ambient import Clock

# Whoever is nearly alone would wait for nobody.
FEW = 3
QUIET_ROUNDS = 4
MOST_OPERATIONS = 64
MOST_SECONDS = 0.001


class Burst:
    """Operations of the next commit, looked at in every round of the event loop: over when some bring no more.

    There is no timer. Requests that were answered together come back together within a few rounds, which are short
    unless the loop has other work to do; then the first of them is the last.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._has_company = False
        self._begun_at: float | None = None
        self._queued = 0
        self._quiet = 0

    def committed(self, waiting: int) -> None:
        """Note how many operations of a commit were waited for; from the writer's thread."""
        self._has_company = waiting > FEW

    def is_over(self, queued: int) -> bool:
        """Whether what is queued may be committed now; to be asked once in a round until it is so."""
        now = self._clock.monotonic()
        if self._begun_at is None:
            self._begun_at = now
        self._quiet = 0 if queued > self._queued else self._quiet + 1
        self._queued = queued
        if (
            self._has_company
            and self._quiet < QUIET_ROUNDS
            and queued < MOST_OPERATIONS
            and now - self._begun_at < MOST_SECONDS
        ):
            return False
        self._begun_at = None
        self._queued = self._quiet = 0
        return True
