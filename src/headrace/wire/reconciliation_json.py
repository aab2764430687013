"""Comparisons with a provider's bill as JSON: the summary that a list shows, and the whole report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.domain.bill import Bill, BookedAttempt
from headrace.domain.bill_cause import Drift
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import format_nano
from headrace.domain.reconciliation import ReconciledRow, Reconciliation
from headrace.wire.iso_time import iso_time

COST = "cost_nano"


@dataclass(frozen=True, slots=True)
class Made:
    """What a comparison was made of: its id, whose bill, from which file, over which days, when."""

    id: str
    provider: str
    file_name: str
    digest: str
    days: tuple[str, str]
    made_at_micros: int


def summary_object(made: Made, bill: Bill, found: Reconciliation, remarks: Sequence[str]) -> JsonObject:
    """Return what a list shows of a comparison."""
    return {
        "id": made.id,
        "provider": made.provider,
        "format": bill.form,
        "file_name": made.file_name or None,
        "sha256": made.digest,
        "made_at": iso_time(made.made_at_micros),
        "first_day": made.days[0],
        "last_day": made.days[1],
        "rows": len(found.rows),
        "differing_rows": found.drifting,
        "cause": found.cause.value,
        "says": found.says,
        "totals": [_drift_object(each) for each in found.totals],
        "remarks": list[JsonValue](remarks),
    }


def report_rows(found: Reconciliation) -> list[JsonValue]:
    """Return every day and model of a comparison."""
    return [_row_object(row) for row in found.rows]


def _row_object(row: ReconciledRow) -> JsonObject:
    return {
        "day": row.day,
        "model": row.model_id or None,
        "billed_as": list[JsonValue](row.billed_as),
        "agrees": row.agrees,
        "cause": row.cause.value,
        "says": row.says,
        "figures": [_drift_object(each) for each in row.drifts],
        "doubts": _counts(row.doubts),
        "attempts": [_attempt_object(each) for each in row.attempts],
        "unmatched_ids": list[JsonValue](row.unmatched),
    }


def _drift_object(drift: Drift) -> JsonObject:
    shown: JsonObject = {
        "figure": "cost_nano_usd" if drift.name == COST else drift.name,
        "ours": drift.ours,
        "theirs": drift.theirs,
        "difference": drift.difference,
        "per_mille": drift.per_mille,
    }
    if drift.name != COST:
        return shown
    usd = {name: format_nano(amount) for name, amount in (("ours", drift.ours), ("theirs", drift.theirs))}
    return {**shown, "ours_usd": usd["ours"], "theirs_usd": usd["theirs"]}


def _attempt_object(attempt: BookedAttempt) -> JsonObject:
    return {
        "attempt_id": attempt.attempt_id,
        "request_id": attempt.request_id,
        "ended_at": iso_time(attempt.ended_at_micros),
        "reasons": list[JsonValue](attempt.reasons),
        "input_tokens": attempt.input_tokens,
        "output_tokens": attempt.output_tokens,
        "cost_nano_usd": attempt.cost_nano,
        "upstream_request_id": attempt.upstream_request_id,
    }


def _counts(counts: Mapping[str, int]) -> JsonObject:
    return dict[str, JsonValue](counts)
