"""Conversations with a router on the real server: who serves them, turn after turn, in all three dialects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import error_reply
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from tests.running import RunningHeadrace

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
PATHS = (CHAT, MESSAGES, RESPONSES)
KEYS, ROUTERS = "/v2/gen-ai/models/api_keys", "/v2/gen-ai/models/routers"
# The scorer of these tests takes a prompt for the task that it names.
TASKS = {"refund": ["a", "b", "c"], "shipping": ["c", "b"], "defect": ["c"]}
POOL = ["a", "b", "c", "d"]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"order": {"type": "string"}}}
TOOLS: dict[str, list[dict[str, Any]]] = {
    CHAT: [{"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}],
    MESSAGES: [{"name": "look_up", "input_schema": SCHEMA}],
    RESPONSES: [{"type": "function", "name": "look_up", "parameters": SCHEMA}],
}


@dataclass
class World:
    """A running installation with a router, and its provider, whose models can be made to fail."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: httpx2.AsyncClient
    failing: dict[str, Reply]

    def answer(self, request: UpstreamRequest) -> Reply:
        failure = self.failing.get(str(request.model).removesuffix("-upstream"))
        return obedient_answer(request) if failure is None else failure

    def fail(self, *models: str) -> None:
        self.failing.clear()
        self.failing.update({model: error_reply(503, "away") for model in models})

    async def ask(self, path: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, json={"model": "router:support", **body}, headers=named)

    async def served(self, path: str, body: dict[str, Any], **headers: str) -> str:
        reply = await self.ask(path, body, **headers)
        assert reply.status_code == 200, reply.text
        return str(reply.headers["x-headrace-model"])

    async def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.server.admin_token}"}
        return await self.client.request(method, path, json=body, headers=headers)

    async def metric(self, name: str) -> float:
        lines = (await self.client.get("/metrics")).text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)

    def routing(self, reply: httpx2.Response) -> dict[str, Any]:
        found: dict[str, Any] = self.server.receipt(reply.headers["x-request-id"])["routing"]
        return found


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RunningHeadrace, FakeUpstream]]:
    folder = tmp_path_factory.mktemp("affinity")
    server = RunningHeadrace(folder / "home", module=("tests.e2e.routing_server", str(folder)))
    async with FakeUpstream() as upstream:
        server.add_provider("fake", upstream.base_url, *POOL)
        # What rests is one test's business: failures of the others must not add up.
        (server.home / "headrace.toml").write_text("[limits]\nbreaker_failures = 0\n")
        await asyncio.to_thread(server.start)
        policies = [
            {"custom_task": {"name": name, "description": f"It is about {name}."}, "models": pool}
            for name, pool in TASKS.items()
        ]
        router = {"name": "support", "policies": policies, "fallback_models": ["d"]}
        headers = {"authorization": f"Bearer {server.admin_token}"}
        async with httpx2.AsyncClient(base_url=server.base_url, trust_env=False) as client:
            made = await client.post(ROUTERS, json=router, headers=headers)
        assert made.status_code in (200, 201), made.text
        yield server, upstream
        await asyncio.to_thread(server.stop)


@pytest.fixture
async def world(home: tuple[RunningHeadrace, FakeUpstream]) -> AsyncIterator[World]:
    """A world with a key of its own, so that no test meets another's sessions."""
    server, upstream = home
    async with httpx2.AsyncClient(base_url=server.base_url, timeout=60, trust_env=False) as client:
        here = World(server, upstream, client, {})
        client.headers["authorization"] = f"Bearer {await new_key(here)}"
        upstream.follow(here.answer)
        yield here


async def new_key(world: World) -> str:
    made = await world.admin("POST", KEYS, {"name": "another"})
    return str(made.json()["api_key_info"]["secret_key"])


