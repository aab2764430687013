"""Writes a break-even report as JSON: every figure with name, value, unit, and its formula or its source."""

from __future__ import annotations

from headrace.domain.breakeven import Figure, HourRow, Outcome, Report, Variation
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import format_nano
from headrace.wire.iso_time import iso_time


def report_object(report: Report) -> JsonObject:
    """Return the whole report; amounts stand in nano-dollars and, as text, in dollars."""
    reason = report.outcome.break_even.reason
    return {
        "form": report.form,
        "answer": report.answer,
        **_outcome(report.outcome),
        "reason": None if reason is None else reason.value,
        "inputs": [_figure(each) for each in report.inputs],
        "figures": [_figure(each) for each in report.figures],
        "sensitivity": [_variation(each) for each in report.sensitivity],
        "notes": list[JsonValue](report.notes),
        "hours": [_hour(each) for each in report.hours],
    }


def _outcome(outcome: Outcome) -> JsonObject:
    return {
        "dedicated_wins": outcome.dedicated_wins,
        **_amounts(outcome.serverless_nano, outcome.dedicated_nano),
        "break_even_requests_per_hour": outcome.first,
        "always_wins_from_requests_per_hour": outcome.always,
    }


def _amounts(serverless_nano: int, dedicated_nano: int) -> JsonObject:
    return {
        "serverless_nano_usd": serverless_nano,
        "serverless_usd": format_nano(serverless_nano),
        "dedicated_nano_usd": dedicated_nano,
        "dedicated_usd": format_nano(dedicated_nano),
    }


def _figure(figure: Figure) -> JsonObject:
    return {
        "name": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "source": figure.source or None,
        "formula": figure.formula or None,
        "exact": figure.exact or None,
    }


def _variation(variation: Variation) -> JsonObject:
    return {"input": variation.input, "change": variation.change, **_outcome(variation.outcome)}


def _hour(row: HourRow) -> JsonObject:
    return {
        "hour_start": iso_time(row.hour_start_micros),
        "requests": row.requests,
        "replicas": row.replicas,
        **_amounts(row.serverless_nano, row.dedicated_nano),
    }
