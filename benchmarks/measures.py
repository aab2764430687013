"""Measures one running target: latency, throughput, CPU, streams, leaving clients, memory."""

import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.calls import upstream_stats
from benchmarks.figures import BenchError, Figures, LoadResult, StreamStep
from benchmarks.processes import Cores, cpu_seconds, resident_mb
from benchmarks.targets import Target
from benchmarks.workloads import BURST, PACED, SPOKEN, UNARY, Workload

LOADED_CONCURRENCY = 64
BURST_CONCURRENCY = 16
LEAVING_CLIENTS = 8
LEAVE_AFTER_EVENTS = 3
LEAVE_NOTICE_SECONDS = 3.0
MAX_CLEAN_GAP_MS = 50.0
DRAIN_MS = 20_000
UNBOUNDED = 100_000_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often each measure runs."""

    rounds: int
    pairs: int
    round_ms: int
    burst_ms: int
    warmup_ms: int
    stream_steps: tuple[int, ...]
    fallback_steps: tuple[int, ...]
    soak_ms: int


FULL = Effort(3, 5, 3000, 4000, 1500, (50, 200, 400, 600), (25, 10), 60_000)
QUICK = Effort(1, 1, 1500, 1500, 500, (50, 200), (10,), 6_000)


@dataclass(frozen=True, slots=True)
class Load:
    """One run of the load generator."""

    workload: Workload
    mode: str
    concurrency: int
    count: int
    duration_ms: int
    ramp_ms: int = 0


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and with what a target is measured."""

    load_generator: Path
    upstream_port: int
    cores: Cores
    directory: Path
    effort: Effort


def run_load(bench: Bench, target: Target, load: Load) -> LoadResult:
    """Run the load generator once, and check that the upstream served every good reply."""
    body_file = bench.directory / f"{target.name}-{load.workload.name}.json"
    body_file.write_bytes(target.body(load.workload))
    deadline_ms = load.duration_ms + load.ramp_ms + DRAIN_MS
    spoken = SPOKEN[load.workload.dialect]
    options = {
        "mode": load.mode,
        "port": target.port,
        "body-file": body_file,
        "concurrency": load.concurrency,
        "count": load.count,
        "duration-ms": load.duration_ms,
        "deadline-ms": deadline_ms,
        "ramp-ms": load.ramp_ms,
        "min-events": load.workload.min_events,
        "leave-after": LEAVE_AFTER_EVENTS,
        "path": spoken.path,
        "end": spoken.end,
    }
    command = [str(bench.load_generator)]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    before = upstream_stats(bench.upstream_port)
    output = _run_pinned(command, target, bench, deadline_ms / 1000 + 10)
    result = msgspec.json.decode(output, type=LoadResult)
    served = upstream_stats(bench.upstream_port).requests - before.requests
    if served < result.ok:
        raise BenchError(f"{target.name} gave {result.ok} good replies but asked the upstream {served} times")
    target.running.check_alive()
    return result


