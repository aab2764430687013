"""Routers measured on the real server, with the real encoder: a correction that counts, replays, savings, the verbs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.testing.obedient import obedient_answer
from headrace.testing.upstream import FakeUpstream
from tests.running import RunningHeadrace, headrace

CHAT = "/v1/chat/completions"
DECISIONS = "/v1/routing/decisions"
ROUTERS = "/v2/gen-ai/models/routers"
PRICES = {"cheap": "0.10", "dear": "10.00"}
BILLING: dict[str, Any] = {"name": "billing", "description": "Invoices, charges and refunds."}
DEFECT: dict[str, Any] = {"name": "defect", "description": "A device or an app that does not work."}
SUPPORT: dict[str, Any] = {
    "name": "support",
    "policies": [{"custom_task": BILLING, "models": ["cheap"]}, {"custom_task": DEFECT, "models": ["dear"]}],
    "fallback_models": ["cheap"],
    "min_score": 0,
}
# By its words it is a matter of charging a device, that is of defects; this desk means its charging stations' bills.
TAKEN = "My car was charged at the station but the display of the app shows nothing."
ALIKE = "The car was charged at your station, and the app's display shows nothing at all."


@dataclass
class World:
    """A running installation with a router over two models of a fake provider."""

    server: RunningHeadrace
    client: httpx2.AsyncClient
    router: str

    async def ask(self, text: str, **more: Any) -> httpx2.Response:
        body = {"model": f"router:{self.router}", "messages": [{"role": "user", "content": text}], **more}
        reply = await self.client.post(CHAT, json=body, headers={"x-model-affinity": "none"})
        assert reply.status_code == 200, reply.text
        return reply

    async def decide(self, text: str) -> dict[str, Any]:
        body = {"model": f"router:{self.router}", "messages": [{"role": "user", "content": text}]}
        found: dict[str, Any] = (await self.client.post(DECISIONS, json=body)).json()
        return found

    async def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.server.admin_token}"}
        reply = await self.client.request(method, path, json=body, headers=headers)
        assert reply.status_code < 300, reply.text
        found: dict[str, Any] = reply.json()
        return found

    async def verb(self, *arguments: str) -> str:
        ran = await asyncio.to_thread(headrace, "routers", *arguments, home=self.server.home)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def home(
    tmp_path_factory: pytest.TempPathFactory, weights_cache: Path, minilm_paths: tuple[Path, Path]
) -> AsyncIterator[RunningHeadrace]:
    assert all(each.exists() for each in minilm_paths)
    server = RunningHeadrace(tmp_path_factory.mktemp("measured") / "home")
    server.take_weights(weights_cache)
    async with FakeUpstream() as upstream:
        upstream.follow(obedient_answer)
        for name, price in PRICES.items():
            server.add_provider(name, upstream.base_url, name)
            file = server.home / "catalog" / f"{name}.toml"
            file.write_text(file.read_text().replace('"0.10"', f'"{price}"').replace('"0.20"', f'"{price}"'))
        await asyncio.to_thread(server.start)
        yield server
        await asyncio.to_thread(server.stop)


@pytest.fixture
async def world(home: RunningHeadrace, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A world with a router of the test's own: its past is found by its name."""
    name = str(request.node.name).replace("_", "-")
    headers = {"authorization": f"Bearer {home.api_key}"}
    async with httpx2.AsyncClient(base_url=home.base_url, timeout=90, trust_env=False, headers=headers) as client:
        here = World(home, client, name)
        made = await here.admin("POST", ROUTERS, {**SUPPORT, "name": name})
        # The first start makes what the encoder is compared with, which takes seconds of both cores.
        while (await here.decide("Is anybody there?"))["basis"] == "unread":
            continue
        yield here
        await here.admin("DELETE", f"{ROUTERS}/{made['model_router']['uuid']}")


