"""Writes what a simulation came to as JSON; every amount exact, times in seconds."""

from __future__ import annotations

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.simulation import MICROS
from headrace.domain.simulation_report import Latency, SimulationReport
from headrace.wire.money_json import amount


def simulation_object(report: SimulationReport) -> JsonObject:
    """Return all figures of a report."""
    return {
        "requests": report.requests,
        "answered": report.answered,
        "overflowed": report.overflowed,
        "refused": report.refused,
        "waited_for_start": report.waited_for_start,
        "warm": report.warm,
        "seconds": _seconds(report.micros),
        "first_token_seconds": _latency(report.first_token),
        "total_seconds": _latency(report.total),
        "cold_starts": report.cold_starts,
        "starts": report.starts,
        "replica_seconds": _seconds(report.replica_micros),
        "mean_replicas": round(report.mean_replicas, 3),
        "peak_replicas": report.peak,
        "utilisation": round(report.utilisation, 4),
        "replicas_over_time": [round(each, 3) for each in report.chart],
        **amount("replica_cost", report.replica_nano),
        **amount("overflow_cost", report.overflow_nano),
        **amount("cost", report.cost_nano),
        **amount("serverless_cost", report.serverless_nano),
    }


def _latency(latency: Latency) -> JsonObject:
    return {"p50": _seconds(latency.p50), "p95": _seconds(latency.p95), "p99": _seconds(latency.p99)}


def _seconds(micros: int | None) -> JsonValue:
    return None if micros is None else round(micros / MICROS, 6)
