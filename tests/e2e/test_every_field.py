"""Every field of the official SDKs' types through a running server: it arrives, is refused, or is named.

The six translations are judged field by field, down to the last, in tests/unit/wire/test_every_field.py. Here are all
nine pairs and the whole way: edge, plan, adapter, the bytes that the upstream read, the header that the caller reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from headrace.testing.anthropic_replies import Message, messages_reply, messages_stream
from headrace.testing.openai_replies import Chat, chat_reply, chat_stream
from headrace.testing.responses_replies import response_reply, response_stream
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.field_requests import NAMES, Case, Name, Outcome, cases, fate
from tests.running import RunningHeadrace
from tests.unit.wire.test_every_field import NEUTRAL

ADAPTERS: Mapping[Name, str | None] = {"chat": None, "responses": "openai_responses", "messages": "anthropic"}
PATHS: Mapping[Name, str] = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}
DEPTH = 3
# What an upstream of the caller's own dialect is told whatever the caller says of it.
SAME_DIALECT: Mapping[Name, frozenset[str]] = {
    "chat": frozenset({"stream_options.include_usage = true", "stream_options.include_usage = false"}),
    "responses": frozenset(
        {
            "background = false",
            'include = ["reasoning.encrypted_content"]',
            'model = "one"',
            'previous_response_id = "canary"',
            "store = true",
            "store = false",
        }
    ),
    "messages": frozenset(),
}


@dataclass(frozen=True)
class World:
    """A running installation with a provider for each dialect."""

    upstream: FakeUpstream
    client: httpx2.Client


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = RunningHeadrace(tmp_path_factory.mktemp("fields") / "home")
    with running_upstream(answer) as upstream:
        for name in NAMES:
            server.add_provider(f"fake{name}", upstream.base_url, f"one-{name}", adapter=ADAPTERS[name])
            file = server.home / "catalog" / f"fake{name}.toml"
            more = '"streaming", "image_input", "file_input", "audio_input", "reasoning", '
            file.write_text(file.read_text().replace('"streaming", ', more))
        with server, server.client() as client:
            yield World(upstream, client)


def answer(request: UpstreamRequest) -> Reply:
    """Answer with an empty JSON object in the upstream's dialect, which keeps to every schema that was asked for."""
    streamed = request.fields.get("stream") is True
    if request.path.endswith("/messages"):
        return messages_stream(Message("{}")) if streamed else messages_reply(Message("{}"))
    if request.path.endswith("/responses"):
        return response_stream(Chat("{}")) if streamed else response_reply(Chat("{}"))
    choices = request.fields.get("n")
    chat = Chat("{}", choices=choices if isinstance(choices, int) else 1)
    return chat_stream(chat) if streamed else chat_reply(chat)


def outcome(world: World, client: Name, upstream: Name, body: dict[str, Any]) -> Outcome:
    """Ask, and return what reached the upstream with what the caller was told."""
    before = len(world.upstream.requests)
    reply = world.client.post(PATHS[client], json={**body, "model": f"one-{upstream}"})
    sent = world.upstream.requests[before:]
    if reply.status_code == 200:
        dropped = tuple(filter(None, reply.headers.get("x-headrace-dropped", "").split(", ")))
        [request] = sent
        return Outcome(json.dumps(request.fields, sort_keys=True), dropped)
    assert reply.status_code == 400 and not sent, (reply.status_code, reply.text, body)
    error = reply.json()["error"]
    return Outcome(refused=error.get("param") or "", message=error["message"])


def near(client: Name) -> Iterator[Case]:
    """Return the fields that do not lie deep; the same field with the same value once."""
    seen: set[str] = set()
    for case in cases(client):
        key = json.dumps([case.without, case.having])
        if len(case.variant.path) <= DEPTH and key not in seen:
            seen.add(key)
            yield case


@pytest.mark.parametrize("upstream", NAMES)
@pytest.mark.parametrize("client", NAMES)
def test_every_field_arrives_or_is_refused_or_named(world: World, client: Name, upstream: Name) -> None:
    allowed = SAME_DIALECT[client] if client == upstream else NEUTRAL[client, upstream]
    kept: dict[str, Outcome] = {}
    wrong: dict[str, str] = {}
    count = 0
    for case in near(client):
        count += 1
        key = json.dumps(case.without)
        if key not in kept:
            kept[key] = outcome(world, client, upstream, case.without)
        found = fate(case, kept[key], outcome(world, client, upstream, case.having))
        if found not in ("translated", "refused", "dropped") and case.name not in allowed:
            wrong[case.name] = found
    assert (wrong, count > 100) == ({}, True)
