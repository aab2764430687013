"""What a request may ask of the managed router."""

import pytest

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router import RoutingPreference
from headrace.wire.routing_preference import take_preference


def test_it_is_taken_out_of_the_body() -> None:
    for each in RoutingPreference:
        body: JsonObject = {"model": "one", "routing_preference": each.value}
        assert take_preference(body) is each
        assert body == {"model": "one"}
    nothing: JsonObject = {"routing_preference": None}
    assert take_preference(nothing) is None
    assert nothing == {}
    assert take_preference({}) is None


@pytest.mark.parametrize("value", ["cheap", "", 1, ["budget"], {"a": 1}, True])
def test_what_is_none_of_the_three_is_refused_naming_the_field(value: JsonValue) -> None:
    with pytest.raises(InvalidRequest, match='one of "budget", "balanced", "quality", not') as caught:
        take_preference({"routing_preference": value})
    assert caught.value.param == "routing_preference"
