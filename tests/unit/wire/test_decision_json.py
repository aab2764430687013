"""What a router decided, as receipts and answers tell it."""

from __future__ import annotations

from dataclasses import replace

from headrace.wire.decision_json import decision_object, routing_object
from tests.fakes.decisions import CHOSEN, DECISION, LEFT_OUT, SECOND, SWITCH, a_decision

TOLD = {
    "router": "support",
    "route": "refund",
    "score": 0.91,
    "basis": "matched",
    "policy": "cheapest",
    "reason": DECISION.reason,
    "likeliest": "refund",
    "runner_up": {"route": "order-status", "score": 0.44},
    "closest_example": 3,
    "difficulty": 0.25,
    "predicted_output_tokens": 120,
    "session": "implicit:0011",
    "switch": None,
    "candidates": [
        {
            "name": "fast",
            "model": "one",
            "provider": "acme",
            "rank": 1,
            "code": "cheapest",
            "reason": "expected to cost $0.000001000",
            "expected_cost_nano_usd": 1_000,
            "expected_cost_usd": "0.000001000",
            "expected_seconds": 0.5,
            "strength": None,
        },
        {
            "name": "two",
            "model": "two",
            "provider": "acme",
            "rank": 2,
            "code": "cheapest",
            "reason": "expected to cost $0.000009000",
            "expected_cost_nano_usd": 9_000,
            "expected_cost_usd": "0.000009000",
            "expected_seconds": None,
            "strength": None,
        },
        {
            "name": "tiny",
            "model": "tiny",
            "provider": "here",
            "rank": None,
            "code": "unsupported_by_model",
            "reason": LEFT_OUT.reason,
            "expected_cost_nano_usd": None,
            "expected_cost_usd": None,
            "expected_seconds": None,
            "strength": None,
        },
    ],
    "decided_ms": 4.1,
    "reference": {
        "model": "two",
        "provider": "acme",
        "expected_cost_nano_usd": 9_000,
        "expected_cost_usd": "0.000009000",
    },
}


def test_a_receipt_tells_all_of_it_and_what_was_saved() -> None:
    assert routing_object(DECISION, 1_200) == {**TOLD, "saved_nano_usd": 7_800, "saved_usd": "0.000007800"}
    assert routing_object(DECISION, 9_500)["saved_usd"] == "-0.000000500"
    assert routing_object(DECISION, None) == {**TOLD, "saved_nano_usd": None, "saved_usd": None}


def test_an_answer_tells_who_would_serve() -> None:
    assert decision_object(DECISION) == {
        **TOLD,
        "object": "routing.decision",
        "model": "one",
        "provider": "acme",
    }


def test_what_is_not_known_is_null() -> None:
    unread = a_decision(
        router="",
        route=None,
        score=None,
        best=None,
        runner_up=None,
        runner_up_score=None,
        closest_example=None,
        figures=None,
        session=None,
        targets=(replace(LEFT_OUT, provider=""),),
        reference_nano=None,
    )
    told = decision_object(unread)
    for name in ("router", "route", "score", "likeliest", "runner_up", "closest_example", "difficulty", "session"):
        assert told[name] is None
    assert (told["predicted_output_tokens"], told["model"], told["provider"], told["reference"]) == (None,) * 4
    assert routing_object(unread, 5)["saved_nano_usd"] is None


def test_a_reference_is_one_of_those_that_could_have_served() -> None:
    gone = a_decision(targets=(CHOSEN, replace(SECOND, rank=None)))
    assert decision_object(gone)["reference"] is None


def test_a_weighed_switch_is_told_with_both_sides() -> None:
    placed = {"one": {"model": "one", "provider": "acme"}, "two": {"model": "two", "provider": "acme"}}
    told = {
        "verdict": "over_cap",
        "taken": False,
        "forced": False,
        "anchor": placed["two"],
        "candidate": placed["one"],
        "counterfactual": placed["one"],
        "cost_nano_usd": 700,
        "cost_usd": "0.000000700",
        "context_tokens": 50,
        "warm_tokens": 0,
        "cap_pct": 12.5,
        "spent_nano_usd": 10,
        "spent_usd": "0.000000010",
        "base_nano_usd": 20,
        "base_usd": "0.000000020",
    }
    assert decision_object(a_decision(switch=SWITCH))["switch"] == told
    forced = decision_object(a_decision(switch=replace(SWITCH, is_forced=True, cost_nano=None)))["switch"]
    assert forced == {
        **told,
        "taken": True,
        "forced": True,
        "counterfactual": None,
        "cost_nano_usd": None,
        "cost_usd": None,
    }
