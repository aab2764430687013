"""Replies of replays, savings, shadows and corrections, filled, against their published shapes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from headrace.domain.shadow import ShadowAnswer, Verdict
from headrace.services.shadows import BLOB, ShadowTexts, blob_owner
from tests.contract.test_openapi import DOCUMENT, closed_shape
from tests.control_world import SHA, Plane, World, open_plane
from tests.fakes.routed import NOON, a_request, a_routing, a_target

pytestmark = pytest.mark.anyio

ROUTERS = "/v2/gen-ai/models/routers"
SUPPORT: dict[str, Any] = {
    "name": "support",
    "policies": [{"task_slug": "bug-fixing", "models": ["tiny"]}],
    "fallback_models": ["tiny"],
    "shadow": {"model": "acme/chat:large", "share": 0.5, "max_usd_per_day": "1"},
}


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    world = World(given={"ACME_API_KEY": "sk-acme"})
    world.weights.here.add(SHA)
    async with open_plane(world) as opened:
        made = await opened.call("admin", "POST", ROUTERS, SUPPORT)
        uuid = made.json()["model_router"]["uuid"]
        decision = a_routing(
            "bug-fixing", a_target("tiny", 1, 500), a_target("large", 2, 9_000), features=b"bug-fixing"
        )
        world.decisions.requests.append(a_request("req_1", decision))
        answer = ShadowAnswer("req_1", "req_s", uuid, "bug-fixing", "tiny", "large", NOON, 900)
        await world.shadows.begin(answer, 0, 10**9)
        await world.shadows.finish("req_1", 70, None)
        await world.shadows.judge("req_1", Verdict.EQUAL, "judge", NOON)
        assert world.blobs is not None
        texts = msgspec.json.encode(ShadowTexts("user: Hi", "Good day.", "Hello."))
        await world.blobs.put(blob_owner(uuid), BLOB, "req_1", texts, NOON * 2)
        yield opened


@pytest.mark.parametrize(
    ("method", "path", "body", "filled"),
    [
        ("POST", f"{ROUTERS}/{{uuid}}/replay", {}, ("replay", "moves")),
        ("GET", f"{ROUTERS}/{{uuid}}/savings", None, ("savings", "quality")),
        ("GET", f"{ROUTERS}/{{uuid}}/shadows", None, ("shadows",)),
        ("POST", "/v2/requests/{id}/shadow", {"verdict": "worse", "judge": "me"}, ("shadow", "verdict")),
        ("POST", "/v2/requests/{id}/route", {"route": "bug-fixing"}, ("correction", "route")),
        ("DELETE", "/v2/requests/{id}/route", None, ("request_id",)),
        ("GET", f"{ROUTERS}/{{uuid}}", None, ("model_router", "shadow")),
    ],
)
async def test_a_filled_reply_is_as_described(
    plane: Plane, method: str, path: str, body: dict[str, Any] | None, filled: tuple[str, ...]
) -> None:
    if method == "DELETE":
        await plane.call("admin", "POST", "/v2/requests/req_1/route", {"route": "bug-fixing"})
    uuid = (await plane.call("admin", "GET", ROUTERS)).json()["model_routers"][0]["uuid"]
    reply = await plane.call("admin", method, path.format(uuid=uuid, id="req_1"), body)
    assert reply.status_code == 200, reply.text
    found = reply.json()
    for name in filled:
        found = found[name]
    assert found, f"{filled} is empty, so nothing is compared"
    content = DOCUMENT["paths"][path][method.lower()]["responses"]["200"]["content"]["application/json"]
    validator: Any = closed_shape(content["schema"])
    assert [each.message for each in validator.iter_errors(reply.json())] == []
