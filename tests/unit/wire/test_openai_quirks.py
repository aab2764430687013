"""Bending a chat request to what a provider takes: moved, renamed, dropped and named, refused."""

from dataclasses import replace

import pytest

from headrace.domain.catalog import Quirks
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.openai_quirks import bend_request, model_path
from tests.fakes.nouns import a_model

REASONING = replace(a_model("thinker"), refused_fields=frozenset({"temperature", "logprobs", "n", "logit_bias"}))


def bent(fields: JsonObject, quirks: Quirks) -> tuple[JsonObject, tuple[str, ...]]:
    copy = dict(fields)
    dropped = bend_request(copy, a_model(), quirks)
    return copy, dropped


@pytest.mark.parametrize(
    ("fields", "cap_field", "left"),
    [
        ({"max_tokens": 5}, "max_completion_tokens", {"max_completion_tokens": 5}),
        ({"max_completion_tokens": 5}, "max_tokens", {"max_tokens": 5}),
        ({"max_completion_tokens": 5, "max_tokens": 5}, "max_tokens", {"max_tokens": 5}),
        ({"max_tokens": None, "max_completion_tokens": 7}, "max_tokens", {"max_tokens": 7}),
        ({"max_tokens": None}, "max_tokens", {}),
        ({"max_tokens": 5}, None, {"max_tokens": 5}),
    ],
)
def test_an_output_cap_has_one_name(fields: JsonObject, cap_field: str | None, left: JsonObject) -> None:
    quirks = Quirks() if cap_field is None else Quirks(cap_field=cap_field)  # pyright: ignore[reportArgumentType] - cases
    assert bent(fields, quirks) == (left, ())


@pytest.mark.parametrize(
    ("options", "dropped"),
    [
        (None, ()),
        ({"include_usage": True}, ()),
        ({}, ()),
        ({"include_usage": True, "include_obfuscation": False}, ("stream_options",)),
    ],
)
def test_usage_that_comes_unasked_is_not_asked_for(options: JsonValue, dropped: tuple[str, ...]) -> None:
    fields: JsonObject = {"stream": True} if options is None else {"stream": True, "stream_options": options}
    assert bent(fields, Quirks(usage_unasked=True)) == ({"stream": True}, dropped)


def test_fields_get_their_names() -> None:
    quirks = Quirks(renamed_fields={"seed": "random_seed", "absent": "other"})
    assert bent({"seed": 7, "top_p": 1}, quirks) == ({"random_seed": 7, "top_p": 1}, ())


def test_fields_of_messages_are_dropped_and_each_is_named_once() -> None:
    quirks = Quirks(dropped_message_fields=frozenset({"reasoning_content", "thinking_blocks", "name"}))
    said: JsonObject = {"role": "assistant", "content": "a", "reasoning_content": "b", "name": None}
    asked: JsonObject = {"role": "user", "content": "c"}
    fields: JsonObject = {"messages": [asked, said, said, "odd"]}
    left, dropped = bent(fields, quirks)
    bare: JsonObject = {"role": "assistant", "content": "a"}
    assert left == {"messages": [asked, bare, bare, "odd"]} and dropped == ("messages.reasoning_content",)
    assert said["reasoning_content"] == "b"


@pytest.mark.parametrize("messages", [[{"role": "user", "content": "c"}], "odd", None])
def test_messages_without_such_fields_pass_as_they_came(messages: JsonValue) -> None:
    left, dropped = bent({"messages": messages}, Quirks(dropped_message_fields=frozenset({"name"})))
    assert left["messages"] is messages and dropped == ()


def test_what_is_dropped_is_named_unless_it_was_null() -> None:
    quirks = Quirks(dropped_fields=frozenset({"user", "store", "metadata"}))
    assert bent({"user": "u", "store": False, "metadata": None, "n": 1}, quirks) == ({"n": 1}, ("store", "user"))


@pytest.mark.parametrize("fields", [{"temperature": 1}, {"temperature": 1.0, "logprobs": False}, {"n": 1}, {"n": None}])
def test_a_refused_field_with_its_default_is_left_out(fields: JsonObject) -> None:
    assert bend_request(fields, REASONING, Quirks()) == ()
    assert fields == {}


@pytest.mark.parametrize(
    ("name", "value", "only"),
    [
        ("temperature", 0.2, " with another value than 1"),
        ("temperature", True, " with another value than 1"),
        ("n", 2, " with another value than 1"),
        ("logprobs", True, " with another value than false"),
        ("logprobs", 0, " with another value than false"),
        ("logit_bias", {"5": 1}, " with another value than {}"),
    ],
)
def test_a_refused_field_is_refused_by_name(name: str, value: JsonValue, only: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bend_request({name: value}, REASONING, Quirks())
    assert (caught.value.code, caught.value.param) == ("unsupported_by_model", name)
    assert caught.value.message == f'"thinker" does not take "{name}"{only}; leave it out.'


def test_a_field_without_a_default_is_refused_whatever_it_holds() -> None:
    with pytest.raises(InvalidRequest, match='"one" does not take "audio"; leave it out'):
        bent({"audio": {}}, Quirks(refused_fields=frozenset({"audio"})))


def test_the_model_stands_in_the_path() -> None:
    assert model_path("/deployments/{model}/chat?v=1", "mine") == "/deployments/mine/chat?v=1"
    assert model_path("/chat/completions", "mine") == "/chat/completions"
