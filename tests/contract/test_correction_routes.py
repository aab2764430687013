"""Corrected routes over the control plane: in force before the answer, counted, taken back, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from headrace.domain.json_value import JsonObject
from headrace.domain.router import MANAGED_ROUTER
from headrace.services import corrections
from tests.control_world import Plane, World, open_plane
from tests.fakes.routed import FEATURES, NOON, a_request, a_routing

pytestmark = pytest.mark.anyio

ROUTERS = "/v2/gen-ai/models/routers"
SUPPORT: JsonObject = {
    "name": "support",
    "policies": [
        {"custom_task": {"name": "refund", "description": "Customer wants money back."}, "models": ["tiny"]},
        {"task_slug": "bug-fixing", "models": ["tiny"]},
    ],
    "fallback_models": ["tiny"],
}


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with open_plane(World()) as opened:
        made = await opened.call("admin", "POST", ROUTERS, SUPPORT)
        assert made.status_code == 200, made.text
        opened.world.decisions.requests += [
            a_request("req_1", a_routing("bug-fixing")),
            a_request("req_2", a_routing(None, features=b"\1" * 768)),
            a_request("req_preset", a_routing("summarization", router="general")),
            a_request("req_managed", a_routing(None, router=MANAGED_ROUTER, basis="managed")),
            a_request("req_gone", a_routing("refund", router="suport")),
            a_request("req_silent", a_routing(None, features=b"", basis="no_text")),
            a_request("req_tool", a_routing("refund", features=b"", basis="tool_loop")),
            a_request("req_unread", a_routing(None, features=b"", basis="unread")),
        ]
        yield opened


def path_of(request_id: str) -> str:
    return f"/v2/requests/{request_id}/route"


async def test_a_correction_is_an_example_before_the_answer(plane: Plane) -> None:
    snapshots = plane.parts.door.snapshots
    before = snapshots.current().task_sets["support"]
    answer = await plane.call("admin", "POST", path_of("req_1"), {"route": "refund"})
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "correction": {
                "request_id": "req_1",
                "router": "support",
                "decided": "bug-fixing",
                "route": "refund",
                "corrected_at": "2026-11-24T12:00:00.000000Z",
            }
        },
    )
    after = snapshots.current().task_sets["support"]
    assert (before.corrections, after.corrections) == ((), (("refund", FEATURES),))
    assert before.digest != after.digest


async def test_a_router_shows_how_many_corrections_each_task_has(plane: Plane) -> None:
    listed = (await plane.call("admin", "GET", ROUTERS)).json()["model_routers"][0]
    one = f"{ROUTERS}/{listed['uuid']}"
    assert "corrections" not in listed
    tag = (await plane.call("admin", "GET", one)).headers["etag"]
    for request_id, route in (("req_1", "refund"), ("req_2", "refund"), ("req_1", "bug-fixing")):
        await plane.call("admin", "POST", path_of(request_id), {"route": route})
    shown = await plane.call("admin", "GET", one)
    assert shown.json()["model_router"]["corrections"] == {"bug-fixing": 1, "refund": 1}
    assert shown.headers["etag"] != tag
    assert (await plane.call("admin", "GET", ROUTERS)).json()["model_routers"][0]["corrections"] == {
        "bug-fixing": 1,
        "refund": 1,
    }


async def test_a_router_of_the_catalog_is_corrected_too(plane: Plane) -> None:
    answer = await plane.call("admin", "POST", path_of("req_preset"), {"route": "summarization"})
    assert answer.status_code == 200, answer.text
    assert plane.parts.door.snapshots.current().task_sets["general"].corrections == (("summarization", FEATURES),)
    [preset] = (await plane.call("admin", "GET", f"{ROUTERS}/presets")).json()["presets"]
    assert preset["corrections"] == {"summarization": 1}


async def test_a_correction_is_taken_back(plane: Plane) -> None:
    await plane.call("admin", "POST", path_of("req_1"), {"route": "refund"})
    answer = await plane.call("admin", "DELETE", path_of("req_1"))
    assert (answer.status_code, answer.json()) == (200, {"request_id": "req_1"})
    assert plane.parts.door.snapshots.current().task_sets["support"].corrections == ()
    again = await plane.call("admin", "DELETE", path_of("req_1"))
    assert (again.status_code, again.json()["id"]) == (404, "correction_not_found")
    assert 'request "req_1" is not corrected' in again.json()["message"]


async def test_a_correction_outlives_the_decision_and_dies_with_its_router(plane: Plane) -> None:
    await plane.call("admin", "POST", path_of("req_1"), {"route": "refund"})
    await plane.world.decisions.sweep(NOON + 1)
    assert (await plane.call("admin", "POST", path_of("req_1"), {"route": "refund"})).status_code == 404
    assert len(plane.parts.door.snapshots.current().task_sets["support"].corrections) == 1
    uuid = (await plane.call("admin", "GET", ROUTERS)).json()["model_routers"][0]["uuid"]
    await plane.call("admin", "DELETE", f"{ROUTERS}/{uuid}")
    assert plane.world.routers.corrected == {}


@pytest.mark.parametrize(
    ("request_id", "route", "status", "code", "says"),
    [
        ("req_none", "refund", 404, "decision_not_found", 'kept for a request "req_none"'),
        ("req_managed", "refund", 400, "invalid_request", "inference-router decided"),
        ("req_gone", "refund", 404, "router_not_found", 'Did you mean "support"?'),
        ("req_1", "refnd", 400, "task_not_found", 'Did you mean "refund"?'),
        ("req_1", "poetry", 400, "task_not_found", "It has: refund, bug-fixing."),
        ("req_silent", "refund", 409, "features_not_kept", "its last message has no text"),
        ("req_tool", "refund", 409, "features_not_kept", "it went on with the turn before"),
        ("req_unread", "refund", 409, "features_not_kept", "could not be read"),
        ("req_1", None, 400, "invalid_request", "send the slug of the right task"),
    ],
)
async def test_what_cannot_be_corrected_is_told(
    plane: Plane, request_id: str, route: str | None, status: int, code: str, says: str
) -> None:
    answer = await plane.call("admin", "POST", path_of(request_id), {"route": route})
    assert (answer.status_code, answer.json()["id"]) == (status, code)
    assert says in answer.json()["message"]
    assert plane.world.routers.corrected == {}


async def test_only_so_many_corrections_are_kept_of_a_router(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "MAX_CORRECTIONS", 1)
    assert (await plane.call("admin", "POST", path_of("req_1"), {"route": "refund"})).status_code == 200
    refused = await plane.call("admin", "POST", path_of("req_2"), {"route": "refund"})
    assert (refused.status_code, refused.json()["id"]) == (409, "too_many_corrections")
    assert (await plane.call("admin", "POST", path_of("req_1"), {"route": "bug-fixing"})).status_code == 200
    assert (await plane.call("admin", "POST", path_of("req_preset"), {"route": "summarization"})).status_code == 200


async def test_a_key_corrects_nothing(plane: Plane) -> None:
    for method in ("POST", "DELETE"):
        answer = await plane.call("key", method, path_of("req_1"), {"route": "refund"})
        assert (answer.status_code, answer.json()["id"]) == (403, "admin_required")
