"""The engine's adapter: what is sent, what is refused before, and how its refusals are named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.errors import (
    EngineFailed,
    InvalidRequest,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
)
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.plan import Deadlines, Endpoint
from headrace.drivers.engines.llamacpp_adapter import LlamaCppAdapter
from headrace.ports.upstream import Exchange, Prepared
from headrace.testing.clock import FakeIds
from tests.engine_calls import chat_call, local_target

ENDPOINT = Endpoint("http://127.0.0.1:1")
TARGET = local_target()


class RefusingExchange:
    status = 400
    headers: Mapping[str, str] = {}

    async def read(self) -> bytes | None:
        return None

    async def close(self) -> None:
        return None


class FakeTransport:
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def send(self, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines) -> Exchange:
        assert endpoint == ENDPOINT
        assert prepared.stream
        assert prepared.headers == (("Connection", "close"),)
        del deadlines
        self.sent.append(json.loads(prepared.body))
        return OkExchange() if len(self.sent) < 9 else RefusingExchange()


class OkExchange(RefusingExchange):
    status = 200


class RouteExchange(RefusingExchange):
    """The whole answer of one route."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.blocks = [body[:3], body[3:]]

    async def read(self) -> bytes | None:
        return self.blocks.pop(0) if self.blocks else None


class Routes:
    """Answers other routes of the engine, or fails, and keeps what was asked."""

    def __init__(self, answers: Mapping[str, bytes | UpstreamError], status: int = 200) -> None:
        self.answers = answers
        self.status = status
        self.asked: list[tuple[str, JsonValue]] = []

    async def send(self, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines) -> Exchange:
        self.asked.append((prepared.path, json.loads(prepared.body)))
        answer = self.answers[prepared.path]
        if isinstance(answer, UpstreamError):
            raise answer
        return RouteExchange(self.status, answer)


async def count_with(routes: Routes) -> int | None:
    adapter = LlamaCppAdapter(FakeIds())
    return await adapter.count_prompt(routes, ENDPOINT, adapter.prepare(chat_call(), TARGET), Deadlines())


@pytest.mark.anyio
async def test_the_engine_writes_the_prompt_out_and_counts_it() -> None:
    routes = Routes({"/apply-template": b'{"prompt": "<user>Hello"}', "/tokenize": b'{"tokens": [1, 2, 3]}'})
    assert await count_with(routes) == 3
    assert [path for path, _ in routes.asked] == ["/apply-template", "/tokenize"]
    assert routes.asked[1][1] == {"content": "<user>Hello", "add_special": True, "parse_special": True}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "routes",
    [
        Routes({"/apply-template": UpstreamTimeout("late")}),
        Routes({"/apply-template": b'{"prompt": "x"}'}, status=500),
        Routes({"/apply-template": b"[]"}),
        Routes({"/apply-template": b"not json"}),
        Routes({"/apply-template": b'{"prompt": "x"}', "/tokenize": b'{"error": {}}'}),
    ],
)
async def test_what_the_engine_does_not_count_is_not_guessed(routes: Routes) -> None:
    assert await count_with(routes) is None


def prepared(**fields: JsonValue) -> dict[str, Any]:
    return json.loads(LlamaCppAdapter(FakeIds()).prepare(chat_call(**fields), TARGET).body)


@pytest.mark.parametrize("stream", [True, False])
def test_the_engine_is_always_asked_for_a_stream_with_usage(stream: bool) -> None:
    request = LlamaCppAdapter(FakeIds()).prepare(chat_call(stream=stream), TARGET)
    assert request.path == "/v1/chat/completions"
    assert request.stream
    body = json.loads(request.body)
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert body["max_tokens"] == TARGET.model.default_output_tokens


def test_unknown_fields_pass_and_the_cap_has_one_name() -> None:
    body = prepared(max_completion_tokens=5, top_k=3, cache_prompt=False, vendor={"a": [1]})
    assert "max_completion_tokens" not in body
    assert (body["max_tokens"], body["top_k"], body["cache_prompt"]) == (5, 3, False)
    assert body["vendor"] == {"a": [1]}


