"""Upstreams that speak OpenAI's dialect: what leaves for a text completion."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from headrace.domain.call import Call, Operation
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonValue
from headrace.domain.price import ServiceTier
from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.testing.clock import FakeClock
from headrace.wire.openai_completions import read_envelope
from tests.fakes.nouns import a_call, a_price, a_target

ADAPTER = OpenAiAdapter(FakeClock(), "max_tokens")


def asked(**fields: JsonValue) -> Call:
    body: dict[str, JsonValue] = {"model": "one", "prompt": "Once", **fields}
    return replace(a_call(), operation=Operation.COMPLETIONS, body=body, envelope=read_envelope(body, 20))


def test_a_text_completion_leaves_with_the_upstreams_name_and_a_cap() -> None:
    prepared = ADAPTER.prepare(asked(temperature=0), a_target())
    assert (prepared.path, prepared.dropped) == ("/completions", ())
    assert msgspec.json.decode(prepared.body) == {
        "model": "upstream-one",
        "prompt": "Once",
        "temperature": 0,
        "max_tokens": 16,
    }


def test_a_search_of_the_web_is_refused_because_nobody_knows_its_price() -> None:
    call = a_call(web_search_options={"search_context_size": "low"})
    with pytest.raises(InvalidRequest, match="bills by the use") as caught:
        ADAPTER.prepare(call, a_target())
    assert (caught.value.param, caught.value.code) == ("web_search_options", "unsupported_field")


def test_a_service_tier_of_a_text_completion_goes_out_where_it_has_a_price() -> None:
    price = replace(a_price(), service_tiers={"flex": ServiceTier(500_000, a_price())})
    sent = ADAPTER.prepare(asked(service_tier="flex"), a_target(price=price))
    assert (sent.service_tier, sent.dropped) == ("flex", ())
    assert msgspec.json.decode(sent.body)["service_tier"] == "flex"
    unpriced = ADAPTER.prepare(asked(service_tier="flex"), a_target())
    assert (unpriced.service_tier, unpriced.dropped) == (None, ("service_tier",))
    assert b"service_tier" not in unpriced.body
    standard = ADAPTER.prepare(asked(service_tier="default"), a_target())
    assert (standard.service_tier, standard.dropped) == (None, ())