def conversation(path: str, *said: str, tool_result: bool = False) -> dict[str, Any]:
    """A body whose user said this, with an answer after all but the last; then maybe a tool's result."""
    roles = [{"role": "user", "content": text} for text in said]
    turns: list[dict[str, Any]] = [roles[0]]
    for each in roles[1:]:
        turns += [{"role": "assistant", "content": "Tell me more."}, each]
    if tool_result:
        turns += _tool_turns(path)
    field = "input" if path == RESPONSES else "messages"
    more: dict[str, Any] = {"max_tokens": 16} if path == MESSAGES else {}
    return {field: turns, "tools": TOOLS[path], **more}


def _tool_turns(path: str) -> list[dict[str, Any]]:
    if path == CHAT:
        call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
        return [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "shipped"},
        ]
    if path == MESSAGES:
        return [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "look_up", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "shipped"}]},
        ]
    return [
        {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "shipped"},
    ]


@pytest.mark.parametrize("path", PATHS)
async def test_an_agents_loop_keeps_its_model_across_tool_calls(world: World, path: str) -> None:
    world.fail("a")
    first = await world.ask(path, conversation(path, "A refund, please."))
    assert first.headers["x-headrace-model"] == "b"
    name = first.headers["x-headrace-session"]
    assert name.startswith("implicit:")
    world.fail()
    for _ in range(3):
        reply = await world.ask(path, conversation(path, "A refund, please.", tool_result=True))
        assert (reply.headers["x-headrace-model"], reply.headers["x-headrace-session"]) == ("b", name)
        assert reply.headers["x-headrace-route-basis"] == "tool_loop"
        assert reply.headers["x-model-router-selected-route"] == "refund"
    other = conversation(path, "Another refund.", tool_result=True)
    assert await world.served(path, other) == "a", "another conversation is another session"


@pytest.mark.parametrize("path", PATHS)
async def test_a_follow_up_keeps_its_warm_model(world: World, path: str) -> None:
    world.fail("a")
    assert await world.served(path, conversation(path, "A refund?")) == "b"
    world.fail()
    body = conversation(path, "A refund?", "A refund for number 7.")
    reply = await world.ask(path, body)
    assert reply.headers["x-headrace-model"] == "b"
    routing = world.routing(reply)
    assert (routing["basis"], routing["session"]) == ("switch_vetoed", reply.headers["x-headrace-session"])
    assert routing["switch"]["verdict"] == "over_cap"
    assert await world.served(path, conversation(path, "A refund?")) == "a", "a first message begins anew"


async def test_another_route_weighs_its_switch_but_its_pool_has_the_last_word(world: World) -> None:
    world.fail("a")
    assert await world.served(CHAT, conversation(CHAT, "A refund."), x_model_affinity="s") == "b"
    world.fail()
    shipping = await world.ask(CHAT, conversation(CHAT, "Now shipping."), x_model_affinity="s")
    assert shipping.headers["x-headrace-model"] == "b", "it is in that pool too, and warm"
    assert shipping.headers["x-model-router-selected-route"] == "shipping"
    defect = await world.ask(CHAT, conversation(CHAT, "Now a defect."), x_model_affinity="s")
    assert defect.headers["x-headrace-model"] == "c"
    switch = world.routing(defect)["switch"]
    assert (switch["verdict"], switch["forced"], switch["counterfactual"]) == ("over_cap", True, None)
    unknown = await world.ask(CHAT, conversation(CHAT, "Now the weather."), x_model_affinity="s")
    assert unknown.headers["x-headrace-model"] == "d"


async def test_a_stream_names_its_session(world: World) -> None:
    async with world.client.stream(
        "POST",
        CHAT,
        json={"model": "router:support", "stream": True, **conversation(CHAT, "A refund.")},
        headers={"X-Model-Affinity": "stream 1"},
    ) as reply:
        await reply.aread()
    assert reply.headers["x-headrace-session"] == "stream 1"
    again = await world.ask(CHAT, conversation(CHAT, "A refund now."), x_model_affinity="stream 1")
    assert world.routing(again)["switch"]["verdict"] == "same"