def _run_pinned(command: Sequence[str], target: Target, bench: Bench, seconds: float) -> bytes:
    # This process lives on the load's core for the whole run (see run.py), and so do its plain children.
    environment = {"LOADGEN_AUTHORIZATION": target.authorization} if target.authorization else {}
    try:
        done = subprocess.run(  # noqa: S603 - the command line is built from numbers and our own paths
            command, capture_output=True, timeout=seconds, check=False, env=environment, cwd=bench.directory
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"the load generator did not end: {' '.join(command)}") from error
    if done.returncode != 0:
        raise BenchError(f"the load generator failed: {done.stderr.decode(errors='replace')}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Costed:
    """A load's result with the CPU time that the target spent on it."""

    result: LoadResult
    cpu_seconds: float

    @property
    def cpu_us(self) -> float:
        """The CPU time of one good reply, in microseconds."""
        return self.cpu_seconds * 1e6 / max(1, self.result.ok)


def run_costed(bench: Bench, target: Target, load: Load) -> Costed:
    """Run a load and add up what CPU time the target spent meanwhile."""
    before = cpu_seconds(target.running)
    result = run_load(bench, target, load)
    return Costed(result, cpu_seconds(target.running) - before)


def _warm_up(bench: Bench, target: Target) -> None:
    duration = bench.effort.warmup_ms
    run_load(bench, target, Load(UNARY, "unary", LOADED_CONCURRENCY, UNBOUNDED, duration))
    run_load(bench, target, Load(BURST, "stream", 4, UNBOUNDED, duration // 2))


def stream_step(bench: Bench, target: Target, streams: int) -> StreamStep:
    """Try so many paced streams at once."""
    load = Load(PACED, "stream", streams, streams, 60_000, ramp_ms=1000)
    costed = run_costed(bench, target, load)
    result = costed.result
    gap_p99_ms = result.gap_us.p99 / 1000
    clean = result.errors == 0 and result.ok == streams and gap_p99_ms <= MAX_CLEAN_GAP_MS
    return StreamStep(
        streams=streams,
        clean=clean,
        errors=result.errors,
        gap_p99_ms=gap_p99_ms,
        cpu_us_per_event=costed.cpu_seconds * 1e6 / max(1, result.events),
        first_error=result.first_error,
    )


def _stream_steps(bench: Bench, target: Target) -> tuple[StreamStep, ...]:
    """Climb until a step is not clean; if the first one is not, go down."""
    steps: list[StreamStep] = []
    for streams in bench.effort.stream_steps:
        steps.append(stream_step(bench, target, streams))
        if not steps[-1].clean:
            break
    if not steps[0].clean:
        for streams in bench.effort.fallback_steps:
            steps.append(stream_step(bench, target, streams))
            if steps[-1].clean:
                break
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class _Leaving:
    left: int
    dropped: int
    error: str


def _leave(bench: Bench, target: Target) -> _Leaving:
    before = upstream_stats(bench.upstream_port)
    load = Load(PACED, "leave", LEAVING_CLIENTS, LEAVING_CLIENTS, 5000)
    result = run_load(bench, target, load)
    deadline = time.monotonic() + LEAVE_NOTICE_SECONDS
    while True:
        dropped = upstream_stats(bench.upstream_port).dropped_streams - before.dropped_streams
        if dropped >= result.left or time.monotonic() > deadline:
            return _Leaving(result.left, dropped, result.first_error)
        time.sleep(0.05)


def measure(bench: Bench, target: Target, loads: Sequence[Costed]) -> Figures:
    """Measure everything else of a target whose loads were run; a ratio needs the figures of another."""
    effort = bench.effort
    memory_idle_mb = resident_mb(target.running)
    _warm_up(bench, target)
    single = Load(UNARY, "unary", 1, UNBOUNDED, effort.round_ms)
    singles = [run_load(bench, target, single) for _ in range(effort.rounds)]
    burst = run_costed(bench, target, Load(BURST, "stream", BURST_CONCURRENCY, UNBOUNDED, effort.burst_ms))
    leaving = _leave(bench, target)
    steps = _stream_steps(bench, target)
    results = [*singles, *(costed.result for costed in loads), burst.result]
    clean = max((step for step in steps if step.clean), key=lambda step: step.streams, default=None)
    problems = [result.first_error for result in results if result.first_error]
    return Figures(
        name=target.name,
        latency_p50_ms=statistics.median(r.latency_us.p50 for r in singles) / 1000,
        latency_p99_ms=statistics.median(r.latency_us.p99 for r in singles) / 1000,
        requests_per_second=statistics.median(c.result.rps for c in loads),
        loaded_rates=tuple(round(c.result.rps) for c in loads),
        loaded_p50_ms=statistics.median(c.result.latency_us.p50 for c in loads) / 1000,
        loaded_p99_ms=statistics.median(c.result.latency_us.p99 for c in loads) / 1000,
        cpu_us_per_request=sum(c.cpu_seconds for c in loads) * 1e6 / max(1, sum(c.result.ok for c in loads)),
        burst_cpu_us_per_event=burst.cpu_seconds * 1e6 / max(1, burst.result.events),
        burst_events_per_second=burst.result.events_per_second,
        stream_steps=steps,
        clean_streams=clean.streams if clean else 0,
        paced_cpu_us_per_event=clean.cpu_us_per_event if clean else None,
        memory_idle_mb=memory_idle_mb,
        memory_after_mb=resident_mb(target.running),
        left_clients=leaving.left,
        dropped_upstreams=leaving.dropped,
        errors=sum(result.errors for result in results),
        first_error=next(iter(problems), leaving.error),
    )
