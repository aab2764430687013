"""Structured output is kept to: in all nine pairs what has another form is an error, counted for its model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from headrace.testing.openai_replies import Chat
from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.e2e.test_nine_pairs import ADAPTERS, CELLS, SCHEMA, UPSTREAMS, Name, reply_of, said, shape_of
from tests.running import RunningHeadrace

PATHS: Mapping[Name, str] = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
ENDS: Mapping[Name, bytes] = {"chat": b"[DONE]", "responses": b"response.completed", "messages": b"message_stop"}
CODE = "structured_output_invalid"
GOOD, BAD = '{"city":"Oslo"}', '{"town":"Oslo"}'


@dataclass(frozen=True)
class World:
    """A running installation and the providers of three dialects behind it, each with a second model."""

    server: RunningHeadrace
    upstream: FakeUpstream
    client: httpx2.Client

    def ask(self, client: Name, upstream: Name, text: str, *, stream: bool = False, **more: Any) -> tuple[Any, bytes]:
        """Ask for a city by a client's dialect while the upstream says this; returns the reply and all its bytes."""
        self.upstream.follow(lambda _: reply_of(upstream, Chat(text), streamed=stream))
        body = {**said(client, "Where?"), **shape_of(client), "model": f"one-{upstream}", "stream": stream, **more}
        body |= {"max_tokens": 99} if client == "messages" else {}
        taken = bytearray()
        with self.client.stream("POST", PATHS[client], json=body) as reply:
            try:
                for block in reply.iter_raw():
                    taken += block
            except httpx2.RemoteProtocolError:
                assert stream
        return reply, bytes(taken)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = RunningHeadrace(tmp_path_factory.mktemp("shapes") / "home")
    with running_upstream() as upstream:
        for name in UPSTREAMS:
            server.add_provider(f"fake{name}", upstream.base_url, f"one-{name}", f"two-{name}", adapter=ADAPTERS[name])
        with server, server.client() as client:
            yield World(server, upstream, client)


@pytest.mark.parametrize(("client", "upstream"), CELLS, ids=str)
def test_a_whole_answer_of_another_form_is_an_error_and_free(world: World, client: Name, upstream: Name) -> None:
    reply, taken = world.ask(client, upstream, BAD)
    error = json.loads(taken)["error"]
    assert (reply.status_code, error["code"]) == (502, CODE)
    assert '$ has no "city"' in error["message"]
    receipt = world.server.receipt(reply.headers["x-request-id"])
    [attempt] = receipt["attempts"]
    assert (attempt["ending"], attempt["charge_nano_usd"], receipt["charge_nano_usd"]) == (CODE, 0, 0)
    assert attempt["cost_nano_usd"] > 0
    good, taken = world.ask(client, upstream, GOOD)
    assert good.status_code == 200 and b"Oslo" in taken


@pytest.mark.parametrize(("client", "upstream"), CELLS, ids=str)
def test_a_stream_of_another_form_has_no_end(world: World, client: Name, upstream: Name) -> None:
    reply, taken = world.ask(client, upstream, BAD, stream=True)
    assert reply.status_code == 200
    assert CODE.encode() in taken and ENDS[client] not in taken
    [attempt] = world.server.receipt(reply.headers["x-request-id"])["attempts"]
    assert attempt["ending"] == CODE and attempt["charge_nano_usd"] > 0
    good, taken = world.ask(client, upstream, GOOD, stream=True)
    assert good.status_code == 200 and ENDS[client] in taken


def test_another_model_may_do_better_and_each_failure_counts_for_its_own(world: World) -> None:
    texts = {"one-chat-upstream": BAD, "two-chat-upstream": GOOD}
    world.upstream.follow({name: reply_of("chat", Chat(text), streamed=False) for name, text in texts.items()})
    body = {**said("chat", "Where?"), **shape_of("chat"), "model": "one-chat", "models": ["two-chat"]}
    replies = [world.client.post(PATHS["chat"], json=body) for _ in range(4)]
    assert {each.headers["x-headrace-model"] for each in replies} == {"two-chat"}
    # The provider answers well: its breaker stays closed, and the first model is asked each time.
    assert {each.headers["x-headrace-attempts"] for each in replies} == {"2"}
    with world.server.client(world.server.admin_token) as admin:
        counted = [line for line in admin.get("/metrics").text.splitlines() if CODE in line]
        asked = {"from": "24h", "interval": "total", "group_by": "model", "status": CODE}
        usage = admin.get("/v2/usage", params=asked).json()["usage"]
    assert any('model="one-chat"' in line for line in counted)
    assert not any('model="two-chat"' in line for line in counted)
    assert {each["model"] for each in usage} >= {"one-chat"}


def test_a_model_that_cannot_is_no_candidate(world: World) -> None:
    file = world.server.home / "catalog" / "plain.toml"
    world.server.add_provider("plain", world.upstream.base_url, "no-schema")
    file.write_text(file.read_text().replace('"json_schema", ', ""))
    with world.server.client(world.server.admin_token) as admin:
        assert admin.post("/v2/config/reload").status_code == 200
    before = len(world.upstream.requests)
    body = {**said("chat", "Where?"), **shape_of("chat"), "model": "no-schema"}
    refused = world.client.post(PATHS["chat"], json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_by_model")
    assert len(world.upstream.requests) == before
    world.upstream.follow(reply_of("chat", Chat(GOOD), streamed=False))
    served = world.client.post(PATHS["chat"], json={**body, "models": ["one-chat"]})
    assert (served.status_code, served.headers["x-headrace-model"]) == (200, "one-chat")


def test_a_schema_that_need_not_be_kept_to_asks_for_json_only(world: World) -> None:
    loose = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    kept, _ = world.ask("chat", "chat", BAD, response_format=loose)
    assert kept.status_code == 200
    for form in (loose, {"type": "json_object"}):
        broken, taken = world.ask("chat", "chat", "Oslo, I think.", response_format=form)
        assert broken.status_code == 502 and b"it is not JSON" in taken
