"""`headrace routers evaluate`: what is asked for each line, what is said of it, and what a bad file is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.cli.verbs import evaluate
from headrace.domain.json_value import JsonObject, JsonValue
from tests.unit.cli.command_line import ADMIN, CommandLine

PATH = "POST /v1/routing/decisions"


def a_decision(route: str | None, *, candidates: list[JsonValue] | None = None) -> JsonObject:
    given: list[JsonValue] = [
        {"model": "small", "rank": 1, "expected_cost_nano_usd": 1000, "strength": -1.0},
        {"model": "small", "rank": 2, "expected_cost_nano_usd": 5},
        {"model": "large", "rank": 3, "expected_cost_nano_usd": 9000, "strength": None},
        {"model": "gone", "rank": None, "expected_cost_nano_usd": None},
        {"model": "untold", "rank": 4},
    ]
    return {
        "route": route,
        "score": 0.9,
        "model": "small",
        "decided_ms": 2.5,
        "candidates": given if candidates is None else candidates,
    }


def a_file(folder: Path, text: str) -> str:
    path = folder / "tickets.jsonl"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_line_is_decided_and_the_figures_are_told(tmp_path: Path) -> None:
    file = a_file(tmp_path, '{"prompt": "money back", "route": "refund"}\n{"prompt": "sing", "route": null}\n')
    command = CommandLine().answers(PATH, a_decision("refund"))
    ran = command("routers", "evaluate", "support", "--data", file)
    assert ran.status == 0
    assert command.api.credentials == [ADMIN, ADMIN]
    assert command.api.last_body == {"model": "router:support", "messages": [{"role": "user", "content": "sing"}]}
    told = ran.out.splitlines()
    assert told[0].split("   ") == [
        "2 prompts",
        "right 50.0% (9.5-90.5)",
        "abstained 0.0% (0.0-65.8)",
        "wrong 50.0% (9.5-90.5)",
        "p50 2.5 ms (2.5-2.5)",
        "p99 2.5 ms (2.5-2.5)",
    ]
    assert told[1:] == [
        "",
        "ROUTE   PROMPTS  RIGHT  ABSTAINED  WRONG",
        "refund        1      1          0      0",
        "",
        "A PROMPT                             COST  ROUTER SAVES  QUALITY",
        "router                       $0.000001000",
        "always cheapest              $0.000001000           +0%",
        "always best                  $0.000001000           +0%",
        "only small                   $0.000001000           +0%",
        "shuffle of the same choices  $0.000001000           +0%",
        "Costs are expected ones, of what was chosen and of what could have been; no model was called.",
        'Quality was not measured: no line says what each model\'s answer was worth ("outcomes").',
    ]


def test_outcomes_are_quality(tmp_path: Path) -> None:
    row = '{"prompt": "a", "route": "refund", "outcomes": {"small": 0.5, "large": 1}}\n'
    ran = CommandLine().answers(PATH, a_decision("refund"))(
        "routers", "evaluate", "router:support", "--data", a_file(tmp_path, row), "--json"
    )
    assert ran.status == 0
    assert isinstance(ran.json, dict)
    controls = ran.json["controls"]
    assert isinstance(controls, list)
    assert [(each["name"], each["cost_nano"]) for each in controls if isinstance(each, dict)] == [
        ("always cheapest", 1000.0),
        ("always best", 9000.0),
        ("only large", 9000.0),
        ("shuffle of the same choices", 1000.0),
    ]
    assert ran.json["own"] == {
        "name": "router",
        "cost_nano": 1000.0,
        "quality": {"value": 0.5, "low": pytest.approx(0.108, abs=1e-3), "high": pytest.approx(0.892, abs=1e-3)},
        "saved": None,
    }


def test_without_a_candidate_there_is_no_cost(tmp_path: Path) -> None:
    file = a_file(tmp_path, '{"prompt": "a", "route": "refund"}\n' * 3)
    command = CommandLine().answers(PATH, {"route": None, "score": None, "model": None})
    ran = command("routers", "evaluate", "inference-router", "--data", file, "--limit", "2")
    assert len(command.api.requests) == 2
    assert "abstained 100.0%" in ran.out
    assert "COST" not in ran.out


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\xff", "not UTF-8"), (b"{", "tickets.jsonl:1"), (b"x" * 200, "larger than")],
)
def test_a_bad_file_is_told_before_anything_is_asked(
    content: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "MOST_BYTES", 100)
    (tmp_path / "tickets.jsonl").write_bytes(content)
    command = CommandLine()
    ran = command("routers", "evaluate", "support", "--data", str(tmp_path / "tickets.jsonl"))
    assert ran.status != 0
    assert says in ran.err
    assert command.api.requests == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    ran = CommandLine()("routers", "evaluate", "support", "--data", str(tmp_path / "none.jsonl"))
    assert ran.status != 0
    assert "Name a file with --data" in ran.err
