"""What a process has served since it started: for the last line that it says."""

from __future__ import annotations

from headrace.ports.observer import AttemptEnd, RequestEnd


class Tally:
    """An observer that counts inference requests and adds up charges."""

    def __init__(self) -> None:
        self.requests = 0
        self.charge_nano = 0
        self._last_request = ""

    def request_ended(self, end: RequestEnd) -> None:
        """Count nothing: a request that made no attempt cost nothing."""

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Add one attempt; attempts of one request count once."""
        self.charge_nano += end.charge_nano
        if end.request_id != self._last_request:
            self._last_request = end.request_id
            self.requests += 1
