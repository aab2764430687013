"""Replays over the control plane: what is decided anew, what it would cost, beside controls; and what is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.errors import MeteringUnavailable
from headrace.domain.json_value import JsonObject
from headrace.domain.router import MANAGED_ROUTER
from headrace.domain.routing import PromptFigures
from headrace.ports.routing import RoutedRequest
from headrace.services import router_history
from tests.control_world import SHA, Plane, World, open_plane
from tests.fakes.routed import NOON, a_request, a_routing, a_target

pytestmark = pytest.mark.anyio

ROUTERS = "/v2/gen-ai/models/routers"
DAY = 86_400_000_000
REFUND: JsonObject = {
    "custom_task": {"name": "refund", "description": "Customer wants money back."},
    "models": ["acme/chat:large", "tiny"],
    "selection_policy": {"prefer": "cheapest"},
}
SUPPORT: JsonObject = {
    "name": "support",
    "policies": [REFUND, {"task_slug": "bug-fixing", "models": ["acme/chat:large"]}],
    "fallback_models": ["tiny"],
}
# 100 tokens read and 50 written, by the prices of the test's catalog.
TINY, LARGE = 30_000, 300_000


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    world = World(given={"ACME_API_KEY": "sk-acme"})
    world.weights.here.add(SHA)
    async with open_plane(world) as opened:
        made = await opened.call("admin", "POST", ROUTERS, SUPPORT)
        assert made.status_code == 200, made.text
        yield opened


def logged(plane: Plane, *requests: tuple[str | None, bytes], days_ago: int = 1) -> None:
    """Put requests into the log that had a route then and whose features say what the prompt is."""
    for route, features in requests:
        number = len(plane.world.decisions.requests)
        at = NOON - days_ago * DAY + number
        decision = a_routing(route, features=features)
        plane.world.decisions.requests.append(a_request(f"req_{number}", decision, at_micros=at, cost_nano=1_000))


async def replayed(plane: Plane, of: str = "support", **fields: Any) -> dict[str, Any]:
    answer = await plane.call("admin", "POST", f"{ROUTERS}/{of}/replay", fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["replay"]
    return found


async def test_the_past_is_decided_anew(plane: Plane) -> None:
    logged(plane, ("refund", b"refund"), (None, b"refund"), ("refund", b"bug-fixing"), ("refund", b"maybe refund"))
    found = await replayed(plane)
    assert (found["requests"], found["redecided"], found["changed"]) == (4, 4, 3)
    assert found["abstained"] == {"before": 1, "after": 1}
    assert found["moves"] == [
        {"from": None, "to": "refund", "requests": 1, "newest": ["req_1"]},
        {"from": "refund", "to": None, "requests": 1, "newest": ["req_3"]},
        {"from": "refund", "to": "bug-fixing", "requests": 1, "newest": ["req_2"]},
        {"from": "refund", "to": "refund", "requests": 1, "newest": ["req_0"]},
    ]
    cost = TINY * 3 + LARGE
    assert found["cost"] == {
        "requests": 4,
        "paid_nano_usd": 4_000,
        "paid_usd": "0.000004000",
        "replayed_nano_usd": cost,
        "replayed_usd": "0.000390000",
        "saved_nano_usd": 4_000 - cost,
        "saved_usd": "-0.000386000",
    }
    compared = found["compared"]
    assert (compared["requests"], compared["own"]["cost_nano_usd"]) == (4, cost)
    assert {each["name"]: each["cost_nano_usd"] for each in compared["controls"]} == {
        "always cheapest": TINY * 4,
        "always best": LARGE * 3 + TINY,
        "only tiny": TINY * 4,
        "shuffle of the same choices": round((TINY * 3 / 4 + LARGE / 4) * 3 + TINY),
    }
    notes = found["notes"]
    assert "with the tokens of the one that did" in notes[0]
    assert "follow-ups are decided here without what was said" in notes[1]
    assert notes[-1] == "Quality was not measured: nobody answered anew."


async def test_a_draft_is_tried_before_it_is_saved(plane: Plane) -> None:
    logged(plane, ("refund", b"refund"), ("bug-fixing", b"bug-fixing"))
    await plane.call("admin", "POST", "/v2/requests/req_0/route", {"route": "refund"})
    draft: JsonObject = {"policies": [{**REFUND, "models": ["acme/chat:large"]}], "fallback_models": ["tiny"]}
    found = await replayed(plane, router=draft)
    assert (found["router"], found["draft"], found["changed"]) == ("support", True, 1)
    assert found["cost"]["replayed_nano_usd"] == LARGE + TINY
    assert (await replayed(plane))["draft"] is False
    too_dear = await replayed(plane, router={**draft, "max_cost_usd": "0.0001"})
    assert too_dear["cost"]["replayed_nano_usd"] == 2 * TINY


async def test_what_cannot_be_decided_anew_is_counted(plane: Plane) -> None:
    logged(plane, ("refund", b"refund"))
    log = plane.world.decisions.requests
    log.append(replace(log[0], request_id="req_t", decision=a_routing("refund", features=b"", basis="tool_loop")))
    log.append(replace(log[0], request_id="req_u", decision=a_routing(None, features=b"", basis="unread")))
    log.append(replace(log[0], request_id="req_f", served_by=None, cost_nano=0))
    found = await replayed(plane)
    assert found["left_out"] == {"tool_loop": 1, "unread": 1}
    assert (found["requests"], found["redecided"], found["cost"]["requests"]) == (4, 2, 1)


async def test_models_that_could_not_serve_the_request_then_cannot_now(plane: Plane) -> None:
    logged(plane, ("refund", b"bug-fixing"))
    log = plane.world.decisions.requests
    unfit = a_target("acme/chat:large", None, None, code="unsupported_by_model")
    log.append(
        replace(
            log[0], request_id="req_a", decision=a_routing("refund", unfit, a_target("tiny", 1), features=b"bug-fixing")
        )
    )
    long = replace(log[0], request_id="req_b", input_tokens=9_000)
    log.append(long)
    found = await replayed(plane)
    assert found["cost"]["requests"] == 2, "nobody reads 9,000 tokens"
    assert found["cost"]["replayed_nano_usd"] == LARGE + TINY


async def test_cached_and_reasoning_tokens_are_priced(plane: Plane) -> None:
    decision = a_routing("bug-fixing", features=b"bug-fixing")
    plane.world.decisions.requests.append(a_request("req_c", decision, tokens=(1_000, 400, 90, 60)))
    found = await replayed(plane)
    assert found["cost"]["replayed_nano_usd"] == 600_000 + 40_000 + 360_000


async def test_time_and_number_are_bounded(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_history, "PAGE", 2)
    logged(plane, *[("refund", b"refund")] * 3, days_ago=9)
    logged(plane, *[("refund", b"refund")] * 5)
    assert (await replayed(plane))["redecided"] == 5
    assert (await replayed(plane, since="10d"))["redecided"] == 8
    assert (await replayed(plane, since="2026-11-14", until="8d"))["redecided"] == 3
    least = await replayed(plane, since="10d", limit=3)
    assert (least["requests"], least["redecided"]) == (8, 3)
    assert least["moves"][0]["newest"] == ["req_7", "req_6", "req_5"]
    assert (least["since"], least["until"]) == ("2026-11-14T12:00:00.000000Z", "2026-11-24T12:00:00.000001Z")


async def test_nothing_logged_is_no_error(plane: Plane) -> None:
    found = await replayed(plane)
    assert (found["requests"], found["redecided"], found["moves"], found["compared"]) == (0, 0, [], None)


async def test_the_managed_router_is_ranked_anew_under_a_preference(plane: Plane) -> None:
    figures = PromptFigures(0.1, 100.0)
    large = a_target("acme/chat:large", 1)
    for number, kept in enumerate((figures, None, figures)):
        decision = replace(a_routing(None, large, router=MANAGED_ROUTER, basis="managed"), figures=kept)
        served = None if number == 2 else "acme/chat:large"
        plane.world.decisions.requests.append(a_request(f"req_{number}", decision, served_by=served, cost_nano=LARGE))
    found = await replayed(plane, MANAGED_ROUTER, routing_preference="budget")
    assert (found["routing_preference"], found["abstained"]) == ("budget", None)
    assert found["left_out"] == {"managed": 1, "not_served": 1}
    assert found["moves"] == [{"from": "acme/chat:large", "to": "tiny", "requests": 1, "newest": ["req_0"]}]
    assert found["cost"]["saved_nano_usd"] == LARGE - TINY
    assert (await replayed(plane, MANAGED_ROUTER))["routing_preference"] == "balanced"


async def test_a_router_is_named_by_uuid_or_name_and_may_be_a_preset(plane: Plane) -> None:
    uuid = (await plane.call("admin", "GET", ROUTERS)).json()["model_routers"][0]["uuid"]
    for name in (uuid, "support", "router:support"):
        assert (await replayed(plane, name))["router"] == "support"
    assert (await replayed(plane, "general"))["router"] == "general"


async def test_progress_comes_as_events(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_history, "PAGE", 2)
    logged(plane, *[("refund", b"refund")] * 3)
    answer = await plane.call("admin", "POST", f"{ROUTERS}/support/replay", {"stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    assert [each["done"] for each in events[:-1]] == [0, 2, 3]
    assert events[0] == {"what": "requests", "done": 0, "total": 3, "unit": "requests"}
    assert events[-1]["replay"] == await replayed(plane)


@pytest.mark.parametrize(
    ("router", "fields", "status", "code", "param"),
    [
        ("suport", {}, 404, "router_not_found", None),
        ("support", {"since": "soon"}, 400, "invalid_request", "since"),
        ("support", {"since": 7}, 400, "invalid_request", "since"),
        ("support", {"since": "2027-01-01"}, 400, "invalid_request", "since"),
        ("support", {"until": "2026-11-24T10:00:00"}, 400, "invalid_request", "until"),
        ("support", {"since": "1d", "until": "2d"}, 400, "invalid_request", "until"),
        ("support", {"limit": 50_001}, 400, "invalid_request", "limit"),
        ("support", {"limit": True}, 400, "invalid_request", "limit"),
        ("support", {"stream": "yes"}, 400, "invalid_request", "stream"),
        ("support", {"router": "support"}, 400, "invalid_request", "router"),
        ("support", {"router": {"policies": []}}, 400, "invalid_request", "router.policies"),
        (
            "support",
            {"router": {"policies": [REFUND], "fallback_models": ["tinny"]}},
            400,
            "model_not_found",
            "router.fallback_models[0]",
        ),
        ("support", {"routing_preference": "budget"}, 400, "invalid_request", "routing_preference"),
        (MANAGED_ROUTER, {"router": SUPPORT}, 400, "invalid_request", "router"),
        ("support", {"sinc": "7d"}, 400, "unknown_field", "sinc"),
    ],
)
async def test_what_cannot_be_replayed_is_told(
    plane: Plane, router: str, fields: JsonObject, status: int, code: str, param: str | None
) -> None:
    answer = await plane.call("admin", "POST", f"{ROUTERS}/{router}/replay", fields)
    assert (answer.status_code, answer.json()["id"], answer.json().get("param")) == (status, code, param)


async def test_a_page_of_nothing_but_tool_calls_is_left_out(plane: Plane) -> None:
    decision = a_routing("refund", features=b"", basis="tool_loop")
    plane.world.decisions.requests.append(a_request("req_t", decision))
    found = await replayed(plane)
    assert (found["redecided"], found["left_out"]) == (0, {"tool_loop": 1})


async def test_a_store_that_fails_in_the_middle_is_told_as_the_last_event(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def since(*_: object) -> tuple[RoutedRequest, ...]:
        raise MeteringUnavailable("The store is away.")

    logged(plane, ("refund", b"refund"))
    monkeypatch.setattr(type(plane.world.decisions), "since", since)
    answer = await plane.call("admin", "POST", f"{ROUTERS}/support/replay", {"stream": True})
    last = json.loads(answer.text.splitlines()[-2].removeprefix("data: "))
    assert last["error"]["id"] == "metering_unavailable"


async def test_without_weights_nothing_is_matched(plane: Plane) -> None:
    plane.world.scorer.is_away = True
    assert (await replayed(plane))["redecided"] == 0, "without a request nothing is to be matched"
    logged(plane, ("refund", b"refund"))
    answer = await plane.call("admin", "POST", f"{ROUTERS}/support/replay", {"stream": True})
    assert answer.status_code == 503