async def test_a_correction_decides_the_next_prompt_of_its_kind(world: World) -> None:
    first = await world.ask(TAKEN)
    route = first.headers["x-model-router-selected-route"]
    other = "billing" if route == "defect" else "defect"
    request_id = first.headers["x-request-id"]
    assert (await world.decide(ALIKE))["route"] == route
    said = await world.verb("correct", request_id, other)
    assert said == f"{request_id} is an example of {other} now (router:{world.router}; was {route}).\n"
    decided = await world.decide(ALIKE)
    assert decided["route"] == other
    assert (await world.ask(ALIKE)).headers["x-model-router-selected-route"] == other
    [listed] = (await world.admin("GET", ROUTERS))["model_routers"]
    assert listed["corrections"] == {other: 1}
    replayed = (await world.admin("POST", f"{ROUTERS}/{world.router}/replay", {"since": "1h"}))["replay"]
    assert {"from": route, "to": other, "requests": 1, "newest": [request_id]} in replayed["moves"]
    await world.verb("correct", request_id, "--undo")
    assert (await world.decide(ALIKE))["route"] == route


async def test_the_past_is_replayed_as_a_draft_would_have_it_and_its_savings_are_told(
    world: World, tmp_path: Path
) -> None:
    for text in ("I was billed twice, send my money back.", "The screen of my device is black."):
        await world.ask(text)
    draft = tmp_path / "draft.toml"
    draft.write_text(
        'name = "support"\nfallback_models = ["cheap"]\nmin_score = 0.0\n\n[[policies]]\nmodels = ["cheap"]\n\n'
        '[policies.custom_task]\nname = "anything"\ndescription = "Anything that a customer may write."\n'
    )
    told = await world.verb("replay", world.router, "--since", "1h", "--draft", str(draft))
    assert "as the draft would have it" in told
    assert "anything" in told
    assert "Quality was not measured" in told
    report = json.loads(await world.verb("replay", f"router:{world.router}", "--since", "1h", "--json"))["replay"]
    assert (report["redecided"], report["changed"], report["left_out"]) == (report["requests"], 0, {})
    cost = report["cost"]
    assert (cost["paid_nano_usd"], cost["requests"]) == (cost["replayed_nano_usd"], 2)
    saved = await world.verb("savings", world.router, "--since", "1h")
    assert "billing" in saved
    assert "Quality was not measured" in saved


async def test_a_tool_result_is_not_decided_anew(world: World) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": "My device is broken."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "found"},
    ]
    headers = {"x-model-affinity": "loop"}
    for messages in (turns[:1], turns):
        body = {"model": f"router:{world.router}", "messages": messages}
        reply = await world.client.post(CHAT, json=body, headers=headers)
        assert reply.status_code == 200, reply.text
    report = (await world.admin("POST", f"{ROUTERS}/{world.router}/replay", {"since": "1h"}))["replay"]
    assert report["left_out"] == {"tool_loop": 1}
    refused = await world.client.post(
        f"/v2/requests/{reply.headers['x-request-id']}/route",
        json={"route": "billing"},
        headers={"authorization": f"Bearer {world.server.admin_token}"},
    )
    assert (refused.status_code, refused.json()["id"]) == (409, "features_not_kept")


async def test_the_managed_router_is_replayed_under_another_preference(world: World) -> None:
    made = await world.admin("POST", "/v2/gen-ai/models/api_keys", {"name": "fakes", "models": list(PRICES)})
    headers = {"authorization": f"Bearer {made['api_key_info']['secret_key']}", "x-model-affinity": "none"}
    body = {"model": "inference-router", "messages": [{"role": "user", "content": "Prove that 2 + 2 is 4."}]}
    reply = await world.client.post(CHAT, json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    path = f"{ROUTERS}/inference-router/replay"
    report = (await world.admin("POST", path, {"routing_preference": "budget"}))["replay"]
    assert (report["redecided"], report["abstained"]) == (1, None)
    assert report["cost"]["requests"] == 1
