"""Routed requests on the real server with a prompt scorer of the tests: who serves, what is told, what is booked."""

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
from headrace.testing.openai_replies import chat_stream, error_reply
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from headrace.testing.waiting import Gate
from tests.e2e.routing_server import AWAY
from tests.running import RunningHeadrace, eventually, headrace

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
DECISIONS = "/v1/routing/decisions"
PATHS = (CHAT, MESSAGES, RESPONSES)
KEYS, ROUTERS = "/v2/gen-ai/models/api_keys", "/v2/gen-ai/models/routers"
PRICES = {"cheap": "0.10", "fair": "1.00", "dear": "10.00", "spare": "2.00"}
REFUND = {"name": "refund", "description": "A customer wants money back.", "examples": ["I want my money back."]}
DEFECT = {"name": "defect", "description": "Something is broken."}
SUPPORT: dict[str, Any] = {
    "name": "support",
    "policies": [
        {
            "custom_task": REFUND,
            "models": ["dear", "fair", "cheap"],
            "selection_policy": {"prefer": "cheapest"},
        },
        {"custom_task": DEFECT, "models": ["fair", "dear"]},
    ],
    "fallback_models": ["spare", "cheap"],
}


def body_of(path: str, text: str = "a refund", **more: Any) -> dict[str, Any]:
    if path == RESPONSES:
        return {"model": "router:support", "input": text, **more}
    cap: dict[str, Any] = {"max_tokens": 50} if path == MESSAGES else {}
    return {"model": "router:support", "messages": [{"role": "user", "content": text}], **cap, **more}


