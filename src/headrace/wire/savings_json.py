"""What routers saved as JSON, never without what is to be said of quality."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.domain.intervals import Interval
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.savings import Savings, SavingsGroup
from headrace.domain.shadow import Quality
from headrace.wire.money_json import amount
from headrace.wire.replay_json import compared_object, cover_note, interval_object
from headrace.wire.shadow_json import quality_object

REFERENCE = (
    "The reference is the dearest model that could have served each request. What it and the controls would have cost"
    " is what was expected at the decision, times how the request's real cost compares with what was expected of it."
)
UNMEASURED = "Quality was not measured: whether the answers are as good as the reference's is not known."


def savings_fields(savings: Savings, quality: Quality | None, *, has_tasks: bool) -> JsonObject:
    """Return what requests come to; without tasks there is nothing to match."""
    return {
        "served": savings.served,
        "by_basis": dict(savings.by_basis),
        "matched": interval_object(savings.matched) if has_tasks else None,
        "fallback": interval_object(savings.fallback) if has_tasks else None,
        **amount("paid", savings.paid_nano),
        "saved": _saved(savings.compared_requests, savings.compared_paid_nano, savings.reference_nano),
        "groups": [_group(each) for each in savings.groups],
        "compared": compared_object(savings.compared),
        "quality": None if quality is None else quality_object(quality),
        "notes": list[JsonValue](_notes(savings, quality)),
    }


def _saved(requests: int, paid: int, reference: int) -> JsonObject:
    return {
        "requests": requests,
        **amount("paid", paid),
        **amount("reference", reference),
        **amount("saved", reference - paid),
        "share": 1 - paid / reference if reference else None,
    }


def _group(group: SavingsGroup) -> JsonObject:
    return {
        "route": group.route,
        "model": group.model,
        "requests": group.requests,
        **amount("paid", group.paid_nano),
        "saved": _saved(group.compared, group.compared_paid_nano, group.reference_nano),
    }


def _notes(savings: Savings, quality: Quality | None) -> Iterator[str]:
    yield REFERENCE
    yield from cover_note(savings.compared, savings.compared_requests)
    yield UNMEASURED if quality is None or quality.mean is None else _measured(quality, quality.mean)


def _measured(quality: Quality, mean: Interval) -> str:
    return (
        f"Quality: {quality.judged:,} judged beside the reference model's answers: {quality.better:,} better,"
        f" {quality.equal:,} equal, {quality.worse:,} worse; mean {mean.value:+.2f} ({mean.low:+.2f} to"
        f" {mean.high:+.2f}) from -1 to 1. Judges err."
    )
