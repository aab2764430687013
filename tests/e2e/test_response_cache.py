"""The cache of a key on the real server: the same request again reaches nobody and costs nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import error_reply
from headrace.testing.upstream import FakeUpstream
from headrace.wire.json_strict import decode_trusted
from headrace.wire.sse import FrameSplitter, frame_data
from tests.running import RunningHeadrace

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
KEYS = "/v2/gen-ai/models/api_keys"
WORD = "millrace-nobody-may-read-this"
SAID: list[dict[str, Any]] = [{"role": "user", "content": f"hi {WORD}"}]
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": SAID},
    MESSAGES: {"model": "m", "messages": SAID, "max_tokens": 16},
    RESPONSES: {"model": "m", "input": f"hi {WORD}", "store": False},
}


@dataclass(frozen=True)
class World:
    """A running installation, its provider, and a key that has a cache."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: httpx2.AsyncClient
    key: dict[str, Any]

    async def ask(self, path: str = CHAT, **more: Any) -> httpx2.Response:
        headers: dict[str, str] = more.pop("headers", {})
        return await self.client.post(path, json={**BODIES[path], **more}, headers=headers)

    async def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.server.admin_token}"}
        return await self.client.request(method, path, json=body, headers=headers)

    async def spent(self) -> int:
        found = (await self.admin("GET", "/v2/requests?limit=100")).json()["requests"]
        return sum(each["charge_nano_usd"] for each in found)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RunningHeadrace, FakeUpstream]]:
    server = RunningHeadrace(tmp_path_factory.mktemp("cache") / "home")
    async with FakeUpstream() as upstream:
        server.add_provider("fake", upstream.base_url, "m", "n")
        await asyncio.to_thread(server.start)
        yield server, upstream
        await asyncio.to_thread(server.stop)


@pytest.fixture
async def world(home: tuple[RunningHeadrace, FakeUpstream]) -> AsyncIterator[World]:
    server, upstream = home
    upstream.follow(obedient_answer)
    async with httpx2.AsyncClient(base_url=server.base_url, timeout=60, trust_env=False) as client:
        body = {"name": "cached", "response_cache": {"ttl_seconds": 600}}
        admin = {"authorization": f"Bearer {server.admin_token}"}
        key = (await client.post(KEYS, json=body, headers=admin)).json()["api_key_info"]
        client.headers["authorization"] = f"Bearer {key['secret_key']}"
        yield World(server, upstream, client, key)


def events(answer: httpx2.Response) -> list[Any]:
    data = [frame_data(frame) for frame in FrameSplitter().feed(answer.content)]
    return [each if each == b"[DONE]" else decode_trusted(each) for each in data if each is not None]


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
async def test_a_whole_reply_comes_again_for_nothing(world: World, path: str) -> None:
    first = await world.ask(path)
    calls, spent = len(world.upstream.requests), await world.spent()
    second = await world.ask(path)
    assert (first.status_code, second.status_code) == (200, 200)
    assert (first.headers["x-headrace-cache"], second.headers["x-headrace-cache"]) == ("miss", "hit")
    assert second.headers["x-headrace-cache-source"] == first.headers["x-request-id"]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert (second.headers["x-headrace-cost-nano-usd"], second.headers["x-headrace-attempts"]) == ("0", "0")
    assert int(first.headers["x-headrace-cost-nano-usd"]) > 0
    if path == RESPONSES:
        assert second.json() == {**first.json(), "id": f"resp_{second.headers['x-request-id'].removeprefix('req_')}"}
        assert second.json()["store"] is False
    else:
        assert second.content == first.content
    assert (len(world.upstream.requests), await world.spent()) == (calls, spent)
    assert (await world.client.get(f"/v2/requests/{first.headers['x-request-id']}")).status_code == 200
    assert (await world.client.get(f"/v2/requests/{second.headers['x-request-id']}")).status_code == 404


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
async def test_a_stream_comes_again_with_the_same_events(world: World, path: str) -> None:
    more: dict[str, Any] = {"stream": True}
    if path == CHAT:
        more["stream_options"] = {"include_usage": True}
    first = await world.ask(path, **more)
    calls = len(world.upstream.requests)
    second = await world.ask(path, **more)
    assert len(world.upstream.requests) == calls
    assert (first.headers["x-headrace-cache"], second.headers["x-headrace-cache"]) == ("miss", "hit")
    before, after = events(first), events(second)
    assert len(before) == len(after)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    told = [
        found
        for found in (new.get("headrace") or new.get("response", {}).get("headrace") for _, new in changed)
        if found
    ]
    [money] = told
    assert money == {
        "request_id": second.headers["x-request-id"],
        "model": "m",
        "attempts": 0,
        "cost_usd": "0.000000000",
        "cost_nano_usd": 0,
    }
    if path == RESPONSES:
        ids = {new["response"]["id"] for _, new in changed}
        assert ids == {f"resp_{second.headers['x-request-id'].removeprefix('req_')}"}
    else:
        assert len(changed) == 1


