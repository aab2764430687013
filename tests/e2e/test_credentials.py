"""Several keys of one provider on the real server: refused ones rest alone, the next serves within the same request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import error_reply
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from tests.running import RunningHeadrace, headrace

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
ENVIRONMENT = {"FAKE_KEY": "sk-canary-1 sk-canary-2"}


@dataclass
class Provider:
    """What the provider makes of each key, and which keys it saw."""

    labels: dict[str, str] = field(default_factory=lambda: {"sk-canary-1": "default", "sk-canary-2": "2"})
    status: dict[str, int] = field(default_factory=dict[str, int])
    seen: list[str] = field(default_factory=list[str])

    def __call__(self, request: UpstreamRequest) -> Reply:
        label = self.labels[dict(request.headers)["authorization"].removeprefix("Bearer ")]
        self.seen.append(label)
        status = self.status.get(label, 200)
        if status == 200:
            return obedient_answer(request)
        reply = error_reply(status)
        headers = {**reply.headers, "retry-after": "30"} if status == 429 else reply.headers
        return Reply(status, headers, reply.frames)


@dataclass(frozen=True)
class World:
    """A running installation and its provider."""

    server: RunningHeadrace
    provider: Provider
    client: httpx2.AsyncClient

    async def ask(self) -> httpx2.Response:
        return await self.client.post(CHAT, json=BODY)

    async def attempts(self, answer: httpx2.Response) -> list[Mapping[str, Any]]:
        receipt = (await self.client.get(f"/v2/requests/{answer.headers['x-request-id']}")).json()
        return list(receipt["attempts"])

    async def health(self) -> dict[str, Mapping[str, Any]]:
        admin = {"authorization": f"Bearer {self.server.admin_token}"}
        listed = (await self.client.get("/v2/providers/fake/credentials", headers=admin)).json()
        return {each["label"]: each["health"] for each in listed["credentials"]}

    def verb(self, *arguments: str, stdin: str = "") -> str:
        ran = headrace(*arguments, stdin=stdin, home=self.server.home)
        assert "canary" not in ran.stdout + ran.stderr
        return ran.stdout + ran.stderr


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    server, provider = RunningHeadrace(tmp_path / "home", ENVIRONMENT), Provider()
    async with FakeUpstream(provider) as upstream:
        server.add_provider("fake", upstream.base_url, "m", "n")
        file = server.home / "catalog/fake.toml"
        file.write_text(file.read_text().replace('auth = "none"', 'auth = "bearer"\nkey_variable = "FAKE_KEY"'))
        await asyncio.to_thread(server.start)
        headers = {"authorization": f"Bearer {server.api_key}"}
        async with httpx2.AsyncClient(base_url=server.base_url, headers=headers, timeout=60, trust_env=False) as client:
            yield World(server, provider, client)
        await asyncio.to_thread(server.stop)
    shown = server.log + server.output
    assert "canary" not in shown


async def test_a_refused_key_rests_alone_and_the_next_one_serves(world: World) -> None:
    world.provider.status["default"] = 401
    answer = await world.ask()
    assert (answer.status_code, answer.headers["x-headrace-attempts"]) == (200, "2")
    assert world.provider.seen == ["default", "2"]
    states = [(each["state"], each["error_code"]) for each in await world.attempts(answer)]
    assert states == [("voided", "upstream_auth_failed"), ("settled", None)]
    for _ in range(3):
        assert (await world.ask()).headers["x-headrace-attempts"] == "1"
    assert world.provider.seen == ["default", "2", "2", "2", "2"]
    health = await world.health()
    assert (health["default"]["state"], health["2"]["state"]) == ("refused", "ok")
    figures = (await world.client.get("/metrics")).text
    assert 'headrace_credentials{credential="default",provider="fake",state="refused"} 1.0' in figures
    assert 'headrace_credentials{credential="2",provider="fake",state="ok"} 1.0' in figures
    listed = await asyncio.to_thread(world.verb, "providers", "list")
    assert "default (environment)  refused since" in listed
    world.provider.status["default"] = 200
    renewed = await asyncio.to_thread(world.verb, "providers", "set-key", "fake", stdin="sk-canary-3")
    assert "set and sealed" in renewed
    world.provider.labels["sk-canary-3"] = "default"
    assert (await world.health())["default"]["state"] == "ok"
    assert {(await world.ask()).status_code, (await world.ask()).status_code} == {200}
    assert set(world.provider.seen[5:]) == {"default", "2"}


async def test_a_key_that_is_asked_to_slow_down_rests_for_that_model(world: World) -> None:
    world.provider.status["default"] = 429
    answer = await world.ask()
    assert (answer.status_code, answer.headers["x-headrace-attempts"]) == (200, "2")
    health = (await world.health())["default"]
    assert (health["state"], health["models"]) == ("rate_limited", ["m"])
    world.provider.seen.clear()
    other = await world.client.post(CHAT, json={**BODY, "model": "n"})
    assert (other.status_code, world.provider.seen[0]) == (200, "default")


async def test_when_every_key_is_refused_the_caller_hears_of_no_401(world: World) -> None:
    world.provider.status.update({"default": 401, "2": 402})
    answer = await world.ask()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_quota_exhausted")
    world.provider.status["2"] = 401
    await asyncio.to_thread(world.verb, "config", "reload")
    answer = await world.ask()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_auth_failed")
    calls = len(world.provider.seen)
    again = await world.ask()
    assert (again.status_code, again.json()["error"]["code"]) == (502, "upstream_auth_failed")
    assert len(world.provider.seen) == calls


async def test_the_load_is_spread_and_a_third_key_takes_its_part(world: World) -> None:
    world.provider.labels["sk-canary-3"] = "third"
    added = await asyncio.to_thread(world.verb, "providers", "set-key", "fake", "--label", "third", stdin="sk-canary-3")
    assert 'The key "third" of fake' in added
    for _ in range(6):
        assert (await world.ask()).status_code == 200
    assert sorted(world.provider.seen) == ["2", "2", "default", "default", "third", "third"]
    again = await asyncio.to_thread(world.verb, "providers", "set-key", "fake", "--label", "x", stdin="sk-canary-3")
    assert "there already" in again
    assert "third" in again
    removed = await asyncio.to_thread(world.verb, "providers", "remove-key", "fake", "--label", "third")
    assert 'The stored key "third" of fake is gone.' in removed
    world.provider.seen.clear()
    for _ in range(4):
        await world.ask()
    assert set(world.provider.seen) == {"2", "default"}
    assert json.dumps(await world.health()).count("ok") == 2
