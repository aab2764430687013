"""Health of targets as values: circuit breaker, cool-down, why one is left alone; keeping them is the services'.

Times are seconds on a clock that never goes back; every method returns a changed copy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

CROWDED_SECONDS = 1.0


class BreakerState(StrEnum):
    """Whether a target is used, left alone, or tried with a few requests."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker opens and how it closes again.

    It opens after `failures_to_open` failures in a row (0: never), none of them older than `memory_seconds`. It stays
    open for `first_open_seconds`, twice as long after each failed probe. `probes` are how many requests each stage of
    the half-open state lets through; when all of the last stage succeed, it closes.
    """

    failures_to_open: int = 3
    memory_seconds: float = 30.0
    first_open_seconds: float = 1.0
    longest_open_seconds: float = 60.0
    probes: tuple[int, ...] = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker of one target.

    `round` numbers the openings; a request that is let through as a probe carries the number of its round, and only
    its own round hears how it ended. Round 0 marks a request that is no probe.
    """

    rules: BreakerRules
    failures: int = 0
    failed_at: float = 0.0
    open_until: float | None = None
    open_seconds: float = 0.0
    round: int = 0
    stage: int = 0
    probing: int = 0
    proved: int = 0

    def state(self, now: float) -> BreakerState:
        """Return the state at this time."""
        if self.open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.open_until else BreakerState.HALF_OPEN

    def admits(self, now: float) -> bool:
        """Whether one more request may go to the target now."""
        match self.state(now):
            case BreakerState.CLOSED:
                return True
            case BreakerState.OPEN:
                return False
            case BreakerState.HALF_OPEN:
                return self.probing + self.proved < self.rules.probes[self.stage]

    def wait_seconds(self, now: float) -> float:
        """Return after how long a request may be admitted; 0 when it is now."""
        if self.open_until is None or self.admits(now):
            return 0.0
        return self.open_until - now if now < self.open_until else CROWDED_SECONDS

    def began(self, now: float) -> tuple[Breaker, int]:
        """Note a request that goes out; returns its round, 0 when it is no probe."""
        if self.state(now) is BreakerState.HALF_OPEN and self.admits(now):
            return replace(self, probing=self.probing + 1), self.round
        return self, 0

    def succeeded(self, round_number: int) -> Breaker:
        """Note that a request was answered."""
        if round_number == 0:
            return replace(self, failures=0) if self.open_until is None and self.failures else self
        if round_number != self.round or self.open_until is None:
            return self
        proved = self.proved + 1
        if proved < self.rules.probes[self.stage]:
            return replace(self, probing=self.probing - 1, proved=proved)
        if self.stage + 1 == len(self.rules.probes):
            return Breaker(self.rules, round=self.round)
        return replace(self, stage=self.stage + 1, probing=self.probing - 1, proved=0)

    def failed(self, now: float, round_number: int) -> Breaker:
        """Note that the target failed a request."""
        if self.open_until is None:
            return self._failed_closed(now) if round_number == 0 else self
        if round_number != self.round:
            return self
        return self._opened(now, min(self.open_seconds * 2, self.rules.longest_open_seconds))

    def abandoned(self, round_number: int) -> Breaker:
        """Note that a request ended without telling anything of the target: its probe may be made by another."""
        if round_number == 0 or round_number != self.round or self.open_until is None:
            return self
        return replace(self, probing=self.probing - 1)

    def _failed_closed(self, now: float) -> Breaker:
        if not self.rules.failures_to_open:
            return self
        in_a_row = self.failures + 1 if now - self.failed_at <= self.rules.memory_seconds else 1
        if in_a_row >= self.rules.failures_to_open:
            return self._opened(now, self.rules.first_open_seconds)
        return replace(self, failures=in_a_row, failed_at=now)

    def _opened(self, now: float, seconds: float) -> Breaker:
        return Breaker(self.rules, open_until=now + seconds, open_seconds=seconds, round=self.round + 1)


@dataclass(frozen=True, slots=True)
class Cooldown:
    """A time during which something is left alone because it asked for that, or was refused; `code` says why."""

    until: float
    code: str

    def remaining_seconds(self, now: float) -> float:
        """Return how long it still lasts, 0 when it is over."""
        return max(self.until - now, 0.0)


def longer(one: Cooldown | None, other: Cooldown) -> Cooldown:
    """Return the cool-down that ends later."""
    return one if one is not None and one.until > other.until else other


@dataclass(frozen=True, slots=True)
class Resting:
    """Why a target gets no request now, and for how long."""

    code: str
    wait_seconds: float


class CredentialState(StrEnum):
    """What a provider makes of a credential, as far as was heard last."""

    OK = "ok"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"


@dataclass(frozen=True, slots=True)
class CredentialHealth:
    """How a credential does; `since` and `until` are of its last refusal or of its longest rest.

    `models` are those that rest with it, none when all of them do. It is refused until a provider takes it again.
    """

    state: CredentialState = CredentialState.OK
    code: str | None = None
    since: float | None = None
    until: float | None = None
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetState:
    """What is known of one target now; `resting` is the target's own rest: its credentials may rest apart."""

    provider: str
    model_id: str
    breaker: BreakerState
    resting: Resting | None
    in_flight: int
