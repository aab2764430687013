"""What a deployment's own endpoint has beside the hot routes: kept responses, counts of tokens, and nothing else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from headrace.domain.json_value import JsonObject
from headrace.http.openapi import description
from tests.control_world import KEPT_RESPONSE, NOON_MICROS, SHA, Plane, World, open_plane
from tests.fakes.deployed import deployment_body
from tools.openapi_document import route_table

pytestmark = pytest.mark.anyio
PROMPT: JsonObject = {"messages": [{"role": "user", "content": "How long is this?"}], "max_tokens": 9}


@dataclass
class Own:
    """A deployment with its first token."""

    plane: Plane
    id: str
    token: str

    async def call(self, method: str, path: str, body: JsonObject | None = None, **headers: str) -> httpx2.Response:
        """Ask below the own endpoint with the deployment's token."""
        return await self.anywhere(method, f"/dedicated/{self.id}{path}", body, **headers)

    async def anywhere(self, method: str, path: str, body: JsonObject | None = None, **headers: str) -> httpx2.Response:
        known = {"authorization": f"Bearer {self.token}", **headers}
        return await self.plane.client.request(method, path, headers=known, json=body)


@pytest.fixture
async def own() -> AsyncIterator[Own]:
    world = World(given={"ACME_API_KEY": "k"})
    world.weights.here.add(SHA)
    async with open_plane(world) as plane:
        made: dict[str, Any] = (await plane.call("admin", "POST", "/v2/dedicated-inferences", deployment_body())).json()
        yield Own(plane, made["dedicated_inference"]["id"], made["token"]["value"])


@pytest.mark.parametrize("model", [None, "prod", "tiny"])
async def test_prompts_are_counted_for_whatever_name_the_deployment_is_called_by(own: Own, model: str | None) -> None:
    named: JsonObject = {} if model is None else {"model": model}
    counted = await own.call("POST", "/v1/messages/count_tokens", {**PROMPT, **named})
    assert (counted.status_code, counted.json()["estimated"]) == (200, True), counted.text
    counted = await own.call("POST", "/v1/responses/input_tokens", {"input": "How long is this?", **named})
    assert (counted.status_code, counted.json()["object"]) == (200, "response.input_tokens"), counted.text


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/responses/input_tokens"])
async def test_another_model_is_not_counted_for(own: Own, path: str) -> None:
    refused = await own.call("POST", path, {**PROMPT, "input": "x", "model": "acme/chat:large"})
    assert (refused.status_code, refused.json()["error"]["message"].split(" only,")[0]) == (
        404,
        'This endpoint is that of the deployment "prod"',
    )


async def test_kept_responses_are_read_and_forgotten_by_the_token_that_made_them(own: Own) -> None:
    key = next(each for each in own.plane.parts.door.snapshots.current().keys.values() if each.deployment == own.id)
    content = KEPT_RESPONSE.replace(b"resp_own", b"resp_1")
    blobs = own.plane.world.blobs
    assert blobs is not None
    blobs.kept[key.public_id, "response", "resp_1"] = (content, NOON_MICROS + 1_000_000)
    shown = await own.call("GET", "/v1/responses/resp_1")
    assert (shown.status_code, shown.json()["id"]) == (200, "resp_1"), shown.text
    assert (await own.call("GET", "/v1/responses/resp_1/input_items")).json()["object"] == "list"
    assert (await own.call("POST", "/v1/responses/resp_1/cancel")).json()["error"]["code"] == "response_not_cancellable"
    assert (await own.call("POST", "/v1/responses/compact")).json()["error"]["code"] == "compaction_unsupported"
    assert (await own.call("DELETE", "/v1/responses/resp_1")).json()["deleted"] is True
    assert (await own.call("GET", "/v1/responses/resp_1")).json()["error"]["code"] == "response_not_found"


@pytest.mark.parametrize("path", ["/v1/responses/resp_own", "/v1/responses/resp_own/input_items"])
async def test_what_others_keep_and_other_deployments_are_not_reached(own: Own, path: str) -> None:
    assert (await own.call("GET", path)).json()["error"]["code"] == "response_not_found"
    other = await own.anywhere("GET", f"/dedicated/dep_9{path}")
    assert (other.status_code, other.json()["error"]["code"]) == (403, "model_forbidden")
    anonymous = await own.plane.client.get(f"/dedicated/{own.id}{path}")
    assert anonymous.status_code == 401


@pytest.mark.parametrize("path", ["/v1/rerank", "/v1/images/generations", "/v2/me", "/v1/routing/decisions"])
async def test_nothing_else_is_served_there(own: Own, path: str) -> None:
    refused = await own.call("POST", path, {})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "route_not_found")


def test_the_description_says_that_tokens_of_other_deployments_are_refused() -> None:
    paths: dict[str, Any] = json.loads(json.dumps(description(route_table())))["paths"]
    below = {path: item for path, item in paths.items() if path.startswith("/dedicated/{deployment}/v1/")}
    assert "/dedicated/{deployment}/v1/responses/{id}" in below
    assert all({"403", "404"} <= set(each["responses"]) for item in below.values() for each in item.values())
