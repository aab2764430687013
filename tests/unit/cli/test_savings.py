"""`headrace routers savings`: what is asked, and that no saving is told without a word on quality."""

from __future__ import annotations

from headrace.domain.json_value import JsonObject, JsonValue
from tests.unit.cli.command_line import ADMIN, CommandLine

PATH = "GET /v2/gen-ai/models/routers/support/savings"


def course(name: str, cost: int, saves: float | None) -> JsonObject:
    return {"name": name, "cost_nano_usd": cost, "router_saves": saves, "quality": None}


def saved(requests: int, paid: int, reference: int) -> JsonObject:
    share = 1 - paid / reference if reference else None
    return {"requests": requests, "paid_nano_usd": paid, "reference_nano_usd": reference, "share": share}


def a_report(**fields: JsonValue) -> JsonObject:
    groups: list[JsonValue] = [
        {"route": "refund", "model": "tiny", "requests": 3, "paid_nano_usd": 2_000, "saved": saved(3, 2_000, 8_000)},
        {"route": None, "model": "large", "requests": 1, "paid_nano_usd": 70, "saved": saved(0, 0, 0)},
    ]
    report: JsonObject = {
        "router": "support",
        "since": "2026-11-17T12:00:00.000000Z",
        "until": "2026-11-24T12:00:00.000000Z",
        "requests": 5,
        "served": 4,
        "matched": {"value": 0.8, "low": 0.4, "high": 0.96},
        "fallback": {"value": 0.25, "low": 0.05, "high": 0.7},
        "paid_nano_usd": 2_070,
        "saved": saved(3, 2_000, 8_000),
        "groups": groups,
        "compared": {
            "requests": 3,
            "own": course("router", 2_000, None),
            "controls": [course("always best", 8_000, 0.75)],
        },
        "quality": None,
        "notes": ["The reference is the dearest.", "Quality was not measured."],
    }
    return {"savings": {**report, **fields}}


def test_savings_are_told() -> None:
    command = CommandLine().answers(f"{PATH}?since=7d&limit=100", a_report())
    ran = command("routers", "savings", "router:support", "--since", "7d", "--limit", "100")
    assert (ran.status, command.api.credentials) == (0, [ADMIN])
    assert ran.out.splitlines() == [
        "router:support: 2026-11-17 12:00:00 UTC to 2026-11-24 12:00:00 UTC",
        "5 requests   served 4   matched 80.0% (40.0-96.0)   by fallback models 25.0% (5.0-70.0)",
        "paid $0.000002000, with the dearest models $0.000008000: saved 75%",
        "",
        "ROUTE      MODEL  REQUESTS          PAID     REFERENCE  SAVED",
        "refund     tiny          3  $0.000002000  $0.000008000    75%",
        "(no task)  large         1  $0.000000070             -      -",
        "",
        "3 REQUESTS           COST  ROUTER SAVES  QUALITY",
        "router       $0.000002000",
        "always best  $0.000008000          +75%",
        "",
        "The reference is the dearest.",
        "Quality was not measured.",
    ]


def test_nothing_is_told_as_nothing() -> None:
    empty = a_report(requests=0, served=0, matched=None, fallback=None, saved=saved(0, 0, 0), groups=[], compared=None)
    ran = CommandLine().answers(PATH, empty)("routers", "savings", "support")
    assert ran.out.splitlines()[1:] == [
        "0 requests   served 0",
        "",
        "The reference is the dearest.",
        "Quality was not measured.",
    ]


def test_json_is_the_servers_reply() -> None:
    assert CommandLine().answers(PATH, a_report())("routers", "savings", "support", "--json").json == a_report()
