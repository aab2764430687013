"""Alerts on the real server: a key is really revoked, an alias really points elsewhere, and messages really arrive."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.testing.obedient import obedient_answer
from headrace.testing.openai_replies import error_reply
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream
from tests.contract.raw_upstream import Played, RawRequest, RawUpstream
from tests.running import RunningHeadrace, eventually, headrace

CHAT = "/v1/chat/completions"
KEYS = "/v2/gen-ai/models/api_keys"
TAKEN = Played((b"HTTP/1.1 204 No Content\r\n\r\n",))
BUSY = Played((b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",))
HANGING = Played(())
CANARY = "a prompt that must never leave in a message"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["data"]
        return found


class Receiver:
    """Takes messages on a loopback port, answering as it is told."""

    def __init__(self) -> None:
        self.answer = TAKEN
        self.messages: list[Message] = []
        self.upstream = RawUpstream(self._take)

    def _take(self, request: RawRequest) -> Played:
        lines = request.head.decode().split("\r\n")[1:]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        self.messages.append(Message(headers, request.body))
        return self.answer

    @property
    def authority(self) -> str:
        return self.upstream.base_url.removeprefix("http://")

    def fired(self, name: str) -> list[Message]:
        """The messages of alerts with this name."""
        return [each for each in self.messages if each.data.get("alert", {}).get("name") == name]


@dataclass(frozen=True)
class World:
    """A running installation, its provider, its receiver, and the operator."""

    server: RunningHeadrace
    upstream: FakeUpstream
    receiver: Receiver
    admin: httpx2.AsyncClient

    async def make(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = await self.admin.post(path, json=body)
        assert reply.status_code == 201, reply.text
        (made,) = reply.json().values()
        return dict[str, Any](made)

    async def webhook(self, path: str = "/hook") -> tuple[str, str]:
        """Make a webhook; returns its id and its secret."""
        made = await self.make("/v2/webhooks", {"url": f"{self.receiver.upstream.base_url}{path}"})
        return made["id"], made["secret"]

    async def events(self, alert_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.admin.get(f"/v2/alerts/events?alert={alert_id}")).json()["events"]
        return found


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def client_of(server: RunningHeadrace, token: str) -> httpx2.AsyncClient:
    headers = {"authorization": f"Bearer {token}"}
    return httpx2.AsyncClient(base_url=server.base_url, headers=headers, timeout=60, trust_env=False)


def body(model: str = "m", **fields: object) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": CANARY}], "max_tokens": 50, **fields}


def answer_of(request: UpstreamRequest) -> Reply:
    """Answers for every model but the one that is broken."""
    return error_reply(500) if request.model == "broken-upstream" else obedient_answer(request)


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    receiver = Receiver()
    async with FakeUpstream() as upstream, receiver.upstream:
        server = RunningHeadrace(
            tmp_path_factory.mktemp("alerts") / "home", arguments=("--webhook-host", receiver.authority)
        )
        server.add_provider("fake", upstream.base_url, "m")
        server.add_provider("failing", upstream.base_url, "broken")
        await asyncio.to_thread(server.start)
        upstream.follow(answer_of)
        async with client_of(server, server.admin_token) as admin:
            yield World(server, upstream, receiver, admin)
        await asyncio.to_thread(server.stop)


@pytest.fixture
def world(place: World) -> World:
    place.receiver.answer = TAKEN
    return place


def check_signature(message: Message, secret: str) -> None:
    """What a receiver does, by the specification and without any code of ours."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    stamp = message.headers["webhook-timestamp"]
    signed = f"{message.headers['webhook-id']}.{stamp}.".encode() + message.body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert hmac.compare_digest(expected, message.headers["webhook-signature"])
    wrong = signed.replace(stamp.encode(), str(int(stamp) + 1).encode(), 1)
    assert hmac.new(key, wrong, hashlib.sha256).digest() != hmac.new(key, signed, hashlib.sha256).digest()


