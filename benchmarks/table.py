"""Turns figures into the printed table and the verdict on each bar; it measures nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.data_plane import data_plane_text, data_plane_verdicts
from benchmarks.figures import Figures, Report, Verdict
from benchmarks.measures import LEAVING_CLIENTS, LOADED_CONCURRENCY, MAX_CLEAN_GAP_MS
from benchmarks.metering import metering_text, metering_verdicts

REQUESTS_PER_SECOND_BAR = 25.0
ADDED_P99_BAR = 1 / 4
BURST_CPU_BAR = 1 / 20


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `None` was not measured or has no meaning for that target."""

    label: str
    direct: float | None
    litellm: float | None
    headrace: float | None
    decimals: int


def added_p50_ms(figures: Figures, direct: Figures) -> float:
    """Return what the target adds to the median latency."""
    return figures.latency_p50_ms - direct.latency_p50_ms


def added_p99_ms(figures: Figures, direct: Figures) -> float:
    """Return what the target adds to the 99th percentile of the latency."""
    return figures.latency_p99_ms - direct.latency_p99_ms


def _values(figures: Figures, direct: Figures) -> tuple[float | None, ...]:
    is_direct = figures is direct
    return (
        None if is_direct else added_p50_ms(figures, direct),
        None if is_direct else added_p99_ms(figures, direct),
        figures.latency_p50_ms,
        figures.latency_p99_ms,
        figures.requests_per_second,
        figures.loaded_p50_ms,
        figures.loaded_p99_ms,
        figures.cpu_us_per_request,
        figures.burst_cpu_us_per_event,
        figures.burst_events_per_second,
        figures.clean_streams,
        figures.paced_cpu_us_per_event,
        figures.memory_idle_mb,
        figures.memory_after_mb,
        figures.dropped_upstreams,
    )


LABELS = (
    ("added latency p50, ms", 3),
    ("added latency p99, ms", 3),
    ("latency p50, ms", 3),
    ("latency p99, ms", 3),
    (f"requests/s at {LOADED_CONCURRENCY}", 0),
    (f"latency p50 at {LOADED_CONCURRENCY}, ms", 2),
    (f"latency p99 at {LOADED_CONCURRENCY}, ms", 2),
    ("CPU per request, us", 1),
    ("CPU per token, burst, us", 2),
    ("tokens/s, burst", 0),
    ("clean streams at 30 tokens/s", 0),
    ("CPU per token, paced, us", 1),
    ("resident memory idle, MB", 0),
    ("resident memory after, MB", 0),
    (f"upstreams dropped of {LEAVING_CLIENTS}", 0),
)


def rows(report: Report) -> tuple[Row, ...]:
    """Return the table's lines."""
    empty: tuple[float | None, ...] = (None,) * len(LABELS)
    direct = _values(report.direct, report.direct)
    litellm = _values(report.litellm, report.direct) if report.litellm else empty
    headrace = _values(report.headrace, report.direct) if report.headrace else empty
    return tuple(
        Row(label, d, peer, h, decimals)
        for (label, decimals), d, peer, h in zip(LABELS, direct, litellm, headrace, strict=True)
    )


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:,.{decimals}f}"


def ratio(value: float | None, base: float | None) -> float | None:
    """Return value / base, or `None` where that says nothing."""
    if value is None or base is None or base <= 0:
        return None
    return value / base


def _ratio_text(value: float | None, base: float | None) -> str:
    found = ratio(value, base)
    return "-" if found is None else f"{found:.3g}" if found < 1000 else f"{found:,.0f}"


