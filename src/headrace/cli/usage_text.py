"""Lays a report of usage out for a terminal: a row for each group, and the sums of all under them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from headrace.cli.replies import dollars, number, part, parts, text, words
from headrace.cli.session import columns
from headrace.domain.json_value import JsonObject

COUNTS = ("REQUESTS", "ATTEMPTS", "INPUT", "CACHED", "OUTPUT", "COST", "CHARGE")
INPUT = ("input_fresh", "input_cache_read", "input_cache_write_5m", "input_cache_write_1h")
OUTPUT = ("output_text", "output_reasoning")
LABELS: Mapping[str, str] = {"hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}
EMPTY = "(none)"
TAGGED = "A request with several tags stands in several rows, one without in none; the total has each once."


def usage_text(report: JsonObject) -> str:
    """Return the report in lines; pure text of what the server answered."""
    head = f"{_span(report)}, {text(report, 'zone')}"
    rows = parts(report, "usage")
    if not rows:
        return f"{head}: nothing was used."
    groups = words(report.get("group_by"))
    label = LABELS.get(text(report, "interval"))
    lead = (*(() if label is None else (text(report, "interval").upper(),)), *(each.upper() for each in groups))
    lead = lead or ("",)
    table = [(*lead, *COUNTS)]
    table += [(*_lead(report, row, groups, label), *_counts(row)) for row in rows]
    table.append(("total", *("" for _ in lead[1:]), *_counts(part(report, "totals"))))
    lines = [head, "", columns(table, frozenset(range(len(lead), len(lead) + len(COUNTS))))]
    left = number(part(report, "meta"), "total") - len(rows)
    if left > 0:
        lines += ["", f"{left:,} more rows are in the total only; --csv writes them all."]
    if "tag" in groups:
        lines += ["", TAGGED]
    return "\n".join(lines)


def _lead(report: JsonObject, row: JsonObject, groups: list[str], label: str | None) -> tuple[str, ...]:
    when = () if label is None else (_local(report, text(row, "starts_at")).strftime(label),)
    return (*when, *(_group(row, each) for each in groups)) or ("all",)


def _group(row: JsonObject, name: str) -> str:
    """What a person called a key or a deployment, and its id: names come again, and other verbs take ids."""
    value, called = text(row, name) or EMPTY, text(row, f"{name}_name")
    return f"{called} ({value})" if called else value


def _counts(sums: JsonObject) -> tuple[str, ...]:
    return (
        f"{number(sums, 'requests'):,}",
        f"{number(sums, 'attempts'):,}",
        f"{sum(number(sums, each) for each in INPUT):,}",
        f"{number(sums, 'input_cache_read'):,}",
        f"{sum(number(sums, each) for each in OUTPUT):,}",
        dollars(number(sums, "cost_nano_usd")),
        dollars(number(sums, "charge_nano_usd")),
    )


def _span(report: JsonObject) -> str:
    first, last = (_local(report, text(report, name)) for name in ("starts_at", "ends_at"))
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"


def _local(report: JsonObject, moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(ZoneInfo(text(report, "zone", "UTC")))