@dataclass
class World:
    """A running installation with a router, its provider, and a key of the test's own."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: httpx2.AsyncClient
    folder: Path
    failing: dict[str, Reply]

    def answer(self, request: UpstreamRequest) -> Reply:
        failure = self.failing.get(str(request.model).removesuffix("-upstream"))
        return obedient_answer(request) if failure is None else failure

    def fail(self, *models: str, status: int = 503) -> None:
        self.failing.update({model: error_reply(status, "away") for model in models})

    async def ask(self, text: str = "a refund", path: str = CHAT, **more: Any) -> httpx2.Response:
        headers: dict[str, str] = more.pop("headers", {})
        return await self.client.post(path, json=body_of(path, text, **more), headers=headers)

    async def decide(self, text: str = "a refund", **more: Any) -> dict[str, Any]:
        reply = await self.client.post(DECISIONS, json={**body_of(CHAT, text), **more})
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    async def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.server.admin_token}"}
        reply = await self.client.request(method, path, json=body, headers=headers)
        assert reply.status_code < 300, reply.text
        return reply

    async def key(self, **fields: Any) -> dict[str, str]:
        made = await self.admin("POST", KEYS, {"name": "limited", **fields})
        return {"authorization": f"Bearer {made.json()['api_key_info']['secret_key']}"}

    def receipt(self, reply: httpx2.Response) -> dict[str, Any]:
        return self.server.receipt(reply.headers["x-request-id"])

    @property
    def asked(self) -> list[str]:
        """The models that the provider was asked for, oldest first."""
        return [str(each.model).removesuffix("-upstream") for each in self.upstream.requests]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RunningHeadrace, FakeUpstream, Path]]:
    folder = tmp_path_factory.mktemp("routing")
    # A server whose breakers open would mix the tests up: each has failures of its own.
    (folder / "headrace.toml").write_text("[limits]\nbreaker_failures = 0\n")
    module = ("tests.e2e.routing_server", str(folder))
    server = RunningHeadrace(folder / "home", module=module, arguments=("--config", str(folder / "headrace.toml")))
    async with FakeUpstream() as upstream:
        for name, price in PRICES.items():
            server.add_provider(name, upstream.base_url, name)
            file = server.home / "catalog" / f"{name}.toml"
            file.write_text(file.read_text().replace('"0.10"', f'"{price}"').replace('"0.20"', f'"{price}"'))
        await asyncio.to_thread(server.start)
        async with httpx2.AsyncClient(base_url=server.base_url, timeout=60, trust_env=False) as client:
            headers = {"authorization": f"Bearer {server.admin_token}"}
            made = await client.post(ROUTERS, json=SUPPORT, headers=headers)
        assert made.status_code == 200, made.text
        yield server, upstream, folder
        await asyncio.to_thread(server.stop)


@pytest.fixture
async def world(home: tuple[RunningHeadrace, FakeUpstream, Path]) -> AsyncIterator[World]:
    server, upstream, folder = home
    async with httpx2.AsyncClient(base_url=server.base_url, timeout=60, trust_env=False) as client:
        here = World(server, upstream, client, folder, {})
        client.headers.update(await here.key(name="mine"))
        client.headers["x-model-affinity"] = "none"
        upstream.follow(here.answer)
        yield here


def told(reply: httpx2.Response) -> tuple[str | None, ...]:
    names = ("x-headrace-model", "x-model-router-selected-route", "x-headrace-route-basis", "x-headrace-route-score")
    return tuple(reply.headers.get(name) for name in names)


def last_money(body: str) -> dict[str, Any]:
    """The additive fields in the last event that has them."""
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    holders = [each.get("response", each) for each in events]
    found: list[dict[str, Any]] = [each["headrace"] for each in holders if "headrace" in each]
    return found[-1]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
async def test_the_matched_task_decides_who_serves_in_every_dialect(world: World, path: str, stream: bool) -> None:
    usage: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream and path == CHAT else {}
    reply = await world.ask(path=path, stream=stream, **usage)
    assert reply.status_code == 200, reply.text
    assert told(reply) == ("cheap", "refund", "matched", "0.930")
    assert reply.headers["x-headrace-router"] == "support"
    assert world.asked[-1] == "cheap"
    if stream:
        money = last_money(reply.text)
        assert (money["router"], money["route"], money["route_basis"]) == ("support", "refund", "matched")
        assert money["model"] == "cheap"
    else:
        assert reply.json()["model"] == "cheap"
    other = await world.ask("a defect", path=path, stream=stream)
    assert told(other)[:2] == ("fair", "defect")
    nothing = await world.ask("maybe a refund", path=path, stream=stream)
    assert told(nothing) == ("spare", None, "no_match", "0.310")


async def test_a_text_completion_is_routed_too(world: World) -> None:
    reply = await world.client.post("/v1/completions", json={"model": "router:support", "prompt": "a refund"})
    assert reply.status_code in (200, 400), reply.text
    if reply.status_code == 400:
        assert reply.json()["error"]["code"] == "unsupported_by_model"


async def test_the_receipt_tells_how_it_came_about(world: World) -> None:
    reply = await world.ask()
    receipt = world.receipt(reply)
    routing = receipt["routing"]
    assert (receipt["route"], receipt["requested_model"], receipt["served_by"]) == ("refund", "router:support", "cheap")
    assert (routing["router"], routing["score"], routing["policy"]) == ("support", 0.93, "cheapest")
    assert routing["runner_up"] == {"route": "defect", "score": 0.07}
    assert [(each["model"], each["rank"]) for each in routing["candidates"]] == [
        ("cheap", 1),
        ("fair", 2),
        ("dear", 3),
        ("spare", 4),
    ]
    expected = [each["expected_cost_nano_usd"] for each in routing["candidates"][:3]]
    assert expected == sorted(expected)
    assert routing["reference"]["model"] == "dear"
    assert routing["saved_nano_usd"] == routing["reference"]["expected_cost_nano_usd"] - receipt["cost_nano_usd"] > 0
    shown = headrace("receipt", receipt["id"], environment=operator(world)).stdout
    assert "route        refund  0.93  (runner-up defect 0.07; example 1 was closest)" in shown
    assert "pool         cheapest of 4: cheap $" in shown
    assert "saved against dear: $" in shown


def operator(world: World) -> dict[str, str]:
    return {"HEADRACE_URL": world.server.base_url, "HEADRACE_ADMIN_TOKEN": world.server.admin_token}


async def test_failover_stays_in_the_pool_and_then_takes_the_fallback_models(world: World) -> None:
    world.fail("cheap")
    assert told(await world.ask())[:2] == ("fair", "refund")
    world.fail("fair", "dear")
    reply = await world.ask()
    assert told(reply)[:2] == ("spare", "refund")
    assert world.asked[-4:] == ["cheap", "fair", "dear", "spare"]
    assert [each["state"] for each in world.receipt(reply)["attempts"]] == ["voided"] * 3 + ["settled"]
    world.fail("spare")
    assert (await world.ask()).status_code == 502


@pytest.mark.parametrize("path", PATHS)
async def test_an_error_tells_the_decision_and_who_was_asked_last_in_every_dialect(world: World, path: str) -> None:
    world.fail(*PRICES)
    failed = await world.ask(path=path)
    assert (failed.status_code, told(failed)) == (502, ("spare", "refund", "matched", "0.930"))
    assert (failed.headers["x-headrace-router"], failed.headers["x-headrace-attempts"]) == ("support", "4")
    cap = "max_output_tokens" if path == RESPONSES else "max_tokens"
    unable = await world.client.post(path, json={**body_of(path), cap: 5000})
    assert (unable.status_code, told(unable)) == (400, (None, "refund", "matched", "0.930"))
    unrouted = await world.ask(path=path, model="dear")
    assert (unrouted.status_code, told(unrouted)) == (502, ("dear", None, None, None))
    unknown = await world.ask(path=path, model="router:suport")
    assert (unknown.status_code, told(unknown)) == (404, (None, None, None, None))


async def test_who_wants_no_substitute_gets_the_target_that_was_chosen(world: World) -> None:
    world.fail("cheap")
    before = len(world.asked)
    reply = await world.ask(headers={"x-headrace-fallback": "off"}, models=["spare"])
    assert reply.status_code == 502
    assert set(world.asked[before:]) == {"cheap"}


async def test_a_keys_scope_holds_for_every_concrete_target(world: World) -> None:
    narrow = await world.key(models=["dear", "spare"])
    before = len(world.asked)
    world.fail("dear")
    for text in ("a refund", "a defect", "maybe a refund", "?", "hello"):
        for path in PATHS:
            assert told(await world.ask(text, path=path, headers=narrow))[0] in ("dear", "spare")
    managed = await world.client.post(CHAT, json=body_of(CHAT, model="inference-router"), headers=narrow)
    assert managed.status_code == 200
    assert set(world.asked[before:]) <= {"dear", "spare"}
    excluded = [each for each in world.receipt(managed)["routing"]["candidates"] if each["rank"] is None]
    assert {each["model"] for each in excluded} == {"cheap", "fair"}


async def test_when_nobody_can_serve_the_error_says_why_of_each(world: World) -> None:
    reply = await world.ask(max_tokens=5000)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (400, "output_cap_too_large", "model")
    for name in PRICES:
        assert f'"{name}" writes at most 4096 tokens' in error["message"]
    pictured = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    image = await world.client.post(
        CHAT, json={"model": "router:support", "messages": [{"role": "user", "content": pictured}]}
    )
    assert (image.status_code, image.json()["error"]["code"]) == (400, "unsupported_by_model")


async def test_a_router_that_there_is_none_of_is_named_with_the_closest(world: World) -> None:
    reply = await world.client.post(CHAT, json=body_of(CHAT, model="router:suport"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "router_not_found")
    assert 'Did you mean "router:support"?' in reply.json()["error"]["message"]


async def test_an_alias_of_a_router_is_repointed_under_load(world: World) -> None:
    await world.admin("PUT", "/v2/aliases/helpdesk", {"points_to": "router:support", "fallbacks": ["spare"]})
    stop = asyncio.Event()
    seen: set[tuple[str | None, ...]] = set()

    async def load() -> None:
        while not stop.is_set():
            reply = await world.ask(model="helpdesk")
            assert reply.status_code == 200, reply.text
            seen.add(told(reply)[:2])

    async def repoint() -> None:
        for target in ("dear", "router:support", "dear", "router:support", "dear"):
            await world.admin("PUT", "/v2/aliases/helpdesk", {"points_to": target})
            for _ in range(3):
                assert told(await world.ask(model="helpdesk"))[1] == ("refund" if target != "dear" else None)
        stop.set()

    await asyncio.gather(load(), load(), repoint())
    assert seen <= {("cheap", "refund"), ("dear", None)}
    await world.admin("DELETE", "/v2/aliases/helpdesk")


async def test_models_after_the_router_are_tried_after_its_own(world: World) -> None:
    world.fail("cheap", "spare")
    reply = await world.ask("maybe a refund", models=["router:support", "fair"])
    assert told(reply)[0] == "fair"
    behind = await world.ask(model="cheap", models=["router:support"])
    assert told(behind)[:2] == ("fair", "refund")


async def test_a_cached_reply_is_told_with_the_decision_of_now(world: World) -> None:
    cached = await world.key(response_cache={"ttl_seconds": 600})
    first = await world.ask(headers={**cached, "x-model-affinity": "one"})
    again = await world.ask(headers={**cached, "x-model-affinity": "two"})
    assert (first.headers["x-headrace-cache"], again.headers["x-headrace-cache"]) == ("miss", "hit")
    assert told(again) == told(first)
    assert (first.headers["x-headrace-session"], again.headers["x-headrace-session"]) == ("one", "two")
    other = await world.ask("a defect", headers=cached)
    assert other.headers["x-headrace-cache"] == "miss"


async def test_a_caller_that_leaves_is_booked_with_its_decision(world: World) -> None:
    gate = Gate()
    world.upstream.follow([chat_stream("one two three").hold(gate, before_frame=3)])
    async with world.client.stream("POST", CHAT, json=body_of(CHAT, stream=True)) as reply:
        await anext(reply.aiter_bytes())
        await asyncio.to_thread(gate.wait_reached)
    await asyncio.to_thread(eventually, lambda: world.server.count("hold") == 0, "the books are closed")
    gate.release()
    receipt = world.receipt(reply)
    assert (receipt["status"], receipt["routing"]["route"]) == (499, "refund")


async def test_a_budget_refuses_a_routed_request_like_any_other(world: World) -> None:
    poor = await world.key(name="poor")
    uuid = next(
        each["uuid"] for each in (await world.admin("GET", KEYS)).json()["api_key_infos"] if each["name"] == "poor"
    )
    await world.admin("POST", "/v2/budgets", {"scope": f"key:{uuid}", "limit_usd": "0.000001", "window": "day"})
    before = len(world.asked)
    reply = await world.ask(headers=poor)
    assert (reply.status_code, reply.json()["error"]["code"]) == (402, "budget_exceeded")
    assert len(world.asked) == before
    decided = await world.client.post(DECISIONS, json=body_of(CHAT), headers=poor)
    assert decided.json()["model"] == "cheap", "to be told costs nothing"


async def test_what_would_cost_more_than_the_router_takes_is_left_out(world: World) -> None:
    tight = {**SUPPORT, "name": "tight", "max_cost_usd": "0.0001"}
    uuid = (await world.admin("POST", ROUTERS, tight)).json()["model_router"]["uuid"]
    reply = await world.ask(model="router:tight")
    left_out = [each["model"] for each in world.receipt(reply)["routing"]["candidates"] if each["rank"] is None]
    assert "dear" in left_out
    await world.admin("PUT", f"{ROUTERS}/{uuid}", {**tight, "max_cost_usd": "0"})
    refused = await world.ask(model="router:tight")
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "over_max_cost")
    await world.admin("DELETE", f"{ROUTERS}/{uuid}")


async def test_without_its_weights_the_fallback_models_serve(world: World) -> None:
    (world.folder / AWAY).touch()
    try:
        reply = await world.ask()
        managed = await world.ask(model="inference-router")
    finally:
        (world.folder / AWAY).unlink()
    assert told(reply) == ("spare", None, "unread", None)
    assert "the weights are not here" in world.receipt(reply)["routing"]["reason"]
    assert told(managed)[2] == "unread"


@pytest.mark.parametrize("preference", ["budget", "balanced", "quality"])
async def test_the_managed_router_takes_a_preference_and_sends_none_on(world: World, preference: str) -> None:
    reply = await world.ask(model="inference-router", routing_preference=preference)
    assert told(reply)[1:3] == (None, "managed")
    assert reply.headers["x-headrace-router"] == "inference-router"
    assert world.receipt(reply)["routing"]["policy"] == preference
    assert "routing_preference" not in world.upstream.requests[-1].fields


@pytest.mark.parametrize(
    "more", [{"model": "inference-router", "routing_preference": "best"}, {"routing_preference": "budget"}]
)
async def test_a_preference_that_cannot_be_is_refused_naming_the_field(world: World, more: dict[str, Any]) -> None:
    for path in (CHAT, DECISIONS):
        reply = await world.client.post(path, json=body_of(CHAT, **more))
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "routing_preference")


async def test_a_decision_is_told_without_calling_anybody(world: World) -> None:
    before, books = len(world.asked), world.server.count("request")
    decided = await world.decide()
    assert (decided["object"], decided["router"], decided["route"], decided["score"]) == (
        "routing.decision",
        "support",
        "refund",
        0.93,
    )
    assert (decided["model"], decided["provider"], decided["basis"]) == ("cheap", "cheap", "matched")
    assert decided["decided_ms"] >= 0
    nothing = await world.decide("maybe a refund")
    assert (nothing["route"], nothing["score"], nothing["likeliest"]) == (None, 0.31, "refund")
    assert (len(world.asked), world.server.count("request")) == (before, books)


@pytest.mark.parametrize(
    ("body", "route"),
    [
        (body_of(CHAT), "refund"),
        (body_of(MESSAGES, system="Be brief."), "refund"),
        (
            {"model": "router:support", "messages": [{"role": "user", "content": "a defect"}], "dialect": "messages"},
            "defect",
        ),
        (body_of(RESPONSES), "refund"),
        ({"model": "router:support", "input": [{"role": "user", "content": "a defect"}]}, "defect"),
        (body_of(CHAT, ""), None),
    ],
)
async def test_a_decision_takes_the_body_of_any_dialect(world: World, body: dict[str, Any], route: str | None) -> None:
    reply = await world.client.post(DECISIONS, json=body)
    assert reply.status_code == 200, reply.text
    assert reply.json()["route"] == route


async def test_a_decision_reads_the_response_that_a_request_continues(world: World) -> None:
    first = await world.ask("a defect", path=RESPONSES)
    more = {"model": "router:support", "input": "and now?", "previous_response_id": first.json()["id"]}
    reply = await world.client.post(DECISIONS, json=more)
    assert reply.status_code == 200, reply.text
    lost = await world.client.post(DECISIONS, json={**more, "previous_response_id": "resp_lost"})
    assert lost.json()["error"]["code"] == "previous_response_not_found"


async def test_a_draft_is_decided_before_it_is_saved(world: World) -> None:
    draft = {key: value for key, value in SUPPORT.items() if key != "name"}
    policies = [{"custom_task": {"name": "billing", "description": "Money."}, "models": ["dear"]}]
    decided = await world.decide("billing", model=None, router={**draft, "policies": policies})
    assert (decided["router"], decided["route"], decided["model"]) == (None, "billing", "dear")
    wrong = await world.client.post(DECISIONS, json={**body_of(CHAT), "router": {**draft, "policies": []}})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "router.policies")


async def test_decisions_count_as_requests(world: World) -> None:
    quick = await world.key(name="quick")
    uuid = next(
        each["uuid"] for each in (await world.admin("GET", KEYS)).json()["api_key_infos"] if each["name"] == "quick"
    )
    await world.admin("PUT", f"/v2/limits/key:{uuid}", {"requests_per_day": 2, "tokens_per_minute": 1})
    replies = [await world.client.post(DECISIONS, json=body_of(CHAT), headers=quick) for _ in range(3)]
    assert [each.status_code for each in replies] == [200, 200, 429]
    assert replies[0].headers["x-ratelimit-remaining-requests"] == "1"
    assert replies[2].json()["error"]["limit"] == "requests_per_day"


async def test_the_command_says_who_would_serve(world: World, tmp_path: Path) -> None:
    shown = headrace("route", "explain", "router:support", "a refund", environment=operator(world))
    first = shown.stdout.splitlines()[0]
    assert first.startswith("refund 0.93 → cheap (cheapest: $"), shown.stderr
    assert first.endswith(" ms, nothing was called")
    file = tmp_path / "body.json"
    file.write_text(json.dumps({"input": "a defect"}))
    as_json = headrace("route", "explain", "router:support", "--file", str(file), "--json", environment=operator(world))
    assert json.loads(as_json.stdout)["route"] == "defect"
