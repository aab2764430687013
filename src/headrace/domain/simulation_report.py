"""What a simulation came to: money, latency, starts and use, beside the same traffic paid by the token; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.domain.money import PICO_PER_NANO, divide_half_even
from headrace.domain.replica_run import MICROS_PER_HOUR
from headrace.domain.simulation import Arrival, Outcome, ServerlessTwin, SimulatedPolicy, mean_over, percentile

PERCENTS = (50, 95, 99)
CHART_COLUMNS = 60


@dataclass(frozen=True, slots=True)
class Latency:
    """Nearest-rank percentiles in microseconds, None where nothing was answered."""

    p50: int | None
    p95: int | None
    p99: int | None


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """All figures of one simulation; amounts are nano-dollars, times microseconds.

    `utilisation` is the busy share of the slots of paid replicas. `chart` is the mean number of ready replicas in equal
    parts of the time, `peak` the most. `serverless_nano` is what the trace costs by the token, None without rates.
    """

    requests: int
    answered: int
    overflowed: int
    refused: int
    waited_for_start: int
    cold_starts: int
    starts: int
    warm: int
    micros: int
    replica_micros: int
    replica_nano: int
    overflow_nano: int
    serverless_nano: int | None
    utilisation: float
    first_token: Latency
    total: Latency
    mean_replicas: float
    peak: int
    chart: tuple[float, ...]

    @property
    def cost_nano(self) -> int:
        """What the deployment and its overflow cost together."""
        return self.replica_nano + self.overflow_nano


def report_of(arrivals: Sequence[Arrival], policy: SimulatedPolicy, outcome: Outcome) -> SimulationReport:
    """Return the figures; each replica's time is rounded once, as in the ledger."""
    paid = sum(outcome.served_micros)
    until, twin = outcome.ended_at_micros, policy.twin
    read = sum(each.input_tokens for each in arrivals)
    written = sum(each.output_tokens for each in arrivals)
    has_rates = twin is not None and (twin.input_pico > 0 or twin.output_pico > 0)
    return SimulationReport(
        requests=len(arrivals),
        answered=outcome.answered,
        overflowed=outcome.overflowed,
        refused=outcome.refused,
        waited_for_start=outcome.waited_for_start,
        cold_starts=outcome.cold_starts,
        starts=outcome.starts,
        warm=outcome.warm,
        micros=until,
        replica_micros=paid,
        replica_nano=sum(replica_nano(each, policy.nano_per_hour) for each in outcome.served_micros),
        overflow_nano=tokens_nano(twin, outcome.overflow_input_tokens, outcome.overflow_output_tokens),
        serverless_nano=tokens_nano(twin, read, written) if has_rates else None,
        utilisation=outcome.busy_slot_micros / (paid * policy.pace.slots) if paid else 0.0,
        first_token=_latency(outcome.first_token_micros),
        total=_latency(outcome.total_micros),
        mean_replicas=mean_over(outcome.steps, 0, until),
        peak=max((number for _, number in outcome.steps), default=0),
        chart=_chart(outcome.steps, until),
    )


def replica_nano(served_micros: int, nano_per_hour: int) -> int:
    """Return what one replica costs for its time."""
    return divide_half_even(served_micros * nano_per_hour, MICROS_PER_HOUR)


def tokens_nano(twin: ServerlessTwin | None, input_tokens: int, output_tokens: int) -> int:
    """Return what tokens cost at the twin's rates, rounded once for each class."""
    if twin is None:
        return 0
    read, written = input_tokens * twin.input_pico, output_tokens * twin.output_pico
    return divide_half_even(read, PICO_PER_NANO) + divide_half_even(written, PICO_PER_NANO)


def _latency(micros: Sequence[int]) -> Latency:
    ordered = sorted(micros)
    return Latency(*(percentile(ordered, each) for each in PERCENTS))


def _chart(steps: Sequence[tuple[int, int]], until: int) -> tuple[float, ...]:
    """One pass over the steps: there may be many of them, and many parts."""
    means: list[float] = []
    first = 0
    for column in range(CHART_COLUMNS if until else 0):
        since, end = until * column // CHART_COLUMNS, until * (column + 1) // CHART_COLUMNS
        while first + 1 < len(steps) and steps[first + 1][0] <= since:
            first += 1
        last = first
        while last < len(steps) and steps[last][0] < end:
            last += 1
        means.append(mean_over(steps[first:last], since, end))
    return tuple(means)
