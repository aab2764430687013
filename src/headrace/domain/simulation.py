"""Simulation of a deployment under a trace of traffic: what is asked, what is played, and what comes out; pure.

How it is played is simulation_run's, what it costs simulation_cost's. Times are microseconds since the trace began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace.domain.dedicated import WhenAsleep
from headrace.domain.scaling import ScalingRules

MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of a trace; requests of the same `prefix` begin with the same prompt, empty where none is known."""

    at_micros: int
    input_tokens: int
    output_tokens: int
    prefix: bytes = b""


@dataclass(frozen=True, slots=True)
class ReplicaPace:
    """How fast one replica works, as it was measured with all its slots busy.

    `tokens_per_second` is what all slots write together: each writes its even share whatever the others do, so that a
    replica with few requests answers in truth no slower than here. A slot reads `input_tokens_per_second`, 0 for at
    once; of a prompt whose prefix the replica had lately it skips `warm_percent`. A start takes `cold_start_micros`.
    """

    slots: int
    tokens_per_second: int
    input_tokens_per_second: int = 0
    cold_start_micros: int = 60 * MICROS
    warm_percent: int = 0


@dataclass(frozen=True, slots=True)
class ServerlessTwin:
    """The model that is paid by the token: its rates in pico-dollars, and how it answers."""

    input_pico: int = 0
    output_pico: int = 0
    first_token_micros: int = 500_000
    tokens_per_second: int = 60


@dataclass(frozen=True, slots=True)
class SimulatedPolicy:
    """A deployment as it would be made: its scaling, its replicas, its price, and what it does with what is too much.

    `overflow_limit` is from how many waiting requests per replica on the twin answers, None for never. Requests wait
    for a replica at most `wait_micros`. The scaling looks every `tick_micros`.
    """

    rules: ScalingRules
    pace: ReplicaPace
    nano_per_hour: int = 0
    twin: ServerlessTwin | None = None
    overflow_limit: int | None = None
    when_asleep: WhenAsleep = WhenAsleep.WAIT
    wait_micros: int = 120 * MICROS
    tick_micros: int = 2 * MICROS

    @property
    def overflow(self) -> ServerlessTwin | None:
        """Who takes what the deployment cannot, None where nobody does."""
        return None if self.overflow_limit is None else self.twin


@dataclass(slots=True)
class Outcome:
    """What became of every request, and of every replica.

    Times to the first token and to the end are microseconds of the answered requests, in the order of arrival or
    nearly so. `served_micros` are the paid times of the replicas, from ready to gone. `steps` are the moments at which
    the number of ready replicas changed, with that number.
    """

    answered: int = 0
    overflowed: int = 0
    refused: int = 0
    waited_for_start: int = 0
    cold_starts: int = 0
    starts: int = 0
    warm: int = 0
    ended_at_micros: int = 0
    busy_slot_micros: int = 0
    overflow_input_tokens: int = 0
    overflow_output_tokens: int = 0
    first_token_micros: list[int] = field(default_factory=list[int])
    total_micros: list[int] = field(default_factory=list[int])
    served_micros: list[int] = field(default_factory=list[int])
    steps: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    @property
    def ended(self) -> int:
        """How many requests have ended, one way or another."""
        return self.answered + self.overflowed + self.refused


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """Return the nearest-rank percentile of ascending values, None of none."""
    if not ordered:
        return None
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def mean_over(steps: Sequence[tuple[int, int]], since: int, until: int) -> float:
    """Return the mean of a number over a span; `steps` are when it changed and to what, in order."""
    if until <= since:
        return 0.0
    total = 0
    for index, (at, value) in enumerate(steps):
        ends = steps[index + 1][0] if index + 1 < len(steps) else until
        total += value * max(0, min(ends, until) - max(at, since))
    return total / (until - since)
