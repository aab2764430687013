"""Rate limits on the real server: what reaches the provider, what callers are told, what comes back when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import Chat, chat_reply, error_reply
from headrace.testing.upstream import FakeUpstream
from headrace.testing.waiting import Gate
from tests.running import RunningHeadrace, eventually, headrace

CHAT = "/v1/chat/completions"
KEYS = "/v2/gen-ai/models/api_keys"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}
STREAM: dict[str, Any] = {**BODY, "stream": True}
ASKED: dict[str, dict[str, Any]] = {
    CHAT: BODY,
    "/v1/messages": BODY,
    "/v1/responses": {"model": "m", "input": "hi", "max_output_tokens": 50},
}


@dataclass(frozen=True)
class World:
    """A running installation, its provider, and the operator."""

    server: RunningHeadrace
    upstream: FakeUpstream
    admin: httpx2.AsyncClient

    async def limit(self, scope: str, **limits: int) -> None:
        reply = await self.admin.put(f"/v2/limits/{scope}", json=limits)
        assert reply.status_code in (200, 201), reply.text

    async def lift(self, scope: str) -> None:
        assert (await self.admin.delete(f"/v2/limits/{scope}")).status_code == 200

    async def caller(self, **limits: int) -> Caller:
        """Make a key with these limits."""
        made = (await self.admin.post(KEYS, json={"name": "limited"})).json()["api_key_info"]
        scope = f"key:{made['uuid']}"
        if limits:
            await self.limit(scope, **limits)
        return Caller(self, scope, made["secret_key"])

    async def refusals(self, scope: str, limit: str) -> float:
        """What the metrics count."""
        name = f'headrace_limits_refused_total{{limit="{limit}",scope="{scope}"}} '
        lines = (await self.admin.get("/metrics")).text.splitlines()
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


@dataclass(frozen=True)
class Caller:
    """A key and its scope."""

    world: World
    scope: str
    secret: str

    def client(self) -> httpx2.AsyncClient:
        return client_of(self.world.server, self.secret)

    async def ask(self, path: str = CHAT, body: dict[str, Any] | None = None) -> httpx2.Response:
        async with self.client() as client:
            return await client.post(path, json=ASKED[path] if body is None else body)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def client_of(server: RunningHeadrace, token: str) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=100, max_keepalive_connections=100)
    headers = {"authorization": f"Bearer {token}"}
    return httpx2.AsyncClient(base_url=server.base_url, headers=headers, timeout=60, trust_env=False, limits=limits)


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RunningHeadrace, FakeUpstream]]:
    server = RunningHeadrace(tmp_path_factory.mktemp("limits") / "home")
    async with FakeUpstream() as upstream:
        server.add_provider("fake", upstream.base_url, "m", "spare")
        server.add_provider("failing", upstream.base_url, "flaky")
        await asyncio.to_thread(server.start)
        yield server, upstream
        await asyncio.to_thread(server.stop)


@pytest.fixture
async def world(home: tuple[RunningHeadrace, FakeUpstream]) -> AsyncIterator[World]:
    server, upstream = home
    upstream.follow(obedient_answer)
    async with client_of(server, server.admin_token) as admin:
        yield World(server, upstream, admin)


async def test_fifty_at_once_reach_the_provider_five_at_a_time(world: World) -> None:
    caller, gate = await world.caller(concurrent_requests=5), Gate()
    world.upstream.follow(lambda request: obedient_answer(request).hold_headers(gate))
    before = len(world.upstream.requests)
    async with caller.client() as client:
        asking = [asyncio.create_task(client.post(CHAT, json=BODY)) for _ in range(50)]  # noqa: TID251 - awaited below
        done: set[asyncio.Task[httpx2.Response]] = set()
        left = set(asking)
        while len(done) < 45:
            more, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        await gate.reached(5)
        assert len(world.upstream.requests) == before + 5
        gate.release()
        replies = await asyncio.gather(*asking)
        assert sorted(each.status_code for each in replies) == [200] * 5 + [429] * 45
        again = await asyncio.gather(*(client.post(CHAT, json=BODY) for _ in range(5)))
    refused = next(each for each in replies if each.status_code == 429)
    error = refused.json()["error"]
    assert (error["code"], error["type"], error["scope"]) == ("rate_limit_exceeded", "rate_limit_error", caller.scope)
    assert (error["limit"], refused.headers["retry-after"]) == ("concurrent_requests", "1")
    assert [each.status_code for each in again] == [200] * 5
    assert await world.refusals("key", "concurrent_requests") == 45


@pytest.mark.parametrize("path", ASKED)
async def test_requests_per_minute_in_every_dialect(world: World, path: str) -> None:
    caller = await world.caller(requests_per_minute=2, tokens_per_minute=100_000, tokens_per_day=200_000)
    before = len(world.upstream.requests)
    replies = [await caller.ask(path) for _ in range(3)]
    assert [each.status_code for each in replies] == [200, 200, 429]
    assert len(world.upstream.requests) == before + 2
    for index, reply in enumerate(replies):
        told = reply.headers
        assert told["x-ratelimit-limit-requests"] == "2"
        assert told["x-ratelimit-remaining-requests"] == str(max(0, 1 - index))
        assert int(told["x-ratelimit-reset-requests"]) > 1_700_000_000
        assert (told["x-ratelimit-limit-tokens"], told["x-ratelimit-limit-tokens-per-day"]) == ("100000", "200000")
        assert told["x-ratelimit-remaining-tokens"] == told["x-ratelimit-remaining-tokens-per-minute"]
        assert told["x-ratelimit-reset-tokens"].endswith("s")
        assert ("anthropic-ratelimit-requests-limit" in told) == (path == "/v1/messages")
    refused = replies[2]
    error = refused.json()["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert f"{caller.scope} may make 2 requests per minute" in error["message"]
    assert 28 <= int(refused.headers["retry-after"]) <= 30
    if path == "/v1/messages":
        assert (refused.json()["type"], error["type"]) == ("error", "rate_limit_error")
        assert refused.headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert refused.headers["anthropic-ratelimit-tokens-reset"].endswith("Z")


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
async def test_tokens_are_held_and_settled_by_what_was_used(world: World, body: dict[str, Any]) -> None:
    caller, gate = await world.caller(tokens_per_day=1000), Gate()
    world.upstream.follow(lambda request: obedient_answer(request).hold(gate, before_frame=0))
    async with caller.client() as client:
        asking = asyncio.create_task(client.post(CHAT, json=body))  # noqa: TID251 - awaited below
        await gate.reached(1)
        running = await client.post(CHAT, json={**body, "max_tokens": 990})
        gate.release()
        reply = await asking
        world.upstream.follow(chat_reply(Chat("one two", prompt_tokens=3)))
        after = await client.post(CHAT, json=BODY)
    assert (running.status_code, running.json()["error"]["limit"]) == (429, "tokens_per_day")
    receipt = await asyncio.to_thread(world.server.receipt, reply.headers["x-request-id"])
    used = sum(line["quantity"] for line in receipt["attempts"][0]["lines"])
    assert 0 < used < 50
    assert int(after.headers["x-ratelimit-remaining-tokens-per-day"]) == 1000 - used - 5


async def test_a_stream_tells_what_is_left_while_it_is_held(world: World) -> None:
    caller = await world.caller(tokens_per_day=1000)
    whole, streamed = await caller.ask(), await caller.ask(body=STREAM)
    assert int(whole.headers["x-ratelimit-remaining-tokens"]) > 940
    assert int(streamed.headers["x-ratelimit-remaining-tokens"]) < 940
    assert b"[DONE]" in streamed.content


async def test_errors_tell_of_the_limits_too_and_cost_no_tokens(world: World) -> None:
    caller = await world.caller(requests_per_day=9, tokens_per_day=1000)
    unknown = await caller.ask(body={**BODY, "model": "nobody"})
    broken = await caller.ask(body={"model": "m"})
    assert [each.status_code for each in (unknown, broken)] == [404, 400]
    assert [each.headers["x-ratelimit-remaining-requests"] for each in (unknown, broken)] == ["9", "9"]
    world.upstream.follow(error_reply(400, "no"))
    refused = await caller.ask()
    assert (refused.status_code, refused.headers["x-ratelimit-remaining-requests"]) == (400, "8")
    assert (await caller.ask(body={"model": "m"})).headers["x-ratelimit-remaining-tokens-per-day"] == "1000"


async def test_a_failed_attempt_counts_nothing_and_the_answer_counts_once(world: World) -> None:
    caller = await world.caller(tokens_per_day=1000)
    world.upstream.follow(
        {
            "flaky-upstream": error_reply(500),
            "spare-upstream": chat_reply(Chat("one two", prompt_tokens=3)),
        }
    )
    reply = await caller.ask(body={**BODY, "model": "flaky", "models": ["spare"]})
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-headrace-attempts"] == "2"
    assert reply.headers["x-ratelimit-remaining-tokens-per-day"] == "995"


async def test_a_caller_who_leaves_gives_its_place_back(world: World) -> None:
    caller, gate = await world.caller(concurrent_requests=1), Gate()
    world.upstream.follow(lambda request: obedient_answer(request).hold(gate, before_frame=3))
    async with caller.client() as client, client.stream("POST", CHAT, json=STREAM) as reply:
        await anext(reply.aiter_raw())
        assert (await caller.ask()).status_code == 429
    world.upstream.follow(obedient_answer)
    with world.server.client(caller.secret) as again:
        await asyncio.to_thread(eventually, lambda: again.post(CHAT, json=BODY).status_code == 200, "the place is free")
    gate.release()


async def test_a_full_model_is_passed_over_when_another_may_answer(world: World) -> None:
    caller = await world.caller()
    await world.limit("model:m", requests_per_day=1)
    try:
        first = await caller.ask()
        alone = await caller.ask()
        other = await caller.ask(body={**BODY, "models": ["spare"]})
    finally:
        await world.lift("model:m")
    assert (first.status_code, first.headers["x-ratelimit-remaining-requests"]) == (200, "0")
    assert (alone.status_code, alone.json()["error"]["scope"]) == (429, "model:m")
    assert (other.status_code, other.headers["x-headrace-model"]) == (200, "spare")
    assert "x-ratelimit-limit-requests" not in other.headers
    assert (await caller.ask()).status_code == 200


async def test_a_request_that_never_fits_is_told_what_would(world: World) -> None:
    caller = await world.caller(tokens_per_minute=100)
    reply = await caller.ask(body={**BODY, "max_tokens": 4000})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (429, "request_over_limit", "max_tokens")
    assert reply.headers["x-should-retry"] == "false"
    most = int(error["message"].split("at most ")[1].split(",")[0])
    assert (await caller.ask(body={**BODY, "max_tokens": most})).status_code == 200


async def test_the_command_sets_limits_that_hold_at_once(world: World) -> None:
    caller = await world.caller()
    assert "x-ratelimit-limit-requests" not in (await caller.ask()).headers

    async def verb(*words: str) -> str:
        ran = await asyncio.to_thread(headrace, "limits", *words, home=world.server.home)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    assert (
        await verb("set", caller.scope, "--requests-per-day", "1")
    ) == f"{caller.scope} may have 1 requests per day.\n"
    assert [(await caller.ask()).status_code for _ in range(2)] == [200, 429]
    assert caller.scope in await verb("list")
    await verb("set", caller.scope, "--requests-per-day", "2")
    assert [(await caller.ask()).status_code for _ in range(2)] == [200, 429]
    await verb("remove", caller.scope)
    assert (await caller.ask()).status_code == 200


async def test_limits_outlive_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = RunningHeadrace(tmp_path_factory.mktemp("restart") / "home")
    async with FakeUpstream() as upstream:
        server.add_provider("fake", upstream.base_url, "m")
        await asyncio.to_thread(server.start)
        async with client_of(server, server.admin_token) as admin:
            assert (await admin.put("/v2/limits/platform", json={"requests_per_day": 3})).status_code == 201
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        async with client_of(server, server.api_key) as client:
            told = (await client.post(CHAT, json=BODY)).headers
        await asyncio.to_thread(server.stop)
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("3", "2")
