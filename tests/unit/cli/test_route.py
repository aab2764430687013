"""`headrace route explain`, and what a receipt says of a route."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.cli.receipt_text import receipt_text
from headrace.cli.routing_text import explained, routing_lines, saved_words
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.decision_json import decision_object, routing_object
from tests.fakes.decisions import CHOSEN, DECISION, SECOND, a_decision
from tests.unit.cli.command_line import CommandLine
from tests.unit.cli.test_receipt_text import RECEIPT

PATH = "POST /v1/routing/decisions"
DECIDED = decision_object(DECISION)


def said(**fields: JsonValue) -> list[str]:
    changed: JsonObject = {**DECIDED, **fields}
    return explained(changed).splitlines()


def test_a_prompt_is_explained_in_a_line() -> None:
    line = CommandLine().answers(PATH, DECIDED)
    ran = line("route", "explain", "router:support", "you charged me twice!")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "refund 0.91 → one (cheapest: $0.000001 expected; two $0.000009)    4.1 ms, nothing was called",
        "excluded: tiny (no tools)",
        DECISION.reason,
    ]
    asked = line.api.last_body
    assert asked == {"model": "router:support", "messages": [{"role": "user", "content": "you charged me twice!"}]}


def test_a_body_is_read_from_a_file_and_shown_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_text('{"model": "other", "input": "hi"}')
    line = CommandLine().answers(PATH, DECIDED)
    ran = line("route", "explain", "helpdesk", "--file", str(file), "--json")
    assert json.loads(ran.out) == DECIDED
    assert line.api.last_body == {"model": "helpdesk", "input": "hi"}


@pytest.mark.parametrize("arguments", [(), ("a prompt", "--file", "body.json"), ("--file", "/nowhere/body.json")])
def test_what_cannot_be_asked_is_refused(arguments: tuple[str, ...]) -> None:
    ran = CommandLine()("route", "explain", "router:support", *arguments)
    assert ran.status == 2
    assert "headrace route explain" in ran.err or "Name a readable file with --file." in ran.err


def test_what_matched_nothing_names_the_likeliest() -> None:
    lines = said(route=None, basis="no_match", score=0.31, policy="fallback")
    assert lines[0].startswith("no task matched 0.31 → one (fallback: $0.000001 expected; ")
    assert lines[1] == "likeliest task: refund"


def test_when_nobody_can_serve_everybody_is_named() -> None:
    lines = said(model=None, candidates=[{"model": "tiny", "rank": None, "code": "over_max_cost"}], decided_ms=None)
    assert lines[:2] == [
        "refund 0.91 → nobody    - ms, nothing was called",
        "excluded: tiny (over the router's limit)",
    ]


def test_who_is_left_out_for_one_reason_is_told_together_and_once() -> None:
    away: list[JsonValue] = [
        {"model": name, "rank": None, "code": "model_unavailable"} for name in ("a", "a", "b", "c", "d", "e", "f")
    ]
    resting: JsonObject = {"model": "g", "rank": None, "code": "breaker_open"}
    assert said(candidates=[*away, resting])[1:3] == [
        "excluded: a, b, c, d and 2 more (not callable)",
        "excluded: g (failed just now)",
    ]
    assert said(candidates=away[:6])[1] == "excluded: a, b, c, d, e (not callable)"


def test_the_fastest_are_told_by_their_seconds() -> None:
    assert said(policy="fastest")[0].split(" → ")[1].startswith("one (fastest: 0.50 s expected; two unmeasured)")
    assert said(policy="none")[0].split(" → ")[1].startswith("one (first: $0.000001 expected; ")


def test_a_receipt_tells_route_pool_and_who_was_left_out() -> None:
    assert routing_lines(routing_object(DECISION, 1_000)) == [
        "route        refund  0.91  (runner-up order-status 0.44; example 3 was closest)",
        "pool         cheapest of 2: one $0.000001 expected, two $0.000009",
        "             excluded: tiny (no tools)",
    ]


def test_many_candidates_are_cut_short_and_lines_wrap() -> None:
    many = a_decision(targets=tuple([CHOSEN, SECOND] * 3), basis="switch_vetoed")
    lines = routing_lines(routing_object(many, None))
    assert lines[0] == "route        refund  0.91  (the session stays with its warm cache; runner-up"
    assert lines[1] == "             order-status 0.44; example 3 was closest)"
    assert lines[-1].endswith(", …")
    assert max(map(len, lines)) <= 80


def test_a_receipt_without_a_match_says_so() -> None:
    nothing = a_decision(route=None, basis="no_match", runner_up=None, closest_example=None, targets=())
    assert routing_lines(routing_object(nothing, None)) == [
        "route        none  0.91  (no task matched; likeliest refund)"
    ]
    managed = a_decision(route=None, score=None, best=None, basis="managed", runner_up=None, closest_example=None)
    assert routing_lines(routing_object(managed, None))[0] == "route        none  (managed)"


def test_what_was_saved_is_told_where_it_is_known() -> None:
    saved = routing_object(DECISION, 1_000)
    assert saved_words({"served_by": "one", "routing": saved}) == "saved against two: $0.000008"
    assert saved_words({"served_by": "two", "routing": saved}) == "", "nothing was saved by asking the dearest"
    assert saved_words({"served_by": None, "routing": routing_object(DECISION, None)}) == ""
    assert saved_words({}) == ""


def test_the_whole_receipt_has_the_routing_in_its_place() -> None:
    routing = routing_object(DECISION, 4_772)
    left_out: JsonObject = {"model": "tiny", "provider": "here", "code": "unsupported_by_model", "reason": "No."}
    resting: JsonObject = {"model": "two", "provider": "acme", "code": "breaker_open", "reason": "It rests."}
    shown: JsonObject = {**RECEIPT, "routing": routing, "excluded": [left_out, resting]}
    text = receipt_text(shown)
    lines = text.splitlines()
    route = lines.index("route        refund  0.91  (runner-up order-status 0.44; example 3 was closest)")
    assert lines[route + 1].startswith("pool         cheapest of 2: one ")
    assert lines[route + 3].startswith("left out     two · acme")
    assert text.count("tiny") == 1, "who the router left out is told once"
    assert lines[-1] == "             saved against two: $0.000004228"
    free: JsonObject = {**RECEIPT, "routing": routing, "cost_nano_usd": 0, "charge_nano_usd": 0}
    last = receipt_text(free).splitlines()[-1]
    assert last == "cost         $0        charge  $0      saved against two: $0.000004228"
