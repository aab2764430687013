from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from headrace.domain.call import Call, Dialect
from headrace.domain.catalog import Capability
from headrace.domain.errors import InvalidRequest, UpstreamRateLimited
from headrace.domain.json_value import JsonValue
from headrace.domain.price import ServiceTier
from headrace.drivers.providers.openai_responses import OpenAiResponsesAdapter
from headrace.testing.clock import FakeClock
from headrace.wire.openai_responses import read_envelope
from headrace.wire.openai_responses_stream import ResponsesStreamReader
from headrace.wire.responses_body import ResponsesBodyReader
from tests.fakes.nouns import a_call, a_model, a_price, a_target

ADAPTER = OpenAiResponsesAdapter(FakeClock())


def asked(**fields: JsonValue) -> Call:
    body: dict[str, JsonValue] = {"model": "one", "input": "Hi", **fields}
    return replace(a_call(), body=body, envelope=read_envelope(body, 20), dialect=Dialect.RESPONSES)


def test_a_request_leaves_for_responses_with_the_upstreams_name() -> None:
    target = a_target(a_model(capabilities=frozenset({Capability.STREAMING})))
    prepared = ADAPTER.prepare(asked(stream=True, temperature=1), target)
    assert (prepared.path, prepared.stream, prepared.dropped) == ("/responses", True, ())
    assert msgspec.json.decode(prepared.body) == {
        "model": "upstream-one",
        "input": "Hi",
        "stream": True,
        "temperature": 1,
        "store": False,
        "max_output_tokens": 256,
    }


def test_reasoning_without_its_seal_is_dropped_and_named() -> None:
    bare: JsonValue = {"type": "reasoning", "id": "rs_1", "summary": []}
    prepared = ADAPTER.prepare(asked(input=[bare, {"role": "user", "content": "Hi"}]), a_target())
    assert prepared.dropped == ("input.reasoning",)
    assert b"rs_1" not in prepared.body


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"type": "function_call_output", "call_id": "c1", "output": "a"}]}, "input[0].call_id"),
    ],
)
def test_what_nobody_could_serve_or_price_does_not_go_out(fields: dict[str, JsonValue], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ADAPTER.prepare(asked(**fields), a_target())
    assert caught.value.param == param


def test_a_field_that_the_model_refuses_is_named() -> None:
    target = a_target(replace(a_model(), refused_fields=frozenset({"temperature"})))
    with pytest.raises(InvalidRequest) as caught:
        ADAPTER.prepare(asked(temperature=0.2), target)
    assert caught.value.param == "temperature"
    assert b"temperature" not in ADAPTER.prepare(asked(temperature=1), target).body


def test_a_service_tier_goes_out_where_it_has_a_price_and_is_dropped_elsewhere() -> None:
    price = replace(a_price(), service_tiers={"flex": ServiceTier(500_000, a_price())})
    sent = ADAPTER.prepare(asked(service_tier="flex"), a_target(price=price))
    assert (sent.service_tier, sent.dropped) == ("flex", ())
    dropped = ADAPTER.prepare(asked(service_tier="flex"), a_target())
    assert (dropped.service_tier, dropped.dropped) == (None, ("service_tier",))
    assert b"service_tier" not in dropped.body


def test_the_reader_is_of_the_form_that_was_asked_for() -> None:
    assert isinstance(ADAPTER.reader(asked(stream=True), a_target()), ResponsesStreamReader)
    assert isinstance(ADAPTER.reader(asked(), a_target()), ResponsesBodyReader)


def test_a_failure_is_named_by_its_status() -> None:
    error = ADAPTER.failure(429, {"retry-after": "7"}, b"{}")
    assert isinstance(error, UpstreamRateLimited) and error.retry_after_seconds == 7
