"""What a request says about substitutes."""

from __future__ import annotations

import pytest

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.fallbacks import MAX_FALLBACKS, may_substitute, take_fallbacks


def test_models_are_taken_out_of_the_body() -> None:
    body: JsonObject = {"model": "a", "models": ["b", "c"]}
    assert take_fallbacks(body) == ("b", "c")
    assert body == {"model": "a"}
    assert take_fallbacks(body) == ()
    assert take_fallbacks({"models": None}) == ()


@pytest.mark.parametrize("value", ["b", [], {}, 1, ["b", 1], [""], ["x" * 257], ["b"] * (MAX_FALLBACKS + 1)])
def test_what_is_no_list_of_names_is_refused(value: JsonValue) -> None:
    with pytest.raises(InvalidRequest) as caught:
        take_fallbacks({"models": value})
    assert caught.value.param == "models"


@pytest.mark.parametrize(
    ("values", "allowed"),
    [([], True), ([b"on"], True), ([b"off"], False), ([b" OFF "], False), ([b"off", b"off"], False)],
)
def test_the_header_switches_substitutes_off(values: list[bytes], allowed: bool) -> None:
    assert may_substitute(values) is allowed


@pytest.mark.parametrize("values", [[b""], [b"no"], [b"on", b"off"], [b"off,on"]])
def test_another_value_of_the_header_is_refused(values: list[bytes]) -> None:
    with pytest.raises(InvalidRequest):
        may_substitute(values)
