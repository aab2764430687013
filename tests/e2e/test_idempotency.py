"""Idempotency-Key on the real server: a repeat gets what the first request got, and nobody pays twice."""

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
from headrace.testing.openai_replies import chat_stream, error_reply
from headrace.testing.upstream import FakeUpstream
from headrace.testing.waiting import Gate
from tests.running import RunningHeadrace, eventually

CHAT = "/v1/chat/completions"
SECRET = "tailrace-nobody-may-read-this"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
STREAM: dict[str, Any] = {**BODY, "stream": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True)
class World:
    """A running installation and its provider."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: httpx2.AsyncClient

    async def ask(self, key: str, body: dict[str, Any] = BODY, path: str = CHAT) -> httpx2.Response:
        return await self.client.post(path, json=body, headers={"idempotency-key": key})


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def client_of(server: RunningHeadrace, token: str | None = None) -> httpx2.AsyncClient:
    headers = {"authorization": f"Bearer {token or server.api_key}"}
    return httpx2.AsyncClient(base_url=server.base_url, headers=headers, timeout=60, trust_env=False)


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RunningHeadrace, FakeUpstream]]:
    server = RunningHeadrace(tmp_path_factory.mktemp("repeat") / "home")
    async with FakeUpstream() as upstream:
        server.add_provider("fake", upstream.base_url, "m")
        await asyncio.to_thread(server.start)
        yield server, upstream
        await asyncio.to_thread(server.stop)


@pytest.fixture
async def world(home: tuple[RunningHeadrace, FakeUpstream]) -> AsyncIterator[World]:
    server, upstream = home
    upstream.follow(obedient_answer)
    async with client_of(server) as client:
        yield World(server, upstream, client)


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
async def test_a_repeat_gets_the_same_bytes_and_reaches_no_provider(world: World, body: dict[str, Any]) -> None:
    key = f"same-{body.get('stream')}"
    first = await world.ask(key, body)
    before = len(world.upstream.requests)
    second = await world.ask(key, body)
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["x-headrace-original-request-id"] == first.headers["x-request-id"]
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["x-headrace-model"] == "m"
    assert len(world.upstream.requests) == before


async def test_of_a_hundred_at_once_one_runs_and_the_rest_are_told(world: World) -> None:
    gate = Gate()
    world.upstream.follow(lambda request: obedient_answer(request).hold_headers(gate))
    before = len(world.upstream.requests)
    asking = [asyncio.create_task(world.ask("at-once")) for _ in range(100)]  # noqa: TID251 - awaited below
    done: set[asyncio.Task[httpx2.Response]] = set()
    while len(done) < 99:
        done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.01)
    gate.release()
    replies = await asyncio.gather(*asking)
    told = [each for each in replies if each.status_code == 409]
    assert len(told) == 99
    assert {each.json()["error"]["code"] for each in told} == {"idempotency_in_progress"}
    assert all(each.headers["retry-after"] == "1" for each in told)
    assert all(each.headers["x-should-retry"] == "false" for each in told)
    assert len(world.upstream.requests) == before + 1
    assert (await world.ask("at-once")).status_code == 200


async def test_another_body_is_refused_and_another_route_or_caller_is_another_request(world: World) -> None:
    await world.ask("shared")
    other = await world.ask("shared", {**BODY, "seed": 1})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_mismatch")
    before = len(world.upstream.requests)
    elsewhere = await world.ask("shared", BODY, "/v1/messages")
    assert elsewhere.headers.get("idempotency-replayed") is None
    async with client_of(world.server, world.server.admin_token) as admin:
        reply = await admin.post(CHAT, json=BODY, headers={"idempotency-key": "shared"})
    assert (reply.status_code, reply.headers.get("idempotency-replayed")) == (200, None)
    assert len(world.upstream.requests) > before


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
async def test_other_dialects_are_repeated_too(world: World, path: str) -> None:
    body: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": BODY["messages"]}
    if path == "/v1/responses":
        body = {"model": "m", "input": "hi"}
    first = await world.ask("dialect", body, path)
    second = await world.ask("dialect", body, path)
    assert (first.status_code, second.headers["idempotency-replayed"]) == (200, "true")
    assert second.json() == first.json()


@pytest.mark.parametrize("key", [b"", b"a b", b"k" * 256, "kéy".encode()])
async def test_a_bad_key_is_refused(world: World, key: bytes) -> None:
    reply = await world.client.post(CHAT, json=BODY, headers=[(b"idempotency-key", key)])
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_idempotency_key")


async def test_two_keys_are_refused(world: World) -> None:
    two = [("idempotency-key", "a"), ("idempotency-key", "b")]
    reply = await world.client.post(CHAT, json=BODY, headers=two)
    assert reply.json()["error"]["code"] == "invalid_idempotency_key"


async def test_a_failure_before_anything_was_sent_is_forgotten(world: World) -> None:
    world.upstream.follow(error_reply(400, "no"))
    assert (await world.ask("again")).status_code == 400
    world.upstream.follow(obedient_answer)
    second = await world.ask("again")
    assert (second.status_code, second.headers.get("idempotency-replayed")) == (200, None)
    unknown = await world.ask("unknown-model", {**BODY, "model": "nobody"})
    assert unknown.status_code == 404
    assert (await world.ask("unknown-model")).status_code == 200


async def broken_stream(world: World, key: str) -> bytes:
    """Return what came of a stream that broke off."""
    taken = bytearray()
    async with world.client.stream("POST", CHAT, json=STREAM, headers={"idempotency-key": key}) as reply:
        with pytest.raises(httpx2.RemoteProtocolError):
            await gather(reply, taken)
    return bytes(taken)


async def gather(reply: httpx2.Response, taken: bytearray) -> None:
    async for block in reply.aiter_raw():
        taken += block


async def test_a_partial_answer_is_repeated_as_what_it_is(world: World) -> None:
    world.upstream.follow(chat_stream("one two three four five six").cut(900))
    seen = [await broken_stream(world, "part"), await broken_stream(world, "part")]
    first, second = (each.split(b'"request_id"')[0] for each in seen)
    assert first == second
    assert b"upstream_truncated" in first
    assert b"[DONE]" not in seen[1]


async def test_a_caller_who_leaves_finds_the_outcome(world: World) -> None:
    gate = Gate()
    world.upstream.follow(lambda request: obedient_answer(request).hold(gate, before_frame=3))
    async with world.client.stream("POST", CHAT, json=STREAM, headers={"idempotency-key": "left"}) as reply:
        request_id = reply.headers["x-request-id"]
        await anext(reply.aiter_raw())
    running = await world.ask("left", STREAM)
    assert (running.status_code, running.json()["error"]["original_request_id"]) == (409, request_id)
    gate.release()
    await asyncio.to_thread(eventually, lambda: world.server.count("hold") == 0, "the turn ends")
    found = await world.ask("left", STREAM)
    assert (found.status_code, found.headers["x-headrace-original-request-id"]) == (200, request_id)
    assert found.content.endswith(b"data: [DONE]\n\n")
    receipt = await asyncio.to_thread(world.server.receipt, request_id)
    assert receipt["attempts"][0]["ending"] == "complete"


async def test_what_is_kept_is_sealed_and_bound_to_its_place(world: World) -> None:
    world.upstream.follow(chat_stream(SECRET))
    assert SECRET in (await world.ask(SECRET, STREAM)).text
    file = Path(world.server.home) / "headrace.db"
    assert SECRET.encode() not in file.read_bytes() + file.with_name("headrace.db-wal").read_bytes()
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as store:
        rows = store.execute("SELECT state, sealed IS NOT NULL, expires_at_micros > 0 FROM outcome").fetchall()
    assert ("stored", 1, 1) in rows


async def test_a_death_in_between_is_told_and_nothing_runs_twice(tmp_path: Path) -> None:
    gate = Gate()
    server = RunningHeadrace(tmp_path / "home")
    async with FakeUpstream(lambda request: obedient_answer(request).hold(gate, before_frame=3)) as upstream:
        server.add_provider("fake", upstream.base_url, "m")
        await asyncio.to_thread(server.start)
        request_id = await killed_in_between(server)
        gate.release()
        await asyncio.to_thread(server.start)
        async with client_of(server) as client:
            lost = await client.post(CHAT, json=STREAM, headers={"idempotency-key": "dies"})
        receipt = await asyncio.to_thread(server.receipt, request_id)
        assert await asyncio.to_thread(server.stop) == 0
        assert len(upstream.requests) == 1
    error = lost.json()["error"]
    assert (lost.status_code, error["code"]) == (409, "idempotency_outcome_lost")
    assert (lost.headers["x-should-retry"], error["original_request_id"]) == ("false", request_id)
    assert receipt["attempts"][0]["ending"] == "recovered"


async def rest_of(blocks: AsyncIterator[bytes]) -> None:
    async for _ in blocks:
        continue


async def killed_in_between(server: RunningHeadrace) -> str:
    """Ask for a stream, kill the server after the first bytes; returns the request's id."""
    async with client_of(server) as client:
        asking = client.stream("POST", CHAT, json=STREAM, headers={"idempotency-key": "dies"})
        async with asking as reply:
            blocks = reply.aiter_raw()
            await anext(blocks)
            server.kill()
            with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
                await rest_of(blocks)
    return reply.headers["x-request-id"]


async def test_switched_off_a_key_is_refused(tmp_path: Path) -> None:
    server = RunningHeadrace(tmp_path / "home", arguments=("--no-idempotency",))
    await asyncio.to_thread(server.start)
    async with client_of(server) as client:
        reply = await client.post(CHAT, json=BODY, headers={"idempotency-key": "k"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "idempotency_disabled")
    assert await asyncio.to_thread(server.stop) == 0