async def test_a_response_that_is_to_be_stored_passes_by(world: World) -> None:
    for _ in range(2):
        assert (await world.ask(RESPONSES, store=True)).headers["x-headrace-cache"] == "bypass"


async def test_a_key_sees_its_own_replies_only_and_others_have_no_cache(world: World) -> None:
    await world.ask()
    other = await world.admin("POST", KEYS, {"name": "other", "response_cache": {"ttl_seconds": 60}})
    secret = other.json()["api_key_info"]["secret_key"]
    answer = await world.ask(headers={"authorization": f"Bearer {secret}"})
    assert answer.headers["x-headrace-cache"] == "miss"
    plain = await world.ask(headers={"authorization": f"Bearer {world.server.api_key}"})
    assert "x-headrace-cache" not in plain.headers


async def test_an_alias_that_was_pointed_elsewhere_serves_the_new_model(world: World) -> None:
    await world.admin("PUT", "/v2/aliases/daily", {"points_to": "m"})
    assert (await world.ask(model="daily")).headers["x-headrace-cache"] == "miss"
    assert (await world.ask(model="daily")).headers["x-headrace-cache"] == "hit"
    await world.admin("PUT", "/v2/aliases/daily", {"points_to": "n"})
    moved = await world.ask(model="daily")
    assert (moved.headers["x-headrace-cache"], moved.headers["x-headrace-model"]) == ("miss", "n")


async def test_the_caller_may_ask_for_a_fresh_one_and_the_operator_may_end_it(world: World) -> None:
    first = await world.ask()
    fresh = await world.ask(headers={"cache-control": "no-cache"})
    assert fresh.headers["x-headrace-cache"] == "miss"
    hit = await world.ask()
    assert hit.headers["x-headrace-cache-source"] == fresh.headers["x-request-id"] != first.headers["x-request-id"]
    assert (await world.ask(headers={"cache-control": "no-store"})).headers["x-headrace-cache"] == "bypass"
    await world.admin("PUT", f"{KEYS}/{world.key['uuid']}", {"response_cache": None})
    assert "x-headrace-cache" not in (await world.ask()).headers
    await world.admin("DELETE", f"{KEYS}/{world.key['uuid']}")
    assert (await world.ask()).status_code == 401


async def test_a_repeated_key_replays_what_the_cache_said(world: World) -> None:
    await world.ask()
    first = await world.ask(headers={"idempotency-key": f"k-{world.key['uuid']}"})
    second = await world.ask(headers={"idempotency-key": f"k-{world.key['uuid']}"})
    assert first.headers["x-headrace-cache"] == second.headers["x-headrace-cache"] == "hit"
    assert (second.headers["idempotency-replayed"], second.content) == ("true", first.content)


async def test_a_failure_is_asked_again(world: World) -> None:
    world.upstream.follow(lambda request: error_reply(500))
    assert (await world.ask()).status_code == 502
    world.upstream.follow(obedient_answer)
    assert (await world.ask()).headers["x-headrace-cache"] == "miss"


async def test_what_is_kept_cannot_be_read_in_the_store(world: World) -> None:
    await world.ask()
    with closing(sqlite3.connect(f"file:{world.server.home / 'headrace.db'}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT id, sealed FROM blob WHERE kind = 'reply'").fetchall()
    assert rows
    assert all(WORD.encode() not in sealed and b"choices" not in sealed for _, sealed in rows)


async def test_switched_off_no_key_has_a_cache(tmp_path: Path) -> None:
    server = RunningHeadrace(tmp_path / "home", arguments=("--no-response-cache",))
    async with FakeUpstream() as upstream:
        server.add_provider("fake", upstream.base_url, "m")
        await asyncio.to_thread(server.start)
        async with httpx2.AsyncClient(base_url=server.base_url, timeout=60, trust_env=False) as client:
            body = {"name": "cached", "response_cache": {"ttl_seconds": 600}}
            admin = {"authorization": f"Bearer {server.admin_token}"}
            key = (await client.post(KEYS, json=body, headers=admin)).json()["api_key_info"]["secret_key"]
            answers = [
                await client.post(CHAT, json=BODIES[CHAT], headers={"authorization": f"Bearer {key}"}) for _ in range(2)
            ]
        await asyncio.to_thread(server.stop)
        assert ["x-headrace-cache" in each.headers for each in answers] == [False, False]
        assert len(upstream.requests) == 2
