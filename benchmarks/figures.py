"""The values that a measurement yields and passes on; no measuring and no printing."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


class BenchError(Exception):
    """The measurement cannot go on; the message says what to do."""


class Quantiles(msgspec.Struct, frozen=True):
    """A distribution as the load generator prints it, in microseconds."""

    samples: int
    p50: float
    p90: float
    p99: float
    max: float


class LoadResult(msgspec.Struct, frozen=True):
    """The one line that the load generator prints."""

    mode: str
    concurrency: int
    started: int
    ok: int
    errors: int
    left: int
    seconds: float
    rps: float
    events: int
    events_per_second: float
    latency_us: Quantiles
    first_event_us: Quantiles
    gap_us: Quantiles
    first_error: str


class UpstreamStats(msgspec.Struct, frozen=True):
    """The counters of the bench upstream."""

    connections: int
    requests: int
    unary: int
    streams: int
    open_streams: int
    completed_streams: int
    dropped_streams: int
    bad_requests: int


@dataclass(frozen=True, slots=True)
class StreamStep:
    """One try of N concurrent paced streams."""

    streams: int
    clean: bool
    errors: int
    gap_p99_ms: float
    cpu_us_per_event: float
    first_error: str


@dataclass(frozen=True, slots=True)
class Figures:
    """All that was measured of one target.

    Units: milliseconds, microseconds of CPU, megabytes of 2^20 bytes; `None` was not measured. `loaded_rates` are the
    requests a second of each run under load, for a gateway of another process each.
    """

    name: str
    latency_p50_ms: float
    latency_p99_ms: float
    requests_per_second: float
    loaded_rates: tuple[int, ...]
    loaded_p50_ms: float
    loaded_p99_ms: float
    cpu_us_per_request: float
    burst_cpu_us_per_event: float
    burst_events_per_second: float
    stream_steps: tuple[StreamStep, ...]
    clean_streams: int
    paced_cpu_us_per_event: float | None
    memory_idle_mb: float
    memory_after_mb: float
    left_clients: int
    dropped_upstreams: int
    errors: int
    first_error: str


@dataclass(frozen=True, slots=True)
class Translated:
    """Streams that a caller of one dialect reads from an upstream of chat."""

    dialect: str
    streams: int
    cpu_us_per_token: float
    tokens_per_second: float
    errors: int
    first_error: str


@dataclass(frozen=True, slots=True)
class DataPlane:
    """What the data plane does beyond one dialect and one moment; `soak_mb` is the resident memory after each slice."""

    translated: tuple[Translated, ...]
    at_once: StreamStep
    soak_seconds: float
    soak_streams: int
    soak_errors: int
    soak_mb: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Metered:
    """One key with so many budgets (None: a ledger that stores nothing), in rounds that took turns."""

    budgets: int | None
    latency_p50_ms: float
    alone_cpu_us: float
    loaded_cpu_us: float
    requests_per_second: float
    errors: int
    first_error: str


@dataclass(frozen=True, slots=True)
class Quartiles:
    """How far values lie apart."""

    least: float
    low: float
    high: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Quartiles":
        """Return those of at least two values."""
        low, _, high = statistics.quantiles(values)
        return cls(min(values), low, high, max(values))


@dataclass(frozen=True, slots=True)
class Metering:
    """What durable metering adds to the same gateway with a ledger that stores nothing.

    `added_loaded_us` is the CPU that it adds to a request at 64 in each pair of processes, without a budget;
    `fixed_work_ms` what the same piece of work took of the target's core in between.
    """

    without: Metered
    plain: Metered
    with_budgets: tuple[Metered, ...]
    durable_write_ms: float
    commits_per_request: float
    added_loaded_us: tuple[float, ...]
    fixed_work_ms: Quartiles


@dataclass(frozen=True, slots=True)
class Verdict:
    """One bar and whether it is met; `None` could not be judged."""

    bar: str
    found: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What the ledger says about itself after a run; `None` where it does not say."""

    synchronous: str | None
    commits: int | None
    requests: int
    filesystem: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a run found out, as it is written by `--json`."""

    commit: str
    machine: str
    cores: str
    quick: bool
    litellm_version: str | None
    litellm_flags: str | None
    ledger: LedgerFacts | None
    direct: Figures
    litellm: Figures | None
    headrace: Figures | None
    data_plane: DataPlane | None = None
    metering: Metering | None = None