async def test_affinity_never_beats_failover(world: World) -> None:
    body = conversation(CHAT, "A refund.")
    world.fail("a")
    assert await world.served(CHAT, body, x_model_affinity="s") == "b"
    world.fail("a", "b")
    assert await world.served(CHAT, body, x_model_affinity="s") == "c"
    world.fail()
    assert await world.served(CHAT, body, x_model_affinity="s") == "c", "the session moved to who served"
    world.failing["c"] = error_reply(429, "slow down", retry_after=30)
    assert await world.served(CHAT, body, x_model_affinity="s") == "a"
    asked = len(world.upstream.requests)
    assert await world.served(CHAT, body, x_model_affinity="s") == "a", "nobody asks an anchor that rests"
    assert len(world.upstream.requests) == asked + 1


async def test_two_keys_with_the_same_id_do_not_share_a_session(world: World) -> None:
    body = conversation(CHAT, "A refund.")
    world.fail("a")
    assert await world.served(CHAT, body, x_model_affinity="s") == "b"
    world.fail()
    mine = dict(world.client.headers)["authorization"]
    world.client.headers["authorization"] = f"Bearer {await new_key(world)}"
    assert await world.served(CHAT, body, x_model_affinity="s") == "a"
    world.client.headers["authorization"] = mine
    assert await world.served(CHAT, body, x_model_affinity="s") == "b"


async def test_none_switches_affinity_off_for_one_request(world: World) -> None:
    body = conversation(CHAT, "A refund.")
    world.fail("a")
    assert await world.served(CHAT, body, x_model_affinity="s") == "b"
    world.fail()
    reply = await world.ask(CHAT, body, x_model_affinity="none")
    assert reply.headers["x-headrace-model"] == "a"
    assert "x-headrace-session" not in reply.headers
    assert await world.served(CHAT, body, x_model_affinity="s") == "b"


async def test_a_session_earns_its_switch_turn_by_turn(world: World) -> None:
    """Fresh input costs ten times the cached: leaving costs nine turns of staying, and a full cap pays for it then."""
    body = conversation(CHAT, "A refund.")
    world.fail("a")
    assert await world.served(CHAT, body, x_model_affinity="s") == "b"
    world.fail()
    cap = {"x_model_affinity": "s", "x_routing_max_switch_spend_pct": "100"}
    served = [await world.served(CHAT, body, **cap) for _ in range(9)]
    assert served == ["b"] * 8 + ["a"]
    before = await world.metric('headrace_router_switches_total{verdict="over_cap"}')
    assert before >= 8
    assert await world.metric("headrace_router_sessions") >= 1


async def test_a_cap_of_nothing_never_pays_for_a_switch(world: World) -> None:
    body = conversation(CHAT, "A refund.")
    world.fail("a")
    assert await world.served(CHAT, body, x_model_affinity="s") == "b"
    world.fail()
    cap = {"x_model_affinity": "s", "x_routing_max_switch_spend_pct": "0"}
    assert {await world.served(CHAT, body, **cap) for _ in range(12)} == {"b"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Model-Affinity", ""),
        ("X-Model-Affinity", "x" * 257),
        ("X-Model-Affinity", "tab\there"),
        ("x-routing-max-switch-spend-pct", "101"),
        ("x-routing-max-switch-spend-pct", "ten"),
    ],
)
async def test_what_the_headers_may_not_say_is_refused(world: World, name: str, value: str) -> None:
    reply = await world.client.post(
        CHAT, json={"model": "router:support", **conversation(CHAT, "A refund.")}, headers={name: value}
    )
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == name
    assert name in reply.json()["error"]["message"]


async def test_a_model_that_is_named_knows_no_session(world: World) -> None:
    reply = await world.client.post(
        CHAT, json={"model": "b", **conversation(CHAT, "A refund.")}, headers={"X-Model-Affinity": "s"}
    )
    assert reply.status_code == 200
    assert "x-headrace-session" not in reply.headers
