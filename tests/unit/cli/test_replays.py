"""`headrace routers replay`: what is asked, how it is told, and where a draft is wrong."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from headrace.domain.json_value import JsonObject, JsonValue
from tests.unit.cli.command_line import ADMIN, CommandLine

PATH = "POST /v2/gen-ai/models/routers/support/replay"
MANAGED = "POST /v2/gen-ai/models/routers/inference-router/replay"
DRAFT = """name = "support"
fallback_models = ["tiny"]

[[policies]]
task_slug = "bug-fixing"
models = ["tiny"]
"""


def course(name: str, cost: int, saves: float | None) -> JsonObject:
    return {"name": name, "cost_nano_usd": cost, "router_saves": saves, "quality": None}


def a_replay(**fields: JsonValue) -> JsonObject:
    controls: list[JsonValue] = [course("always cheapest", 2_000, -0.5), course("always best", 9_000, 2 / 3)]
    report: JsonObject = {
        "router": "support",
        "draft": False,
        "routing_preference": None,
        "since": "2026-11-17T12:00:00.000000Z",
        "until": "2026-11-24T12:00:00.000000Z",
        "requests": 1412,
        "redecided": 1400,
        "left_out": {"tool_loop": 10, "unread": 2},
        "changed": 14,
        "abstained": {"before": 30, "after": 20},
        "moves": [
            {"from": "refund", "to": "refund", "requests": 1386, "newest": ["req_9"]},
            {"from": None, "to": "refund", "requests": 12, "newest": ["req_1", "req_2"]},
            {"from": "refund", "to": None, "requests": 2, "newest": ["req_3"]},
        ],
        "moves_left_out": 0,
        "cost": {"requests": 1300, "paid_nano_usd": 4_000, "replayed_nano_usd": 3_000, "saved_nano_usd": 1_000},
        "compared": {"requests": 1300, "own": course("router", 3_000, None), "controls": controls},
        "notes": ["Costs are computed.", "Quality was not measured."],
    }
    return {"replay": {**report, **fields}}


def progress(done: int) -> JsonObject:
    return {"what": "requests", "done": done, "total": 1400, "unit": "requests"}


def test_a_replay_is_told() -> None:
    command = CommandLine().streams(PATH, progress(0), progress(1400), a_replay())
    ran = command("routers", "replay", "router:support", "--since", "7d", "--limit", "1400")
    assert (ran.status, command.api.credentials) == (0, [ADMIN])
    assert command.api.last_body == {"since": "7d", "limit": 1400, "stream": True}
    assert ran.err == "replaying requests  100 %\n"
    assert ran.out.splitlines() == [
        "router:support: 2026-11-17 12:00:00 UTC to 2026-11-24 12:00:00 UTC",
        "1,412 requests   decided anew 1,400   another route 14 (1.0%)   no task 30, now 20",
        "not decided anew, because the prompt was not read or nobody served: tool_loop 10, unread 2",
        "",
        "FROM       TO         REQUESTS  NEWEST",
        "(no task)  refund           12  req_1, req_2",
        "refund     (no task)         2  req_3",
        "",
        "1,300 REQUESTS           COST  ROUTER SAVES  QUALITY",
        "paid then        $0.000004000",
        "router           $0.000003000",
        "always cheapest  $0.000002000          -50%",
        "always best      $0.000009000          +67%",
        "",
        "Costs are computed.",
        "Quality was not measured.",
    ]


def test_a_draft_is_sent_and_named(tmp_path: Path) -> None:
    (tmp_path / "draft.toml").write_text(DRAFT)
    command = CommandLine().streams(PATH, a_replay(draft=True, left_out={}, moves=[], compared=None))
    ran = command("routers", "replay", "support", "--draft", str(tmp_path / "draft.toml"), "--json")
    assert isinstance(ran.json, dict)
    policies: list[JsonValue] = [{"task_slug": "bug-fixing", "models": ["tiny"]}]
    draft: JsonObject = {"name": "support", "fallback_models": ["tiny"], "policies": policies}
    assert command.api.last_body == {"router": draft, "stream": True}
    told = command("routers", "replay", "support", "--draft", str(tmp_path / "draft.toml"))
    assert "router:support as the draft would have it: 2026-11-17" in told.out
    assert "not decided anew" not in told.out
    assert "COST" not in told.out


def test_a_preference_moves_models() -> None:
    moves: list[JsonValue] = [
        {"from": f"model-{number:02}", "to": None, "requests": 1, "newest": ["req"]} for number in range(22)
    ]
    report = a_replay(router="inference-router", routing_preference="budget", abstained=None, moves=moves, redecided=0)
    command = CommandLine().streams(MANAGED, report)
    ran = command("routers", "replay", "inference-router", "--preference", "budget")
    assert command.api.last_body == {"routing_preference": "budget", "stream": True}
    lines = ran.out.splitlines()
    assert lines[0].startswith("inference-router for budget: ")
    assert lines[1] == "1,412 requests   decided anew 0   another model 14"
    assert "model-19  (nobody)         1  req" in lines
    assert "… and 2 more: --json has them." in lines


def test_a_mistake_in_the_draft_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "draft.toml").write_text(DRAFT)
    command = CommandLine()
    wrong = {"id": "model_not_found", "message": 'No model named "tiny".', "param": "router.policies[0].models[0]"}
    command.api.replies[PATH] = httpx2.Response(400, json=wrong)
    ran = command("routers", "replay", "support", "--draft", str(tmp_path / "draft.toml"))
    assert ran.status != 0
    assert 'draft.toml:6: policies[0].models[0]: No model named "tiny".' in ran.err


@pytest.mark.parametrize("more", [(), ("--draft", "draft.toml")])
def test_another_failure_is_told_as_it_is(more: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "draft.toml").write_text(DRAFT)
    given = [str(tmp_path / each) if each.endswith(".toml") else each for each in more]
    command = CommandLine()
    command.api.replies[PATH] = httpx2.Response(404, json={"id": "router_not_found", "message": "No router."})
    ran = command("routers", "replay", "support", *given)
    assert ran.status != 0
    assert "No router." in ran.err


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ((progress(0),), "broke off before the report"),
        (({"error": {"id": "metering_unavailable", "message": "The store is away."}},), "The store is away."),
    ],
)
def test_a_replay_that_ends_early_is_told(events: tuple[JsonObject, ...], says: str) -> None:
    ran = CommandLine().streams(PATH, *events)("routers", "replay", "support")
    assert ran.status != 0
    assert says in ran.err
