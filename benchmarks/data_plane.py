"""Rows of the data plane: streams that are translated, 256 streams at once, and a soak; of Headrace alone."""

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.figures import DataPlane, Translated, Verdict
from benchmarks.measures import BURST_CONCURRENCY, MAX_CLEAN_GAP_MS, UNBOUNDED, Bench, Load, run_costed, stream_step
from benchmarks.processes import resident_mb
from benchmarks.targets import Target
from benchmarks.workloads import BURST, BURST_EVENTS, SPOKEN

STREAMS_AT_ONCE = 256
SOAK_SLICES = 6
FLAT_MB = 8.0


def measure_data_plane(bench: Bench, target: Target, streams: int = STREAMS_AT_ONCE) -> DataPlane:
    """Measure the rows of one running target whose upstream speaks chat."""
    translated = tuple(_translated(bench, target, dialect, bench.effort.burst_ms) for dialect in SPOKEN)
    at_once = stream_step(bench, target, streams)
    soaked: list[Translated] = []
    after_mb: list[float] = []
    slice_ms = bench.effort.soak_ms // SOAK_SLICES
    for _ in range(SOAK_SLICES):
        soaked += [_translated(bench, target, dialect, slice_ms // len(SPOKEN)) for dialect in SPOKEN]
        after_mb.append(resident_mb(target.running))
    return DataPlane(
        translated=translated,
        at_once=at_once,
        soak_seconds=bench.effort.soak_ms / 1000,
        soak_streams=sum(each.streams for each in soaked),
        soak_errors=sum(each.errors for each in soaked),
        soak_mb=tuple(after_mb),
    )


def _translated(bench: Bench, target: Target, dialect: str, duration_ms: int) -> Translated:
    workload = replace(BURST, dialect=dialect)
    costed = run_costed(bench, target, Load(workload, "stream", BURST_CONCURRENCY, UNBOUNDED, duration_ms))
    result = costed.result
    tokens = result.ok * BURST_EVENTS
    return Translated(
        dialect=dialect,
        streams=result.ok,
        cpu_us_per_token=costed.cpu_seconds * 1e6 / max(1, tokens),
        tokens_per_second=tokens / result.seconds if result.seconds else 0.0,
        errors=result.errors,
        first_error=result.first_error,
    )


def growth_mb(soak_mb: Sequence[float]) -> float:
    """Return by how much memory grew in the soak, its first slice left out: what was filled then is warm."""
    return max(soak_mb[1:]) - soak_mb[0]


def data_plane_text(found: DataPlane) -> str:
    """Return the rows as text."""
    lines = ["Data plane of Headrace, over an upstream of chat"]
    lines += [
        f"streams read as {each.dialect:<9}  CPU per token {each.cpu_us_per_token:.2f} us, "
        f"{each.tokens_per_second:,.0f} tokens/s, {each.errors} errors{_first(each.first_error)}"
        for each in found.translated
    ]
    step = found.at_once
    lines.append(
        f"{step.streams} streams at once      gap p99 {step.gap_p99_ms:.1f} ms, "
        f"CPU per token {step.cpu_us_per_event:.1f} us, {step.errors} errors{_first(step.first_error)}"
    )
    memory = ", ".join(f"{each:.0f}" for each in found.soak_mb)
    lines.append(
        f"soak of {found.soak_seconds:.0f} s             {found.soak_streams:,} streams of all dialects, "
        f"{found.soak_errors} errors, memory {memory} MB"
    )
    return "\n".join(lines)


def data_plane_verdicts(found: DataPlane | None) -> tuple[Verdict, ...]:
    """Judge the rows; each bar is Headrace's own."""
    if found is None:
        return ()
    errors = sum(each.errors for each in found.translated)
    step, grown = found.at_once, growth_mb(found.soak_mb)
    return (
        Verdict("no error in any translated stream", f"{errors} errors", errors == 0),
        Verdict(
            f"{step.streams} streams at once are clean, gap p99 at most {MAX_CLEAN_GAP_MS:.0f} ms",
            f"{step.gap_p99_ms:.1f} ms, {step.errors} errors",
            step.clean,
        ),
        Verdict(
            f"memory flat in a soak of {found.soak_seconds:.0f} s: at most {FLAT_MB:.0f} MB more, without an error",
            f"{grown:+.1f} MB, {found.soak_errors} errors",
            grown <= FLAT_MB and not found.soak_errors,
        ),
    )


def _first(error: str) -> str:
    return f", first: {error}" if error else ""
