"""Writes a report of usage as JSON and as CSV; the same names in both, every amount exact."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage_report import Dimension, TimeSpan, UsageReport, UsageRow, UsageSums
from headrace.wire.iso_time import iso_time
from headrace.wire.money_json import amount

MICROS_PER_SECOND = 1_000_000
# What has ids that say nothing to a reader: the name stands beside each.
NAMED = frozenset({Dimension.KEY, Dimension.DEPLOYMENT})
# A spreadsheet takes a cell that begins so for a formula and would run it. Source: OWASP, "CSV Injection" (read
# 2026-11-25).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def usage_report_object(report: UsageReport, page: int, limit: int) -> JsonObject:
    """Return one page of a report with its totals; links to other pages are the route's."""
    question = report.question
    return {
        "usage": [_row_object(report, row) for row in report.rows],
        **_span_fields(question.span),
        "interval": question.interval.value,
        "zone": question.zone,
        "group_by": [each.value for each in question.group_by],
        "totals": _sums_object(report.totals),
        "meta": {"total": report.row_count, "page": page, "pages": max(1, -(-report.row_count // limit))},
        "links": {"pages": {}},
    }


def usage_report_csv(report: UsageReport) -> bytes:
    """Return the rows of a report under a line of names; no cell of text is taken for a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = (*_group_names(report), *_sums_object(report.totals))
    writer.writerow(("starts_at", "ends_at", *names))
    for row in report.rows:
        starts_at, ends_at = map(iso_time, row.span)
        cells = [_text_cell(value) for _, value in _group_fields(report, row)]
        writer.writerow((starts_at, ends_at, *cells, *("" if it is None else it for it in _sums(row.sums))))
    return text.getvalue().encode()


def _row_object(report: UsageReport, row: UsageRow) -> JsonObject:
    group: JsonObject = {name: value or None for name, value in _group_fields(report, row)}
    return {**_span_fields(row.span), **group, **_sums_object(row.sums)}


def _group_names(report: UsageReport) -> Iterator[str]:
    for dimension in report.question.group_by:
        yield dimension.value
        if dimension in NAMED:
            yield f"{dimension}_name"


def _group_fields(report: UsageReport, row: UsageRow) -> Iterator[tuple[str, str]]:
    for dimension, value in zip(report.question.group_by, row.group, strict=True):
        yield dimension.value, value
        if dimension in NAMED:
            names = report.key_names if dimension is Dimension.KEY else report.deployment_names
            yield f"{dimension}_name", names.get(value, "")


def _sums_object(sums: UsageSums) -> JsonObject:
    return {
        "attempts": sums.attempts,
        "requests": sums.requests,
        "input_fresh": sums.input_fresh,
        "input_cache_read": sums.input_cache_read,
        "input_cache_write_5m": sums.input_cache_write_5m,
        "input_cache_write_1h": sums.input_cache_write_1h,
        "output_text": sums.output_text,
        "output_reasoning": sums.output_reasoning,
        **amount("cost", sums.cost_nano),
        **amount("charge", sums.charge_nano),
        "mean_duration_seconds": _mean_seconds(sums.duration_micros, sums.attempts),
        "mean_first_event_seconds": _mean_seconds(sums.first_event_micros, sums.first_events),
    }


def _sums(sums: UsageSums) -> Iterator[JsonValue]:
    yield from _sums_object(sums).values()


def _span_fields(span: TimeSpan) -> JsonObject:
    return {"starts_at": iso_time(span[0]), "ends_at": iso_time(span[1])}


def _mean_seconds(micros: int, count: int) -> float | None:
    return round(micros / count / MICROS_PER_SECOND, 6) if count else None


def _text_cell(value: str) -> str:
    return f"'{value}" if value.startswith(FORMULA_STARTS) else value
