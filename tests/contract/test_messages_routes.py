"""What callers of Anthropic's dialect get from routes that are no conversation: token counts, models, errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from headrace.http.control.app import control_app
from tests.control_world import SHA, World, client_of

pytestmark = pytest.mark.anyio
VERSION = {"anthropic-version": "2023-06-01"}
COUNT = "/v1/messages/count_tokens"
PROMPT: dict[str, Any] = {"model": "acme/chat:large", "messages": [{"role": "user", "content": "Say hello."}]}


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    world = World()
    world.weights.here.add(SHA)
    async with client_of(control_app(await world.build())) as client:
        client.headers.update(world.bearer("key"))
        yield client


async def test_tokens_are_estimated(client: httpx2.AsyncClient) -> None:
    answer = await client.post(COUNT, json=PROMPT)
    assert answer.status_code == 200
    few = answer.json()["input_tokens"]
    assert answer.json() == {"input_tokens": few, "estimated": True} and 8 <= few <= 30
    more = await client.post(COUNT, json={**PROMPT, "system": "x" * 4000})
    assert more.json()["input_tokens"] - few in range(1000, 1010)


async def test_a_count_of_no_prompt_or_of_no_model_is_refused_in_anthropics_shape(client: httpx2.AsyncClient) -> None:
    wrong = await client.post(COUNT, json={**PROMPT, "messages": []})
    assert wrong.status_code == 400
    assert wrong.json()["type"] == "error"
    assert (wrong.json()["error"]["type"], wrong.json()["error"]["param"]) == ("invalid_request_error", "messages")
    unknown = await client.post(COUNT, json={**PROMPT, "model": "acme/chat:nobody"})
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "not_found_error")
    assert unknown.json()["request_id"] == unknown.headers["request-id"]


async def test_the_version_header_chooses_the_shape(client: httpx2.AsyncClient) -> None:
    theirs = (await client.get("/v1/models", headers=VERSION, params={"limit": 1})).json()
    assert set(theirs) == {"data", "has_more", "first_id", "last_id"}
    assert [(each["id"], each["type"]) for each in theirs["data"]] == [("tiny", "model")]
    ours = (await client.get("/v1/models")).json()
    assert ours["object"] == "list"
    one = (await client.get("/v1/models/acme/chat:large", headers=VERSION)).json()
    assert (one["id"], one["type"]) == ("acme/chat:large", "model")
    for path, headers, kind in (("/v1/nothing", VERSION, "error"), ("/v1/messages/nothing", {}, "error")):
        lost = await client.get(path, headers=headers)
        assert (lost.status_code, lost.json()["type"]) == (404, kind)
    assert "type" not in (await client.get("/v1/nothing")).json()
    assert (await client.get("/v2/nothing", headers=VERSION)).json()["id"] == "route_not_found"
