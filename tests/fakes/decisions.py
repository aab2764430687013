"""Decisions of a router for tests, with what a test does not care about filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from headrace.domain.routing import Decision, PromptFigures, RoutedTarget
from headrace.domain.switching import Placement, SwitchRecord, SwitchTotals, SwitchVerdict
from tests.fakes.scorer import FEATURES

CHOSEN = RoutedTarget("fast", "one", "acme", 1, "cheapest", "expected to cost $0.000001000", 1_000, 0.5)
SECOND = RoutedTarget("two", "two", "acme", 2, "cheapest", "expected to cost $0.000009000", 9_000, None)
LEFT_OUT = RoutedTarget(
    "tiny", "tiny", "here", None, "unsupported_by_model", '"tiny" cannot do what this request needs: tools.'
)
SWITCH = SwitchRecord(
    verdict=SwitchVerdict.OVER_CAP,
    anchor=Placement("two", "acme"),
    candidate=Placement("one", "acme"),
    cost_nano=700,
    context_tokens=50,
    warm_tokens=0,
    cap_ppm=125_000,
    totals=SwitchTotals(10, 20),
)
DECISION = Decision(
    router="support",
    route="refund",
    score=0.91,
    best="refund",
    runner_up="order-status",
    runner_up_score=0.44,
    closest_example=3,
    basis="matched",
    policy="cheapest",
    reason='The prompt fits "refund" with a probability of 0.91. "one" is the cheapest of 2 that can serve.',
    targets=(CHOSEN, SECOND, LEFT_OUT),
    figures=PromptFigures(0.25, 120.4),
    features=FEATURES,
    decided_micros=4_100,
    session="implicit:0011",
    reference_nano=9_000,
)


def a_decision(**fields: Any) -> Decision:
    return replace(DECISION, **fields)
