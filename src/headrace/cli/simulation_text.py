"""Lays a simulation's figures out for a terminal, with the replicas over time as a small chart."""

from __future__ import annotations

from headrace.cli.session import columns
from headrace.domain.breakeven import usd
from headrace.domain.money import divide_half_even
from headrace.domain.simulation import MICROS
from headrace.domain.simulation_report import Latency, SimulationReport

BARS = " ▁▂▃▄▅▆▇█"
CENT_NANO = 10_000_000


def simulation_text(report: SimulationReport) -> str:
    """Return the figures in lines."""
    blocks = [
        f"{report.requests:,} requests in {_duration(report.micros)}: {report.answered:,} by the deployment, "
        f"{report.overflowed:,} by the overflow, {report.refused:,} refused.",
        _latencies(report),
        "\n".join(("replicas", *_replicas(report))),
        "\n".join(("cost", *_cost(report))),
    ]
    return "\n\n".join(blocks)


def _latencies(report: SimulationReport) -> str:
    rows = [
        ("latency", "p50", "p95", "p99"),
        ("  first token", *_seconds(report.first_token)),
        ("  whole answer", *_seconds(report.total)),
    ]
    waited = f"\n  {report.waited_for_start:,} requests waited for a start" if report.waited_for_start else ""
    warm = f"\n  {report.warm:,} requests met a replica that knew their prefix" if report.warm else ""
    return columns(rows, frozenset({1, 2, 3})) + waited + warm


def _replicas(report: SimulationReport) -> list[str]:
    lines = [
        f"  {report.mean_replicas:.2f} on average, {report.peak} at most; busy {report.utilisation * 100:.0f} %"
        " of their slots' time",
        f"  {report.starts:,} starts, {report.cold_starts:,} of them from nothing",
    ]
    if report.peak:
        lines.append(f"  {_chart(report)}  0 to {report.peak}, over {_duration(report.micros)}")
    return lines


def _chart(report: SimulationReport) -> str:
    """Any replica shows: nothing at all is the only blank."""
    steps = len(BARS) - 1
    return "".join(BARS[min(steps, -int(-each * steps // report.peak))] for each in report.chart)


def _cost(report: SimulationReport) -> list[str]:
    hours = report.replica_micros / MICROS / 3600
    rows = [("  replicas", _dollars(report.replica_nano), f"{hours:,.2f} replica hours, from ready to gone")]
    if report.overflowed:
        rows.append(("  overflow", _dollars(report.overflow_nano), f"{report.overflowed:,} requests by the token"))
        rows.append(("  together", _dollars(report.cost_nano), ""))
    if report.serverless_nano is not None:
        rows.append(("  serverless", _dollars(report.serverless_nano), _compared(report)))
    return columns(rows, frozenset({1})).splitlines()


def _compared(report: SimulationReport) -> str:
    serverless, cost = report.serverless_nano, report.cost_nano
    if not serverless or not cost:
        return "all requests by the token"
    if cost <= serverless:
        return f"all requests by the token: {serverless / cost:.1f} times as much"
    return f"all requests by the token: {serverless / cost:.0%} of it"


def _seconds(latency: Latency) -> tuple[str, str, str]:
    def shown(micros: int | None) -> str:
        return "-" if micros is None else f"{micros / MICROS:,.2f} s"

    return shown(latency.p50), shown(latency.p95), shown(latency.p99)


def _duration(micros: int) -> str:
    seconds = round(micros / MICROS)
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h"


def _dollars(nano: int) -> str:
    """Return an amount to the cent, a smaller one with all that it has."""
    if 0 < nano < CENT_NANO:
        return usd(nano)
    dollars, cents = divmod(divide_half_even(nano, CENT_NANO), 100)
    return f"${dollars:,}.{cents:02d}"
