"""One replica at the cloud as we see it: its state, the requests that it has of us, and how its time is shared."""

from __future__ import annotations

import math
from collections.abc import Callable

from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.plan import Endpoint
from headrace.domain.sharing import SharedTime
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Lease

MICROS = 1_000_000


class CloudReplica:
    """An accelerator of a dedicated inference; all of one stand behind the same endpoint.

    It is left out until `rests_until`, in seconds of the monotonic clock. `failures` are its requests that failed one
    after the other, the last of them at `failed_at`. `ready_at_micros` is when it was first seen ready, None before.
    """

    def __init__(self, name: str, deployment: str, started_at_micros: int, clock: Clock) -> None:
        self.name = name
        self.state = ReplicaState.STARTING
        self.reason = ""
        self.ready_at_micros: int | None = None
        self.ended_at_micros: int | None = None
        self.rests_until = 0.0
        self.failures = 0
        self.failed_at = -math.inf
        self._deployment = deployment
        self._started_at_micros = started_at_micros
        self._clock = clock
        self._shared = SharedTime(self._now_micros())

    @property
    def leases(self) -> int:
        """How many requests it has of us."""
        return self._shared.requests

    @property
    def is_awake(self) -> bool:
        """Whether nothing is known against it now."""
        return self._clock.monotonic() >= self.rests_until

    def answered(self) -> None:
        """Note that it answered a request."""
        self.rests_until, self.failures = 0.0, 0

    def failed(self, rest_seconds: float) -> None:
        """Note that it did not, and leave it out for so long."""
        now = self._clock.monotonic()
        self.rests_until, self.failures, self.failed_at = now + rest_seconds, self.failures + 1, now

    def become(self, state: ReplicaState, reason: str = "", ready_at_micros: int | None = None) -> None:
        """Take on a state; since when it is ready is what the cloud says, else when it was first seen so."""
        self.state, self.reason = state, reason
        if state is ReplicaState.READY and self.ready_at_micros is None:
            seen_at = self._clock.unix_micros() if ready_at_micros is None else ready_at_micros
            self.ready_at_micros = max(seen_at, self._started_at_micros)

    def end(self) -> None:
        """Say that the cloud has it no longer."""
        self.state, self.ended_at_micros = ReplicaState.STOPPING, self._clock.unix_micros()

    def seen(self) -> Replica:
        """Return it as it is now; what is sent to it goes to its deployment's endpoint, which is not shown."""
        return Replica(
            id=self.name,
            deployment=self._deployment,
            state=self.state,
            base_url=None,
            pid=None,
            started_at_micros=self._started_at_micros,
            reason=self.reason,
            ready_at_micros=self.ready_at_micros,
            ended_at_micros=self.ended_at_micros,
        )

    def lease(self, endpoint: Endpoint, on_release: Callable[[], None]) -> Lease:
        """Return the right to send one request to this endpoint."""
        self._shared = self._shared.with_one_more(self._now_micros())
        since, share = self._shared.served_picos, None

        def release() -> None:
            nonlocal share
            if share is None:
                self._shared = self._shared.with_one_less(self._now_micros())
                share = self._shared.share_micros(since)
                on_release()

        def share_micros() -> int:
            return share if share is not None else self._shared.until(self._now_micros()).share_micros(since)

        return Lease(endpoint, release, share_micros)

    def _now_micros(self) -> int:
        return round(self._clock.monotonic() * MICROS)