async def waited(holds: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(eventually, lambda: bool(holds()), what)


async def test_a_key_that_spends_its_budget_is_revoked_and_told_of(world: World) -> None:
    made = (await world.admin.post(KEYS, json={"name": "spender"})).json()["api_key_info"]
    scope = f"key:{made['uuid']}"
    budget = await world.make("/v2/budgets", {"scope": scope, "window": "day", "limit_usd": "0.0001"})
    webhook, secret = await world.webhook()
    alert = await world.make(
        "/v2/alerts",
        {
            "name": "spent",
            "metric": "budget_used",
            "scope": f"budget:{budget['id']}",
            "threshold_percent": 1,
            "webhooks": [webhook],
            "action": {"kind": "revoke_key", "key": made["uuid"]},
        },
    )
    async with client_of(world.server, made["secret_key"]) as client:
        assert (await client.post(CHAT, json=body())).status_code == 200
        await waited(lambda: world.receiver.fired("spent"), "the message")
        refused = await client.post(CHAT, json=body())
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    (message,) = world.receiver.fired("spent")
    check_signature(message, secret)
    assert message.headers["content-type"] == "application/json"
    assert message.data["result"] == {"done": True, "code": None, "message": None}
    assert message.data["value_percent"] >= 1
    for hidden in (CANARY, made["secret_key"], secret, world.server.admin_token):
        assert hidden not in message.body.decode()
    (event,) = await world.events(alert["id"])
    assert {**message.data, "deliveries": event["deliveries"]} == event
    assert event["deliveries"][0]["id"] == message.headers["webhook-id"]
    assert secret not in world.server.log
    assert f'"{event["id"]}"' in world.server.log


async def test_an_alias_is_pointed_away_from_a_model_that_fails(world: World) -> None:
    await world.make("/v2/aliases", {"name": "daily", "points_to": "broken"})
    alert = await world.make(
        "/v2/alerts",
        {
            "name": "broken",
            "metric": "error_rate",
            "scope": "model:broken",
            "threshold_percent": 50,
            "min_attempts": 2,
            "window_seconds": 60,
            "action": {"kind": "repoint_alias", "alias": "daily", "points_to": "m"},
        },
    )
    async with client_of(world.server, world.server.api_key) as client:
        for _ in range(3):
            assert (await client.post(CHAT, json=body("daily"))).status_code >= 500

        def is_pointed() -> bool:
            with world.server.client(world.server.admin_token) as operator:
                return bool(operator.get("/v2/aliases/daily").json()["alias"]["points_to"] == "m")

        await waited(is_pointed, "the alias points at m")
        served = await client.post(CHAT, json=body("daily"))
    assert (served.status_code, served.headers["x-headrace-model"]) == (200, "m")
    (event,) = await world.events(alert["id"])
    assert (event["result"]["done"], event["deliveries"]) == (True, [])


async def test_a_receiver_that_hangs_delays_no_request(world: World) -> None:
    world.receiver.answer = HANGING
    webhook, _ = await world.webhook("/hangs")
    fields = {"metric": "cost_per_hour", "scope": "platform", "threshold_usd": "0.000000001", "webhooks": [webhook]}
    alert = await world.make("/v2/alerts", {"name": "hanging", **fields})
    async with client_of(world.server, world.server.api_key) as client:
        assert (await client.post(CHAT, json=body())).status_code == 200
        await waited(lambda: world.receiver.fired("hanging"), "the message is on its way")
        replies = await asyncio.gather(*(client.post(CHAT, json=body(stream=bool(n % 2))) for n in range(20)))
    assert {each.status_code for each in replies} == {200}
    (event,) = await world.events(alert["id"])
    assert (event["deliveries"][0]["state"], event["deliveries"][0]["attempts"]) == ("pending", 0)
    assert len(world.receiver.fired("hanging")) == 1


async def test_the_command_makes_tries_lists_and_deletes(world: World) -> None:
    async def verb(*words: str, status: int = 0) -> str:
        ran = await asyncio.to_thread(headrace, *words, home=world.server.home)
        assert ran.returncode == status, ran.stderr
        return ran.stdout

    url = f"{world.receiver.upstream.base_url}/command"
    hook = json.loads(await verb("webhooks", "create", url, "--json"))["webhook"]
    assert "taken with status 204" in await verb("webhooks", "test", hook["id"])
    check_signature(world.receiver.messages[-1], hook["secret"])
    world.receiver.answer = BUSY
    assert await verb("webhooks", "test", hook["id"], status=1) == "It was not taken. The receiver answered 503.\n"
    assert hook["id"] in await verb("webhooks", "list")
    flags = ("--usd", "5", "--webhook", hook["id"])
    alert = json.loads(await verb("alerts", "create", "dear", "cost_per_hour", "platform", *flags, "--json"))["alert"]
    listed = await verb("alerts", "list")
    assert "cost_per_hour of platform is at least $5.00" in listed
    assert hook["secret"] not in listed + await verb("webhooks", "list", "--json")
    assert json.loads(await verb("alerts", "events", "--json"))["meta"]["total"] >= 1
    assert "is deleted" in await verb("alerts", "delete", alert["id"])
    assert "is deleted" in await verb("webhooks", "delete", hook["id"])


@pytest.mark.parametrize("url", ["https://127.0.0.1:1/", "https://localhost/", "https://[::1]/", "https://2130706433/"])
async def test_a_private_address_is_refused_unless_it_is_allowed(world: World, url: str) -> None:
    before = (await world.admin.get("/v2/webhooks")).json()
    reply = await world.admin.post("/v2/webhooks", json={"url": url})
    assert (reply.status_code, reply.json()["id"]) == (400, "webhook_address_private")
    assert "--webhook-host" in reply.json()["message"]
    assert (await world.admin.get("/v2/webhooks")).json() == before


async def test_a_killed_server_delivers_what_it_still_owed_under_the_same_id(tmp_path: Path) -> None:
    receiver = Receiver()
    receiver.answer = BUSY
    async with FakeUpstream() as upstream, receiver.upstream:
        server = RunningHeadrace(tmp_path / "home", arguments=("--webhook-host", receiver.authority))
        server.add_provider("fake", upstream.base_url, "m")
        upstream.follow(obedient_answer)
        await asyncio.to_thread(server.start)
        async with client_of(server, server.admin_token) as admin:
            world = World(server, upstream, receiver, admin)
            webhook, secret = await world.webhook()
            fields = {"metric": "cost_per_hour", "scope": "platform", "threshold_usd": "0.000000001"}
            alert = await world.make("/v2/alerts", {"name": "owed", "webhooks": [webhook], **fields})
            async with client_of(server, server.api_key) as client:
                assert (await client.post(CHAT, json=body())).status_code == 200
            await waited(lambda: receiver.fired("owed"), "the first attempt")
        await asyncio.to_thread(server.kill)
        failed = len(receiver.fired("owed"))
        receiver.answer = TAKEN
        await asyncio.to_thread(server.start)
        await waited(lambda: len(receiver.fired("owed")) > failed, "the attempt after the restart")
        async with client_of(server, server.admin_token) as admin:
            world = World(server, upstream, receiver, admin)

            def is_delivered() -> bool:
                with server.client(server.admin_token) as operator:
                    found = operator.get("/v2/alerts/events").json()["events"]
                return [each["state"] for event in found for each in event["deliveries"]] == ["delivered"]

            await waited(is_delivered, "the delivery is noted")
            assert len(await world.events(alert["id"])) == 1
        await asyncio.to_thread(server.stop)
    for message in receiver.fired("owed"):
        check_signature(message, secret)
    assert len({(each.headers["webhook-id"], each.body) for each in receiver.fired("owed")}) == 1
