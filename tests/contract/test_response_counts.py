"""What callers of the Responses dialect get from routes that answer nothing: counts of tokens, and a refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from headrace.http.control.app import control_app
from tests.control_world import SHA, World, client_of

pytestmark = pytest.mark.anyio
COUNT = "/v1/responses/input_tokens"
PROMPT: dict[str, Any] = {"model": "acme/chat:large", "input": "Say hello."}


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    world = World()
    world.weights.here.add(SHA)
    async with client_of(control_app(await world.build())) as client:
        client.headers.update(world.bearer("key"))
        yield client


async def counted(client: httpx2.AsyncClient, **fields: Any) -> int:
    answer = await client.post(COUNT, json={**PROMPT, **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body == {"object": "response.input_tokens", "input_tokens": body["input_tokens"], "estimated": True}
    return int(body["input_tokens"])


async def test_tokens_are_estimated_of_what_a_model_reads(client: httpx2.AsyncClient) -> None:
    few = await counted(client)
    assert 5 <= few <= 30
    assert await counted(client, instructions="x" * 4000) - few in range(1000, 1010)
    assert await counted(client, tools=[{"type": "function", "name": "f", "description": "x" * 4000}]) - few > 1000
    assert await counted(client, metadata={"a": "x" * 4000}, reasoning={"effort": "low"}) == few
    assert await counted(client, model=None) == few


async def test_a_conversation_that_is_kept_counts_too(client: httpx2.AsyncClient) -> None:
    assert await counted(client, previous_response_id="resp_own") >= await counted(client)
    unknown = await client.post(COUNT, json={**PROMPT, "previous_response_id": "resp_of_nobody"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "previous_response_not_found")


async def test_a_large_prompt_is_counted_in_the_pool(client: httpx2.AsyncClient) -> None:
    assert await counted(client, input="x" * 400_000) > 100_000


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "acme/chat:nobody"}, 404, "model"),
        ({"model": 5}, 400, "model"),
        ({"input": []}, 400, "input"),
        ({"instructions": 5}, 400, "instructions"),
        ({"background": True}, 400, "background"),
    ],
)
async def test_a_count_of_what_could_not_be_asked_is_refused(
    client: httpx2.AsyncClient, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = await client.post(COUNT, json={**PROMPT, **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


async def test_compaction_is_refused_and_says_what_to_do(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/responses/compact", json=PROMPT)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "compaction_unsupported")
    assert "previous_response_id" in error["message"]
