"""The adapter of Messages upstreams: what leaves, in which form the answer is read, and how quirks bend a request."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.call import Call, Dialect, Operation
from headrace.domain.catalog import Quirks
from headrace.domain.errors import InvalidRequest, UpstreamRateLimited
from headrace.domain.json_value import JsonObject
from headrace.domain.plan import Deadlines, Endpoint
from headrace.domain.price import ServiceTier
from headrace.drivers.providers.anthropic import AnthropicAdapter
from headrace.testing.clock import FakeClock
from headrace.wire.anthropic_body import MessagesBodyReader
from headrace.wire.anthropic_messages import read_translated_envelope
from headrace.wire.anthropic_messages_stream import MessagesStreamReader
from headrace.wire.json_strict import decode_object
from tests.fakes.nouns import CALLER, a_model, a_price, a_target
from tests.fakes.turn_world import FakeExchange, FakeTransport

LEAST: JsonObject = {"model": "one", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}


def adapter() -> AnthropicAdapter:
    return AnthropicAdapter(FakeClock())


def a_call(operation: Operation = Operation.CHAT, **fields: Any) -> Call:
    body = {**LEAST, **fields}
    return Call("req_1", operation, CALLER, read_translated_envelope(body, 9), body, 0, Dialect.MESSAGES)


def test_a_request_leaves_with_its_version_and_the_upstreams_name_of_the_model() -> None:
    prepared = adapter().prepare(a_call(stream=True, vendor=1), a_target())
    assert (prepared.path, prepared.stream, prepared.dropped) == ("/messages", True, ())
    assert prepared.headers == (("anthropic-version", "2023-06-01"),)
    assert decode_object(prepared.body) == {**LEAST, "model": "upstream-one", "stream": True, "vendor": 1}


def test_a_missing_cap_is_filled_in() -> None:
    sent = decode_object(adapter().prepare(a_call(max_tokens=None), a_target()).body)
    assert sent["max_tokens"] == 256


def test_quirks_bend_the_request() -> None:
    target = a_target(replace(a_model(), refused_fields=frozenset({"temperature"})))
    quirks = Quirks(headers=(("anthropic-beta", "b1"),), dropped_fields=frozenset({"top_k"}))
    target = replace(target, provider=replace(target.provider, quirks=quirks))
    prepared = adapter().prepare(a_call(top_k=5, temperature=1), target)
    assert prepared.dropped == ("top_k",) and ("anthropic-beta", "b1") in prepared.headers
    assert decode_object(prepared.body).keys() == {"model", "max_tokens", "messages"}
    with pytest.raises(InvalidRequest) as caught:
        adapter().prepare(a_call(temperature=0.5), target)
    assert caught.value.param == "temperature"


def test_the_callers_version_and_betas_leave_beside_the_providers_own() -> None:
    target = a_target()
    quirks = Quirks(headers=(("anthropic-beta", "b1"), ("x-team", "t")))
    target = replace(target, provider=replace(target.provider, quirks=quirks))
    passed = (("anthropic-version", "2024-01-01"), ("anthropic-beta", "b2,fast-mode-2026-02-01,b1"))
    prepared = adapter().prepare(replace(a_call(), passed_headers=passed), target)
    assert dict(prepared.headers) == {"anthropic-version": "2024-01-01", "anthropic-beta": "b1,b2", "x-team": "t"}
    assert prepared.dropped == ("anthropic-beta.fast-mode-2026-02-01",)


@pytest.mark.anyio
async def test_it_is_sent_once_as_prepared() -> None:
    exchange = FakeExchange([], 200, {}, [])
    transport = FakeTransport([], [exchange])
    prepared = adapter().prepare(a_call(), a_target())
    endpoint = Endpoint("https://api.example.com/v1")
    assert await adapter().open(transport, endpoint, prepared, Deadlines()) is exchange
    assert transport.sent == [(endpoint, prepared)]


def test_messages_have_no_embeddings() -> None:
    with pytest.raises(InvalidRequest):
        adapter().prepare(a_call(Operation.EMBEDDINGS), a_target())


def test_the_answer_is_read_as_it_was_asked_for() -> None:
    assert isinstance(adapter().reader(a_call(stream=True), a_target()), MessagesStreamReader)
    assert isinstance(adapter().reader(a_call(), a_target()), MessagesBodyReader)


def test_failures_are_named() -> None:
    failure = adapter().failure(429, {"retry-after": "5"}, b"")
    assert isinstance(failure, UpstreamRateLimited) and failure.retry_after_seconds == 5


def test_a_speed_without_a_price_is_dropped_and_named() -> None:
    prepared = adapter().prepare(a_call(speed="fast"), a_target())
    assert (prepared.dropped, prepared.service_tier) == (("speed",), None)
    assert "speed" not in decode_object(prepared.body)
    price = replace(a_price(), service_tiers={"fast": ServiceTier(2_000_000, a_price())})
    asked = adapter().prepare(a_call(speed="fast"), a_target(price=price))
    assert (asked.dropped, asked.service_tier) == ((), "fast")
    assert decode_object(asked.body)["speed"] == "fast"
