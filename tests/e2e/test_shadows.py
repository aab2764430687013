"""Shadow sampling on the real server: both answers kept and judged, in every dialect, and never in the caller's way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import Chat, chat_reply
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from headrace.testing.waiting import Gate
from tests.running import RunningHeadrace, eventually, headrace

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
ROUTERS = "/v2/gen-ai/models/routers"
SUPPORT: dict[str, Any] = {
    "name": "support",
    "policies": [{"custom_task": {"name": "refund", "description": "Money back."}, "models": ["small"]}],
    "fallback_models": ["small"],
    "shadow": {"model": "large", "share": 1, "max_usd_per_day": "5"},
}


@dataclass
class World:
    """A running installation with a router that is compared with a reference."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: httpx2.AsyncClient
    gate: Gate | None = None

    def answer(self, request: UpstreamRequest) -> Reply:
        """The judge sees a word; the reference waits where a test wants it to."""
        model = str(request.model).removesuffix("-upstream")
        if model == "judge":
            return chat_reply(Chat("EQUAL"))
        if model == "large" and self.gate is not None:
            return obedient_answer(request).hold_headers(self.gate)
        return obedient_answer(request)

    async def ask(self, path: str = CHAT, **more: Any) -> httpx2.Response:
        cap: dict[str, Any] = {"max_tokens": 50} if path == MESSAGES else {}
        said: dict[str, Any] = {"input": "A refund, please."}
        if path != RESPONSES:
            said = {"messages": [{"role": "user", "content": "A refund, please."}]}
        body = {"model": "router:support", **said, **cap, **more}
        reply = await self.client.post(path, json=body, headers={"x-model-affinity": "none"})
        assert reply.status_code == 200, reply.text
        return reply

    async def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.server.admin_token}"}
        reply = await self.client.request(method, path, json=body, headers=headers)
        assert reply.status_code < 300, reply.text
        found: dict[str, Any] = reply.json()
        return found

    async def pair(self, request_id: str, state: str = "kept") -> dict[str, Any]:
        """The pair of a request once it has come to this state."""
        token = self.server.admin_token

        def found() -> dict[str, Any] | None:
            with self.server.client(token) as client:
                listed = client.get(f"{ROUTERS}/support/shadows").json()["shadows"]
            return next((each for each in listed if (each["request_id"], each["state"]) == (request_id, state)), None)

        await asyncio.to_thread(eventually, lambda: found() is not None, f"{request_id} is {state}")
        pair = await asyncio.to_thread(found)
        assert pair is not None
        return pair


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RunningHeadrace, FakeUpstream]]:
    folder = tmp_path_factory.mktemp("shadows")
    server = RunningHeadrace(folder / "home", module=("tests.e2e.routing_server", str(folder)))
    async with FakeUpstream() as upstream:
        server.add_provider("fake", upstream.base_url, "small", "large", "judge")
        await asyncio.to_thread(server.start)
        yield server, upstream
        await asyncio.to_thread(server.stop)


@pytest.fixture
async def world(home: tuple[RunningHeadrace, FakeUpstream]) -> AsyncIterator[World]:
    server, upstream = home
    headers = {"authorization": f"Bearer {server.api_key}"}
    async with httpx2.AsyncClient(base_url=server.base_url, timeout=60, trust_env=False, headers=headers) as client:
        here = World(server, upstream, client)
        upstream.follow(here.answer)
        made = await here.admin("POST", ROUTERS, SUPPORT)
        yield here
        await here.admin("DELETE", f"{ROUTERS}/{made['model_router']['uuid']}")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
async def test_both_answers_are_kept_in_every_dialect(world: World, path: str, stream: bool) -> None:
    reply = await world.ask(path, stream=stream)
    pair = await world.pair(reply.headers["x-request-id"])
    assert (pair["served_by"], pair["reference"], pair["route"]) == ("small", "large", "refund")
    assert pair["texts"]["asked"] == "user: A refund, please."
    assert pair["texts"]["answer"] == pair["texts"]["reference"] != ""
    assert pair["reference_cost_nano_usd"] > 0
    receipt = world.server.receipt(pair["shadow_request_id"])
    assert (receipt["key"]["name"], receipt["account"], receipt["requested_model"]) == ("shadow", "operator", "large")
    assert "routing" not in receipt, "the reference is named, so it is neither routed nor shadowed"


async def test_pairs_are_judged_by_a_model_and_savings_tell(world: World) -> None:
    reply = await world.ask()
    await world.pair(reply.headers["x-request-id"])
    judged = await asyncio.to_thread(
        headrace, "routers", "judge", "support", "--judge", "judge", "--json", home=world.server.home
    )
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["judged"] == 1
    listed = await asyncio.to_thread(headrace, "routers", "shadows", "support", home=world.server.home)
    assert reply.headers["x-request-id"] in listed.stdout
    savings = await asyncio.to_thread(headrace, "routers", "savings", "support", home=world.server.home)
    assert "Quality: 1 judged beside the reference model's answers" in savings.stdout
    usage = (await world.admin("GET", "/v2/usage?group_by=tag&group_by=key&from=1d"))["usage"]
    assert {(each["tag"], each["key"]) for each in usage} >= {("shadow", "shadow")}


async def test_a_slow_reference_delays_nobody_and_ends_with_the_process(world: World) -> None:
    world.gate = Gate()
    reply = await world.ask()
    await world.gate.reached()
    again = await world.ask()
    assert (reply.status_code, again.status_code) == (200, 200), "the caller is answered while the reference is not"
    began = time.monotonic()
    status = await asyncio.to_thread(world.server.stop)
    assert status == 0
    assert time.monotonic() - began < 10
    assert world.server.count("hold") == 0, "what was asked of the reference is booked"
    world.gate.release()
    audit = await asyncio.to_thread(headrace, "audit", home=world.server.home)
    assert audit.returncode == 0, audit.stdout
    await asyncio.to_thread(world.server.start)
    world.client.base_url = httpx2.URL(world.server.base_url)
    pair = await world.pair(reply.headers["x-request-id"], "running")
    assert pair["reference_cost_nano_usd"] > 0, "what was reserved goes on to count"
