"""Bad input that is refused in all nine pairs before anything is sent, also where the upstream speaks the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from headrace.testing.upstream import FakeUpstream, running_upstream
from tests.e2e.test_nine_pairs import ADAPTERS, CELLS, UPSTREAMS, Name, said
from tests.running import RunningHeadrace

PATHS: Mapping[Name, str] = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
ORPHAN, REFUSED, WRONG = "orphan_tool_result", "unsupported_field", "invalid_request"
PICTURE = "data:image/png;base64,iVBORw0KGgo="
# Client and what is wrong: the request's fields, and the code and the field that the refusal must name.
BAD: Mapping[tuple[Name, str], tuple[dict[str, Any], str, str | None]] = {
    ("chat", "a tool without a name"): (
        {"tools": [{"type": "function", "function": {"parameters": {"type": "object"}}}]},
        WRONG,
        "tools[0].function.name",
    ),
    ("responses", "a tool without a name"): ({"tools": [{"type": "function"}]}, WRONG, "tools[0].name"),
    ("messages", "a tool without a name"): ({"tools": [{"input_schema": {"type": "object"}}]}, WRONG, "tools[0].name"),
    ("chat", "an orphan result"): (
        {"messages": [{"role": "user", "content": "a"}, {"role": "tool", "tool_call_id": "c9", "content": "b"}]},
        ORPHAN,
        "messages[1].tool_call_id",
    ),
    ("responses", "an orphan result"): (
        {"input": [{"type": "function_call_output", "call_id": "c9", "output": "b"}]},
        ORPHAN,
        "input[0].call_id",
    ),
    ("messages", "an orphan result"): (
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c9", "content": "b"}]}]},
        ORPHAN,
        "messages[0].content[0].tool_use_id",
    ),
    ("chat", "options without a stream"): ({"stream_options": {"include_usage": True}}, WRONG, "stream_options"),
    ("responses", "options without a stream"): (
        {"stream_options": {"include_obfuscation": False}},
        WRONG,
        "stream_options",
    ),
    ("chat", "a search that nobody priced"): ({"web_search_options": {}}, REFUSED, "web_search_options"),
    ("responses", "a search that nobody priced"): ({"tools": [{"type": "web_search"}]}, REFUSED, "tools[0].type"),
    ("responses", "work in the background"): ({"background": True}, REFUSED, "background"),
    ("responses", "a provider's conversation"): ({"conversation": "conv_1"}, REFUSED, "conversation"),
    ("chat", "a picture for a text model"): (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}]},
        "unsupported_by_model",
        None,
    ),
    ("chat", "too long a prompt"): (
        {"messages": [{"role": "user", "content": "word " * 400_000}]},
        "context_length_exceeded",
        "messages",
    ),
}


@dataclass(frozen=True)
class World:
    """A running installation and the providers of three dialects behind it."""

    upstream: FakeUpstream
    client: httpx2.Client


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server = RunningHeadrace(tmp_path_factory.mktemp("bad") / "home")
    with running_upstream() as upstream:
        for name in UPSTREAMS:
            server.add_provider(f"fake{name}", upstream.base_url, f"one-{name}", adapter=ADAPTERS[name])
        with server, server.client() as client:
            yield World(upstream, client)


def refused(world: World, path: str, body: dict[str, Any]) -> dict[str, Any]:
    before = len(world.upstream.requests)
    reply = world.client.post(path, json=body)
    assert reply.status_code == 400, reply.text
    assert len(world.upstream.requests) == before
    error: dict[str, Any] = reply.json()["error"]
    return error


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(("client", "what"), BAD, ids=str)
def test_it_is_refused_by_its_name_and_nothing_is_sent(world: World, client: Name, what: str, upstream: Name) -> None:
    fields, code, param = BAD[client, what]
    cap = {"max_tokens": 9} if client == "messages" else {}
    error = refused(world, PATHS[client], {**said(client, "Hi"), **cap, **fields, "model": f"one-{upstream}"})
    assert (error["code"], error.get("param")) == (code, param)
    if code == "context_length_exceeded":
        assert "reads at most 100000 tokens" in error["message"] and "at least" in error["message"]


@pytest.mark.parametrize(("client", "upstream"), CELLS, ids=str)
def test_a_model_in_two_places_is_refused(world: World, client: Name, upstream: Name) -> None:
    cap = {"max_tokens": 9} if client == "messages" else {}
    body = {**said(client, "Hi"), **cap, "model": f"one-{upstream}"}
    error = refused(world, f"{PATHS[client]}?model=one-chat", body)
    assert (error["code"], error["param"]) == ("model_named_twice", "model")
