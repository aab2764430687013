"""Service tiers of a request: what goes out, and what is dropped because nobody knows its price."""

from dataclasses import replace

import pytest

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.price import ServiceTier, in_service_tier
from headrace.wire.service_tier import take_service_tier
from tests.fakes.nouns import a_price

PRICE = replace(a_price(), service_tiers={"flex": ServiceTier(500_000, in_service_tier(a_price(), 500_000))})


@pytest.mark.parametrize("value", [None, "auto", "default", "standard", 7])
def test_the_standard_tier_passes(value: JsonValue) -> None:
    fields: JsonObject = {"service_tier": value}
    assert take_service_tier(fields, "service_tier", PRICE) == (None, ())
    assert fields == {"service_tier": value}


def test_a_tier_with_a_price_goes_out() -> None:
    fields: JsonObject = {"service_tier": "flex"}
    assert take_service_tier(fields, "service_tier", PRICE) == ("flex", ())
    assert fields == {"service_tier": "flex"}


def test_a_tier_without_a_price_is_dropped_and_named() -> None:
    fields: JsonObject = {"speed": "fast", "model": "one"}
    assert take_service_tier(fields, "speed", PRICE) == (None, ("speed",))
    assert fields == {"model": "one"}
