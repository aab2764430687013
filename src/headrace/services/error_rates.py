"""How many attempts have failed lately, by model, provider and platform; in memory and on the monotonic clock."""

from __future__ import annotations

from collections import deque

from headrace.ports.ambient import Clock
from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.wire.error_codes import STATUSES

BUCKET_SECONDS = 10
LONGEST_SECONDS = 3600
MOST_SCOPES = 10_000
SERVER_FAULT = 500
# The process's own end, and a caller that left, say nothing of who was asked.
NO_FAILURES = frozenset({"client_closed", "slow_reader"})
NOT_COUNTED = "shutting_down"
ASKED_TO_SLOW_DOWN = "upstream_rate_limited"


class _Counts:
    """Attempts and failures of one scope in buckets of ten seconds, the oldest first."""

    __slots__ = ("buckets",)

    def __init__(self) -> None:
        self.buckets: deque[list[int]] = deque()

    def add(self, bucket: int, failed: int) -> None:
        buckets = self.buckets
        if buckets and buckets[-1][0] == bucket:
            last = buckets[-1]
            last[1] += 1
            last[2] += failed
            return
        buckets.append([bucket, 1, failed])
        while buckets[0][0] <= bucket - LONGEST_SECONDS // BUCKET_SECONDS:
            buckets.popleft()

    def since(self, bucket: int) -> tuple[int, int]:
        attempts = failed = 0
        for number, some, bad in reversed(self.buckets):
            if number <= bucket:
                break
            attempts += some
            failed += bad
        return attempts, failed


class ErrorRates:
    """An observer that counts attempts; a failure is one that the upstream or the platform is to blame for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[str, _Counts] = {}
        self._places: dict[tuple[str, str], tuple[_Counts, ...]] = {}

    def count(self, scope: str, window_seconds: int) -> tuple[int, int]:
        """Return the attempts and the failures among them of a scope in the last seconds, to ten seconds."""
        counts = self._counts.get(scope)
        if counts is None:
            return 0, 0
        return counts.since(self._bucket() - -(-window_seconds // BUCKET_SECONDS))

    def request_ended(self, end: RequestEnd) -> None:
        """Take no notice: a request without attempts says nothing of who is asked."""

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Count one attempt."""
        if end.error_code == NOT_COUNTED:
            return
        bucket, failed = self._bucket(), is_failure(end.error_code)
        place = (end.model_id, end.provider)
        places = self._places.get(place) or self._find(place)
        for counts in places:
            counts.add(bucket, failed)

    def _find(self, place: tuple[str, str]) -> tuple[_Counts, ...]:
        model_id, provider = place
        found = list[_Counts]()
        for scope in ("platform", f"model:{model_id}", f"provider:{provider}"):
            if scope in self._counts or len(self._counts) < MOST_SCOPES:
                found.append(self._counts.setdefault(scope, _Counts()))
        if len(self._places) < MOST_SCOPES:
            self._places[place] = tuple(found)
        return tuple(found)

    def _bucket(self) -> int:
        return int(self._clock.monotonic() // BUCKET_SECONDS)


def is_failure(error_code: str | None) -> bool:
    """Whether a code puts the blame on who was asked or on the platform, not on the caller."""
    if error_code is None or error_code in NO_FAILURES:
        return False
    statuses = STATUSES.get(error_code)
    return error_code == ASKED_TO_SLOW_DOWN or statuses is None or max(statuses) >= SERVER_FAULT
