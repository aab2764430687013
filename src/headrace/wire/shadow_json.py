"""Answers of reference models as JSON, and the verdict that somebody sends."""

from __future__ import annotations

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.shadow import Quality, ShadowAnswer, Verdict
from headrace.wire.iso_time import iso_time, iso_time_or_none
from headrace.wire.money_json import amount
from headrace.wire.openai_chat import show
from headrace.wire.replay_json import interval_object

FIELDS = frozenset({"verdict", "judge"})
MOST_NAME_CHARS = 256


def shadow_object(answer: ShadowAnswer) -> JsonObject:
    """Return an answer without its texts; while it runs its amount is the bound."""
    return {
        "request_id": answer.request_id,
        "shadow_request_id": answer.shadow_request_id,
        "route": answer.route,
        "served_by": answer.served_by,
        "reference": answer.reference,
        "made_at": iso_time(answer.made_at_micros),
        **amount("reference_cost", answer.amount_nano),
        "state": answer.state,
        "failure": answer.failure,
        "verdict": None if answer.verdict is None else answer.verdict.value,
        "judge": answer.judge,
        "judged_at": iso_time_or_none(answer.judged_at_micros),
    }


def read_verdict(fields: JsonObject) -> tuple[Verdict, str]:
    """Return what is said and by whom; raises InvalidRequest."""
    verdict, judge = fields.get("verdict"), fields.get("judge", "")
    if not isinstance(verdict, str) or verdict not in set(Verdict):
        known = ", ".join(f'"{each.value}"' for each in Verdict)
        raise InvalidRequest(
            f"\"verdict\" must be one of {known}: how the router's answer compares with the reference's,"
            f" not {show(verdict)}.",
            param="verdict",
        )
    if not isinstance(judge, str) or not 0 < len(judge) <= MOST_NAME_CHARS:
        raise InvalidRequest(
            f'"judge" must be the name of who says so, up to {MOST_NAME_CHARS} characters, not {show(judge)}.',
            param="judge",
        )
    return Verdict(verdict), judge


def quality_object(quality: Quality) -> JsonValue:
    """Return what judges said, None when nobody did; the mean is from -1, all worse, to 1, all better."""
    if not quality.judged:
        return None
    return {
        "judged": quality.judged,
        "better": quality.better,
        "equal": quality.equal,
        "worse": quality.worse,
        "mean": interval_object(quality.mean),
    }
