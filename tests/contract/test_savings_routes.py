"""Savings over the control plane: never a figure without what is to be said of quality."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from headrace.domain.router import MANAGED_ROUTER
from headrace.services import router_history
from tests.control_world import Plane, World, open_plane
from tests.fakes.routed import NOON, a_request, a_routing, a_target

pytestmark = pytest.mark.anyio

ROUTERS = "/v2/gen-ai/models/routers"
DAY = 86_400_000_000


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with open_plane(World()) as opened:
        yield opened


def logged(plane: Plane, count: int, *, router: str = "general", days_ago: int = 1) -> None:
    decision = a_routing("summarization", a_target("tiny", 1, 1_000), a_target("large", 2, 8_000), router=router)
    for _ in range(count):
        number = len(plane.world.decisions.requests)
        at = NOON - days_ago * DAY + number
        plane.world.decisions.requests.append(a_request(f"req_{number}", decision, at_micros=at, cost_nano=500))


async def saved(plane: Plane, router: str = "general", query: str = "") -> dict[str, Any]:
    answer = await plane.call("admin", "GET", f"{ROUTERS}/{router}/savings{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["savings"]
    return found


async def test_savings_are_shown_with_controls_and_notes(plane: Plane) -> None:
    logged(plane, 4)
    found = await saved(plane)
    assert (found["router"], found["requests"], found["served"]) == ("general", 4, 4)
    assert found["by_basis"] == {"matched": 4}
    assert (found["matched"]["value"], found["fallback"]["value"]) == (1.0, 0.0)
    assert (found["paid_nano_usd"], found["paid_usd"]) == (2_000, "0.000002000")
    whole = {
        "requests": 4,
        "paid_nano_usd": 2_000,
        "paid_usd": "0.000002000",
        "reference_nano_usd": 16_000,
        "reference_usd": "0.000016000",
        "saved_nano_usd": 14_000,
        "saved_usd": "0.000014000",
        "share": 0.875,
    }
    assert found["saved"] == whole
    assert found["groups"] == [
        {
            "route": "summarization",
            "model": "tiny",
            "requests": 4,
            "paid_nano_usd": 2_000,
            "paid_usd": "0.000002000",
            "saved": whole,
        }
    ]
    controls = {each["name"]: each["cost_nano_usd"] for each in found["compared"]["controls"]}
    assert (found["compared"]["own"]["cost_nano_usd"], controls["always best"]) == (2_000, 16_000)
    assert found["quality"] is None
    assert found["notes"][-1].startswith("Quality was not measured")


async def test_time_and_number_are_bounded(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_history, "PAGE", 2)
    logged(plane, 3, days_ago=9)
    logged(plane, 5)
    assert (await saved(plane))["served"] == 5
    assert (await saved(plane, query="?since=10d&until=8d"))["served"] == 3
    least = await saved(plane, query="?since=10d&limit=3")
    assert (least["requests"], least["served"]) == (8, 3)


async def test_the_managed_router_matches_nothing(plane: Plane) -> None:
    logged(plane, 1, router=MANAGED_ROUTER)
    found = await saved(plane, MANAGED_ROUTER)
    assert (found["matched"], found["fallback"], found["served"]) == (None, None, 1)


async def test_nothing_logged_is_no_error(plane: Plane) -> None:
    found = await saved(plane)
    assert (found["served"], found["groups"], found["compared"], found["saved"]["share"]) == (0, [], None, None)


@pytest.mark.parametrize(
    ("router", "query", "status", "code", "param"),
    [
        ("generl", "", 404, "router_not_found", None),
        ("general", "?since=soon", 400, "invalid_request", "since"),
        ("general", "?until=8d", 400, "invalid_request", "until"),
        ("general", "?limit=50001", 400, "invalid_request", "limit"),
        ("general", "?sinc=7d", 400, "unknown_field", "sinc"),
    ],
)
async def test_what_cannot_be_asked_is_told(
    plane: Plane, router: str, query: str, status: int, code: str, param: str | None
) -> None:
    answer = await plane.call("admin", "GET", f"{ROUTERS}/{router}/savings{query}")
    assert (answer.status_code, answer.json()["id"], answer.json().get("param")) == (status, code, param)


async def test_a_key_sees_no_savings(plane: Plane) -> None:
    answer = await plane.call("key", "GET", f"{ROUTERS}/general/savings")
    assert answer.status_code == 403
