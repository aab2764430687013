"""Answers of reference models over the control plane: asked for with a router, listed with their texts, judged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest

from headrace.domain.json_value import JsonObject
from headrace.domain.router import MANAGED_ROUTER
from headrace.domain.shadow import ShadowAnswer
from headrace.services.shadow_book import ShadowBook
from headrace.services.shadows import BLOB, DAY_MICROS, ShadowTexts, blob_owner
from tests.control_world import Plane, World, open_plane
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.routed import NOON, a_request, a_routing
from tests.fakes.shadows import MemoryShadows

pytestmark = pytest.mark.anyio

ROUTERS = "/v2/gen-ai/models/routers"
SHADOW: JsonObject = {"model": "acme/chat:large", "share": 0.05, "max_usd_per_day": "1.5"}
SUPPORT: JsonObject = {
    "name": "support",
    "policies": [{"task_slug": "bug-fixing", "models": ["tiny"]}],
    "fallback_models": ["tiny"],
    "shadow": SHADOW,
}
TEXTS = ShadowTexts("user: Hi", "Good day.", "Hello.")


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with open_plane(World()) as opened:
        yield opened


async def made(plane: Plane, **fields: Any) -> JsonObject:
    answer = await plane.call("admin", "POST", ROUTERS, {**SUPPORT, **fields})
    assert answer.status_code == 200, answer.text
    return cast("JsonObject", answer.json()["model_router"])


async def answered(plane: Plane, uuid: str, count: int) -> None:
    """Let the reference have answered so many requests; the last failed, the first has lost its texts."""
    blobs = plane.world.blobs
    assert blobs is not None
    for number in range(count):
        answer = ShadowAnswer(
            f"req_{number}", f"req_s{number}", uuid, "bug-fixing", "tiny", "large", NOON + number, 900
        )
        await plane.world.shadows.begin(answer, 0, 10**9)
        await plane.world.shadows.finish(answer.request_id, 70, "upstream_timeout" if number == count - 1 else None)
        if 0 < number < count - 1:
            await blobs.put(blob_owner(uuid), BLOB, answer.request_id, msgspec.json.encode(TEXTS), NOON * 2)


async def test_a_shadow_is_asked_for_with_the_router_and_shown(plane: Plane) -> None:
    router = await made(plane)
    assert router["shadow"] == SHADOW
    path = f"{ROUTERS}/{router['uuid']}"
    without = await plane.call("admin", "PUT", path, {**SUPPORT, "shadow": None})
    assert "shadow" not in without.json()["model_router"]


@pytest.mark.parametrize(
    ("shadow", "code", "param", "says"),
    [
        ("large", "invalid_request", "shadow", "must be an object"),
        ({}, "invalid_request", "shadow.max_usd_per_day", "is missing"),
        ({**SHADOW, "share": None}, "invalid_request", "shadow.share", "is missing"),
        ({**SHADOW, "model": ""}, "invalid_request", "shadow.model", "is missing"),
        ({**SHADOW, "model": 5}, "invalid_request", "shadow.model", "must be a string"),
        ({**SHADOW, "share": 0}, "invalid_request", "shadow.share", "over 0 and up to 1"),
        ({**SHADOW, "share": 1.5}, "invalid_request", "shadow.share", "over 0 and up to 1"),
        ({**SHADOW, "share": "half"}, "invalid_request", "shadow.share", "a number from 0 to 1"),
        ({**SHADOW, "max_usd_per_day": "much"}, "invalid_request", "shadow.max_usd_per_day", "US dollars"),
        ({**SHADOW, "model": "acme/chat:lage"}, "model_not_found", "shadow.model", 'Did you mean "acme/chat:large"?'),
        ({**SHADOW, "model": "router:general"}, "router_in_router", "shadow.model", "never to a router"),
        ({**SHADOW, "keep": 3}, "unknown_field", "shadow.keep", "is not known"),
    ],
)
async def test_what_is_no_shadow_is_refused(plane: Plane, shadow: Any, code: str, param: str, says: str) -> None:
    answer = await plane.call("admin", "POST", ROUTERS, {**SUPPORT, "shadow": shadow})
    assert (answer.status_code, answer.json()["id"], answer.json()["param"]) == (400, code, param)
    assert says in answer.json()["message"]


async def test_an_alias_that_a_shadow_names_stays(plane: Plane) -> None:
    await plane.call("admin", "PUT", "/v2/aliases/daily", {"points_to": "tiny"})
    await made(plane, shadow={**SHADOW, "model": "daily"})
    gone = await plane.call("admin", "DELETE", "/v2/aliases/daily")
    assert (gone.status_code, gone.json()["id"]) == (409, "alias_in_use")


async def test_pairs_are_listed_the_newest_first(plane: Plane) -> None:
    uuid = str((await made(plane))["uuid"])
    await answered(plane, uuid, 4)
    first = (await plane.call("admin", "GET", f"{ROUTERS}/support/shadows?limit=2")).json()
    assert [each["request_id"] for each in first["shadows"]] == ["req_3", "req_2"]
    assert (first["router"], first["next"]) == ("support", "req_2")
    failed, kept = first["shadows"]
    assert (failed["state"], failed["failure"], failed["texts"]) == ("failed", "upstream_timeout", None)
    assert kept == {
        "request_id": "req_2",
        "shadow_request_id": "req_s2",
        "route": "bug-fixing",
        "served_by": "tiny",
        "reference": "large",
        "made_at": "2026-11-24T12:00:00.000002Z",
        "reference_cost_usd": "0.000000070",
        "reference_cost_nano_usd": 70,
        "state": "kept",
        "failure": None,
        "verdict": None,
        "judge": None,
        "judged_at": None,
        "texts": {"asked": "user: Hi", "answer": "Good day.", "reference": "Hello."},
    }
    rest = (await plane.call("admin", "GET", f"{ROUTERS}/{uuid}/shadows?before=req_2")).json()
    assert [(each["request_id"], each["texts"] is None) for each in rest["shadows"]] == [
        ("req_1", False),
        ("req_0", True),
    ]
    assert rest["next"] is None
    waiting = (await plane.call("admin", "GET", f"{ROUTERS}/support/shadows?unjudged=true")).json()
    assert [each["request_id"] for each in waiting["shadows"]] == ["req_2", "req_1", "req_0"]


async def test_a_verdict_is_shown_and_counts_in_savings(plane: Plane) -> None:
    uuid = str((await made(plane))["uuid"])
    await answered(plane, uuid, 4)
    plane.world.decisions.requests.append(a_request("req_0", a_routing("bug-fixing")))
    before = (await plane.call("admin", "GET", f"{ROUTERS}/support/savings")).json()["savings"]
    assert before["quality"] is None
    for name, verdict in (("req_0", "worse"), ("req_1", "equal"), ("req_2", "equal")):
        body: JsonObject = {"verdict": verdict, "judge": "acme/chat:large"}
        answer = await plane.call("admin", "POST", f"/v2/requests/{name}/shadow", body)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["shadow"]["verdict"], answer.json()["shadow"]["judge"]) == (verdict, "acme/chat:large")
    assert (await plane.call("admin", "GET", f"{ROUTERS}/support/shadows?unjudged=true")).json()["shadows"] == []
    plane.world.clock.advance(1)
    after = (await plane.call("admin", "GET", f"{ROUTERS}/support/savings")).json()["savings"]
    quality = after["quality"]
    assert (quality["judged"], quality["better"], quality["equal"], quality["worse"]) == (3, 0, 2, 1)
    assert round(quality["mean"]["value"], 3) == -0.333
    assert after["notes"][-1].startswith("Quality: 3 judged beside the reference model's answers: 0 better, 2 equal")
    managed = (await plane.call("admin", "GET", f"{ROUTERS}/{MANAGED_ROUTER}/savings")).json()["savings"]
    assert managed["quality"] is None


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v2/requests/req_9/shadow", {"verdict": "equal", "judge": "me"}, 404, "shadow_not_found"),
        ("POST", "/v2/requests/req_1/shadow", {"verdict": "equal", "judge": "me"}, 409, "shadow_not_kept"),
        ("POST", "/v2/requests/req_0/shadow", {"verdict": "good", "judge": "me"}, 400, "invalid_request"),
        ("POST", "/v2/requests/req_0/shadow", {"verdict": "equal"}, 400, "invalid_request"),
        ("POST", "/v2/requests/req_0/shadow", {"verdict": "equal", "judge": "x" * 257}, 400, "invalid_request"),
        ("GET", f"{ROUTERS}/suport/shadows", None, 404, "router_not_found"),
        ("GET", f"{ROUTERS}/{MANAGED_ROUTER}/shadows", None, 404, "router_not_found"),
        ("GET", f"{ROUTERS}/support/shadows?limit=101", None, 400, "invalid_request"),
        ("GET", f"{ROUTERS}/support/shadows?unjudged=maybe", None, 400, "invalid_request"),
        ("GET", f"{ROUTERS}/support/shadows?before=req_9", None, 404, "shadow_not_found"),
        ("GET", f"{ROUTERS}/support/shadows?after=req_9", None, 400, "unknown_field"),
    ],
)
async def test_what_cannot_be_is_told(
    plane: Plane, method: str, path: str, body: JsonObject | None, status: int, code: str
) -> None:
    await answered(plane, str((await made(plane))["uuid"]), 2)
    answer = await plane.call("admin", method, path, body)
    assert (answer.status_code, answer.json()["id"]) == (status, code), answer.text


async def test_keys_neither_read_nor_judge(plane: Plane) -> None:
    await made(plane)
    for method, path in (("GET", f"{ROUTERS}/support/shadows"), ("POST", "/v2/requests/req_0/shadow")):
        assert (await plane.call("key", method, path)).status_code == 403


async def test_old_answers_are_swept(plane: Plane) -> None:
    slept: list[float] = []

    class Enough(Exception):
        """The test has seen enough."""

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        raise Enough

    store = MemoryShadows()
    book = ShadowBook(store, MemoryBlobs(plane.world.clock), plane.parts.door.snapshots, plane.world.clock, 30)
    for number, at in enumerate((NOON - 31 * DAY_MICROS, NOON - 29 * DAY_MICROS)):
        await store.begin(ShadowAnswer(f"req_{number}", "s", "u", None, "a", "b", at, 1), 0, 10)
    with pytest.raises(Enough):
        await book.sweep_for_ever(sleep)
    assert (list(store.answers), slept) == (["req_1"], [3_600.0])