def render_table(report: Report) -> str:
    """Return the table as aligned text: absolute values, then Headrace's ratios."""
    head = ("", "direct", "LiteLLM", "Headrace", "/ direct", "/ LiteLLM", "LiteLLM / direct")
    lines: list[tuple[str, ...]] = [head]
    for row in rows(report):
        values = (row.direct, row.litellm, row.headrace)
        lines.append(
            (
                row.label,
                *(_number(value, row.decimals) for value in values),
                _ratio_text(row.headrace, row.direct),
                _ratio_text(row.headrace, row.litellm),
                _ratio_text(row.litellm, row.direct),
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        f"{line[0]:<{widths[0]}}  " + "  ".join(f"{cell:>{w}}" for cell, w in zip(line[1:], widths[1:], strict=True))
        for line in lines
    )


def render_steps(figures: Sequence[Figures]) -> str:
    """Return what each step of concurrent streams gave, a line per target."""
    lines: list[str] = []
    for one in figures:
        steps = ", ".join(
            f"{step.streams} {'clean' if step.clean else 'not clean'} "
            f"(gap p99 {step.gap_p99_ms:.1f} ms, {step.errors} errors)"
            for step in one.stream_steps
        )
        lines.append(f"{one.name}: {steps}")
    return "\n".join(lines)


def render_rates(figures: Sequence[Figures]) -> str:
    """Return the requests a second of each run under load, a line per target."""
    return "\n".join(f"{one.name}: {', '.join(f'{rate:,}' for rate in one.loaded_rates)}" for one in figures)


def render_head(report: Report) -> str:
    """Return the lines that say what was measured, on what, and how."""
    lines = [f"commit: {report.commit}", f"machine: {report.machine}", f"cores: {report.cores}"]
    if report.litellm_version:
        lines.append(f"LiteLLM: {report.litellm_version}, {report.litellm_flags}")
    if report.ledger:
        commits = "unknown" if report.ledger.commits is None else f"{report.ledger.commits:,}"
        lines.append(
            f"ledger: synchronous {report.ledger.synchronous or 'unknown'}, {commits} commits for "
            f"{report.ledger.requests:,} requests, on {report.ledger.filesystem}"
        )
    if report.quick:
        lines.append("quick: one short round each; the figures are rough")
    return "\n".join(lines)


def _against_peer(bar: str, found: float | None, met: bool, peer: Figures | None) -> Verdict:
    if peer is None:
        return Verdict(bar, "LiteLLM was not measured", None)
    if peer.errors or found is None:
        return Verdict(bar, f"not comparable, LiteLLM had {peer.errors} errors", False)
    return Verdict(bar, f"{found:.3g}x", met)


def verdicts(report: Report) -> tuple[Verdict, ...]:
    """Judge each bar of Headrace against LiteLLM of the same run."""
    ours, peer, direct = report.headrace, report.litellm, report.direct
    if ours is None:
        return ()
    speed = added = cpu = None
    if peer is not None:
        speed = ratio(ours.requests_per_second, peer.requests_per_second)
        added = ratio(added_p99_ms(ours, direct), added_p99_ms(peer, direct))
        cpu = ratio(ours.burst_cpu_us_per_event, peer.burst_cpu_us_per_event)
    dropped = f"{ours.dropped_upstreams} of {LEAVING_CLIENTS}"
    all_dropped = ours.left_clients == ours.dropped_upstreams == LEAVING_CLIENTS
    synchronous = report.ledger.synchronous if report.ledger else None
    return (
        _against_peer("requests/s at least 25x LiteLLM's", speed, (speed or 0) >= REQUESTS_PER_SECOND_BAR, peer),
        _against_peer("added p99 at most 0.25x LiteLLM's", added, added is not None and added <= ADDED_P99_BAR, peer),
        _against_peer(
            "burst CPU per token at most 0.05x LiteLLM's", cpu, cpu is not None and cpu <= BURST_CPU_BAR, peer
        ),
        Verdict(
            f"{LEAVING_CLIENTS} of {LEAVING_CLIENTS} upstreams dropped when clients leave",
            dropped,
            all_dropped,
        ),
        Verdict("no error in any latency, throughput or burst run", f"{ours.errors} errors", ours.errors == 0),
        Verdict(
            "full synchronous commits",
            synchronous or "unknown",
            None if synchronous is None else synchronous in {"FULL", "EXTRA"},
        ),
        *data_plane_verdicts(report.data_plane),
        *metering_verdicts(report.metering),
    )


def render_verdicts(found: Sequence[Verdict]) -> str:
    """Return a line per bar."""
    words = {True: "met", False: "MISSED", None: "not judged"}
    return "\n".join(f"{words[verdict.met]:<10}  {verdict.bar}: {verdict.found}" for verdict in found)


def render(report: Report) -> str:
    """Return the whole report as text."""
    measured = [one for one in (report.direct, report.litellm, report.headrace) if one]
    steps_head = f"Concurrent streams (clean: no error, gap p99 at most {MAX_CLEAN_GAP_MS:.0f} ms)"
    rates_head = f"Requests/s at {LOADED_CONCURRENCY} of each run (each of a gateway's is another process)"
    parts = [
        render_head(report),
        render_table(report),
        f"{rates_head}\n{render_rates(measured)}",
        f"{steps_head}\n{render_steps(measured)}",
    ]
    if report.data_plane:
        parts.append(data_plane_text(report.data_plane))
    if report.metering:
        parts.append(metering_text(report.metering))
    problems = [f"{one.name}: {one.errors} errors, first: {one.first_error}" for one in measured if one.first_error]
    if problems:
        parts.append("\n".join(problems))
    bars = verdicts(report)
    if bars:
        parts.append(f"Bars\n{render_verdicts(bars)}")
    return "\n\n".join(parts) + "\n"
