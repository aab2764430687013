"""What is asked of a router: in which dialect, and by which draft."""

from __future__ import annotations

import pytest

from headrace.domain.call import Dialect
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.decision_question import take_dialect, take_draft

HELLO: JsonObject = {"role": "user", "content": "Hello"}


@pytest.mark.parametrize(
    ("body", "speaks_messages", "dialect"),
    [
        ({"messages": [HELLO]}, False, Dialect.CHAT),
        ({"messages": [HELLO]}, True, Dialect.MESSAGES),
        ({"messages": [HELLO], "system": "Be brief."}, False, Dialect.MESSAGES),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, False, Dialect.MESSAGES),
        ({"messages": [{"role": "user", "content": [{"type": "text"}, 1]}, None]}, False, Dialect.CHAT),
        ({"messages": [HELLO], "tools": [{"name": "f", "input_schema": {"type": "object"}}]}, False, Dialect.MESSAGES),
        ({"messages": [HELLO], "tools": [{"type": "function"}]}, False, Dialect.CHAT),
        ({"input": "Hello"}, False, Dialect.RESPONSES),
        ({"previous_response_id": "resp_1"}, True, Dialect.RESPONSES),
        ({"messages": [HELLO], "input": "Hello"}, False, Dialect.CHAT),
        ({"model": "router:support"}, False, Dialect.CHAT),
        ({"messages": [HELLO], "dialect": "responses"}, False, Dialect.RESPONSES),
        ({"input": "Hello", "dialect": "chat"}, True, Dialect.CHAT),
    ],
)
def test_the_dialect_is_said_or_seen_by_the_shape(body: JsonObject, speaks_messages: bool, dialect: Dialect) -> None:
    assert take_dialect(body, speaks_messages=speaks_messages) is dialect
    assert "dialect" not in body


@pytest.mark.parametrize("value", ["openai", 1, ["chat"]])
def test_a_dialect_that_there_is_not_is_refused(value: JsonValue) -> None:
    with pytest.raises(InvalidRequest, match='one of "chat", "messages", "responses", not') as caught:
        take_dialect({"dialect": value}, speaks_messages=False)
    assert caught.value.param == "dialect"


def test_a_draft_is_taken_out_of_the_body_which_then_names_it() -> None:
    policy: JsonObject = {"custom_task": {"name": "refund", "description": "Money back."}, "models": ["one"]}
    body: JsonObject = {"model": "x", "router": {"policies": [policy], "fallback_models": ["two"]}}
    draft = take_draft(body)
    assert draft is not None
    assert (draft.name, draft.fallbacks, draft.policies[0].models) == (None, ("two",), ("one",))
    assert body == {"model": "router:draft"}
    assert take_draft({"router": None}) is None
    assert take_draft({}) is None


@pytest.mark.parametrize(
    ("value", "param"),
    [("support", "router"), ([], "router"), ({"polices": []}, "router.polices"), ({"policies": 1}, "router.policies")],
)
def test_what_is_no_draft_is_refused_by_its_path(value: JsonValue, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        take_draft({"router": value})
    assert caught.value.param == param