REFUSED: list[tuple[JsonObject, str, str]] = [
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "messages",
        "text",
    ),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages", "input_audio"),
    ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "messages", "file"),
    ({"n": 17}, "n", "at most 16"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}, "messages[0].content", "not 7"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content", "not null"),
    ({"stop": 7}, "stop", "not 7"),
    ({"stop": ["a", None]}, "stop", "array of strings"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "that is an object"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": []}}},
        "response_format.json_schema",
        "that is an object",
    ),
]


@pytest.mark.parametrize(("fields", "param", "words"), REFUSED)
def test_what_the_engine_cannot_do_is_refused_before(fields: JsonObject, param: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        prepared(**fields)
    assert refused.value.param == param


@pytest.mark.parametrize("messages", [None, [], ["Hi"], [{"content": "Hi"}], [{"role": 1}]])
def test_messages_are_checked_again(messages: JsonValue) -> None:
    call = chat_call()
    unchecked = replace(call, body={**call.body, "messages": messages})
    with pytest.raises(InvalidRequest) as refused:
        LlamaCppAdapter(FakeIds()).prepare(unchecked, TARGET)
    assert refused.value.param == "messages"


def test_a_cap_of_nothing_is_refused() -> None:
    call = chat_call()
    with pytest.raises(InvalidRequest) as refused:
        LlamaCppAdapter(FakeIds()).prepare(replace(call, envelope=replace(call.envelope, output_cap=0)), TARGET)
    assert refused.value.param == "max_tokens"


@pytest.mark.parametrize(
    ("fields", "seeds"),
    [({}, [None]), ({"n": 1}, [None]), ({"n": None}, [None]), ({"n": 3}, [None] * 3), ({"n": 3, "seed": 7}, [7, 8, 9])],
)
async def test_each_choice_is_a_request_of_its_own(fields: JsonObject, seeds: list[int | None]) -> None:
    adapter, transport = LlamaCppAdapter(FakeIds()), FakeTransport()
    request = adapter.prepare(chat_call(**fields), TARGET)
    exchange = await adapter.open(transport, ENDPOINT, request, Deadlines())
    while await exchange.read() is not None:
        pass
    await exchange.close()
    assert all("n" not in body for body in transport.sent)
    assert [body.get("seed") for body in transport.sent] == seeds


async def test_a_refused_first_choice_is_the_answer() -> None:
    adapter, transport = LlamaCppAdapter(FakeIds()), FakeTransport()
    transport.sent = [{}] * 8
    request = adapter.prepare(chat_call(n=3), TARGET)
    exchange = await adapter.open(transport, ENDPOINT, request, Deadlines())
    assert exchange.status == 400
    assert len(transport.sent) == 9


def failure(status: int, error: JsonValue) -> Exception:
    return LlamaCppAdapter(FakeIds()).failure(status, {}, json.dumps({"error": error}).encode())


def test_too_long_a_prompt_is_named_with_both_numbers() -> None:
    error: JsonObject = {"type": "exceed_context_size_error", "message": "m", "n_prompt_tokens": 60, "n_ctx": 40}
    named = failure(400, error)
    assert isinstance(named, UpstreamRefused)
    assert (named.code, named.param) == ("context_length_exceeded", "messages")
    assert named.message == "The prompt has 60 tokens; the model's context is 40. Shorten the messages."
    without = failure(400, {"type": "exceed_context_size_error", "message": "too long"})
    assert isinstance(without, UpstreamRefused)
    assert without.message == "too long"


def test_other_refusals_are_named_by_status() -> None:
    refused = failure(400, {"message": "bad schema"})
    assert isinstance(refused, UpstreamRefused)
    assert "bad schema" in refused.message
    for status in (401, 404, 500, 503):
        failed = failure(status, {"message": "private"})
        assert isinstance(failed, EngineFailed)
        assert "private" not in failed.message
        assert failed.detail is not None
        assert "private" in failed.detail
    assert isinstance(failure(429, {"message": "slow"}), UpstreamRateLimited)
    assert isinstance(LlamaCppAdapter(FakeIds()).failure(500, {}, b"oops"), EngineFailed)
    assert isinstance(failure(500, "text"), EngineFailed)
