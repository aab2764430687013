"""What a router decided as JSON: in receipts, and as the answer to the question what it would decide."""

from __future__ import annotations

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import format_nano
from headrace.domain.routing import Decision, RoutedTarget
from headrace.domain.switching import Placement, SwitchRecord

MICROS_PER_MS = 1_000
PPM_PER_PERCENT = 10_000
SCORE_DIGITS = 4


def routing_object(decision: Decision, cost_nano: int | None) -> JsonObject:
    """Return the decision as a receipt has it; with what serving cost, what that saved against the reference."""
    reference, saved = decision.reference_nano, None
    if reference is not None and cost_nano is not None:
        saved = reference - cost_nano
    return {
        **_told(decision),
        "reference": _reference(decision),
        "saved_nano_usd": saved,
        "saved_usd": None if saved is None else format_nano(saved),
    }


def decision_object(decision: Decision) -> JsonObject:
    """Return the decision as the answer to who would serve a request."""
    chosen = decision.chosen
    return {
        "object": "routing.decision",
        **_told(decision),
        "model": None if chosen is None else chosen.model_id,
        "provider": None if chosen is None else chosen.provider,
        "reference": _reference(decision),
    }


def _told(decision: Decision) -> JsonObject:
    figures = decision.figures
    return {
        "router": decision.router or None,
        "route": decision.route,
        "score": _score(decision.score),
        "basis": decision.basis,
        "policy": decision.policy,
        "reason": decision.reason,
        "likeliest": decision.best,
        "runner_up": None if decision.runner_up is None else _runner_up(decision),
        "closest_example": decision.closest_example,
        "difficulty": None if figures is None else round(figures.difficulty, SCORE_DIGITS),
        "predicted_output_tokens": None if figures is None else round(figures.output_tokens),
        "session": decision.session,
        "switch": None if decision.switch is None else switch_object(decision.switch),
        "candidates": [_candidate(each) for each in decision.targets],
        "decided_ms": decision.decided_micros / MICROS_PER_MS,
    }


def switch_object(switch: SwitchRecord) -> JsonObject:
    """Return how leaving a session's warm cache was weighed."""
    passed = switch.counterfactual
    cost = switch.cost_nano
    return {
        "verdict": switch.verdict.value,
        "taken": switch.is_taken,
        "forced": switch.is_forced,
        "anchor": _placement(switch.anchor),
        "candidate": _placement(switch.candidate),
        "counterfactual": None if passed is None else _placement(passed),
        "cost_nano_usd": cost,
        "cost_usd": None if cost is None else format_nano(cost),
        "context_tokens": switch.context_tokens,
        "warm_tokens": switch.warm_tokens,
        "cap_pct": switch.cap_ppm / PPM_PER_PERCENT,
        "spent_nano_usd": switch.totals.spent_nano,
        "spent_usd": format_nano(switch.totals.spent_nano),
        "base_nano_usd": switch.totals.base_nano,
        "base_usd": format_nano(switch.totals.base_nano),
    }


def _runner_up(decision: Decision) -> JsonValue:
    return {"route": decision.runner_up, "score": _score(decision.runner_up_score)}


def _candidate(target: RoutedTarget) -> JsonValue:
    cost = target.expected_cost_nano
    return {
        "name": target.name,
        "model": target.model_id,
        "provider": target.provider or None,
        "rank": target.rank,
        "code": target.code,
        "reason": target.reason,
        "expected_cost_nano_usd": cost,
        "expected_cost_usd": None if cost is None else format_nano(cost),
        "expected_seconds": target.expected_seconds,
        "strength": target.strength,
    }


def _reference(decision: Decision) -> JsonValue:
    nano = decision.reference_nano
    dearest = next((each for each in decision.targets if each.rank and each.expected_cost_nano == nano), None)
    if nano is None or dearest is None:
        return None
    return {
        "model": dearest.model_id,
        "provider": dearest.provider,
        "expected_cost_nano_usd": nano,
        "expected_cost_usd": format_nano(nano),
    }


def _placement(placement: Placement) -> JsonObject:
    return {"model": placement.model_id, "provider": placement.provider}


def _score(score: float | None) -> float | None:
    return None if score is None else round(score, SCORE_DIGITS)
