"""The form that a request asks for, in each dialect, and what is wrong with a text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.call import Call, Dialect, Operation
from headrace.wire.answer_shape import Shape, asked_shape
from tests.fakes.nouns import a_call

SCHEMA: dict[str, Any] = {"type": "object", "required": ["city"]}
STRICT = {"name": "place", "schema": SCHEMA, "strict": True}


def call(dialect: Dialect, **fields: Any) -> Call:
    return replace(a_call(), dialect=dialect, body={"model": "one", **fields})


@pytest.mark.parametrize(
    ("dialect", "fields", "shape"),
    [
        (Dialect.CHAT, {}, None),
        (Dialect.CHAT, {"response_format": {"type": "text"}}, None),
        (Dialect.CHAT, {"response_format": {"type": "json_object"}}, Shape()),
        (Dialect.CHAT, {"response_format": {"type": "json_schema", "json_schema": STRICT}}, Shape(SCHEMA)),
        (
            Dialect.CHAT,
            {"response_format": {"type": "json_schema", "json_schema": {**STRICT, "strict": None}}},
            Shape(),
        ),
        (Dialect.CHAT, {"response_format": {"type": "json_schema", "json_schema": {**STRICT, "schema": 5}}}, Shape()),
        (Dialect.CHAT, {"response_format": {"type": "json_schema"}}, Shape()),
        (Dialect.RESPONSES, {"text": {"verbosity": "low"}}, None),
        (Dialect.RESPONSES, {"text": {"format": {"type": "json_object"}}}, Shape()),
        (Dialect.RESPONSES, {"text": {"format": {"type": "json_schema", **STRICT}}}, Shape(SCHEMA)),
        (Dialect.MESSAGES, {}, None),
        (Dialect.MESSAGES, {"output_config": {"effort": "low"}}, None),
        (Dialect.MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, Shape(SCHEMA)),
        (Dialect.MESSAGES, {"output_format": {"type": "json_schema", "schema": SCHEMA}}, Shape(SCHEMA)),
    ],
)
def test_the_form_that_is_asked_for(dialect: Dialect, fields: dict[str, Any], shape: Shape | None) -> None:
    assert asked_shape(call(dialect, **fields)) == shape


def test_only_chats_have_a_form() -> None:
    asked = call(Dialect.CHAT, response_format={"type": "json_object"})
    assert asked_shape(replace(asked, operation=Operation.EMBEDDINGS)) is None


@pytest.mark.parametrize("text", ["", "no", '{"city": ', "```json\n{}\n```", '{"city": 1} and more', "\ud800"])
def test_what_is_no_json_has_no_form(text: str) -> None:
    assert str(Shape().problem(text)).startswith("it is not JSON")


def test_json_of_another_schema_says_where() -> None:
    assert Shape(SCHEMA).problem('{"town": "Oslo"}') == '$ has no "city"'
    assert Shape(SCHEMA).problem(' {"city": "Oslo"}\n') is None
    assert Shape().problem("[1]") is None
