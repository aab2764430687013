"""Whether a value keeps to a schema: against a validator that nobody here wrote, and what is not judged."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_schema import schema_problem

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b", 1, None]}, "minItems": 1, "maxItems": 2},
        "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
    },
    "required": ["name"],
    "additionalProperties": False,
}
TREE: dict[str, Any] = {
    "$defs": {
        "leaf": {"type": ["number", "string"]},
        "node": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/node"}]}},
    },
    "$ref": "#/$defs/node",
}
SCHEMAS: list[dict[str, Any]] = [
    PERSON,
    TREE,
    {"const": {"a": [1, True]}},
    {"oneOf": [{"type": "integer"}, {"minimum": 3}]},
    {"allOf": [{"type": "number"}, {"minimum": 1}, {"maximum": 4, "exclusiveMinimum": 1}]},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "boolean"}], "items": {"type": "integer"}},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 2},
    {"type": "object", "properties": {"a": False}},
    {"type": "null"},
    {},
]
LEAVES = st.none() | st.booleans() | st.integers(-3, 200) | st.sampled_from([1.0, 0.5, 3.0, "a", "b", "abcdef", ""])
NAMES = st.sampled_from(["name", "age", "tags", "next", "a", "other"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
@given(value=VALUES)
def test_it_judges_as_the_published_validator_does(schema: dict[str, Any], value: Any) -> None:
    published: Any = jsonschema.Draft202012Validator(schema)
    wanted = published.is_valid(value)
    assert (schema_problem(value, schema) is None) is wanted


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], '$ is [], not of the type "object"'),
        ({}, '$ has no "name"'),
        ({"name": "Ann", "age": 1.5}, '$.age is 1.5, not of the type "integer"'),
        ({"name": "Ann", "age": -1}, '$.age is -1, against "minimum": 0'),
        ({"name": "Ann", "tags": ["a", "c"]}, '$.tags[1] is "c", none of those in its enum'),
        ({"name": "Ann", "x": 1}, "$.x is not allowed"),
        ({"name": "Ann", "next": {"name": ""}}, '$.next is {"name":""}, which keeps to 0 of its "anyOf"'),
        ({"name": "A" * 200}, f'$.name is "{"A" * 78}…, against "maxLength": 5'),
    ],
)
def test_the_place_and_the_rule_are_told(value: JsonValue, problem: str) -> None:
    assert schema_problem(value, PERSON) == problem


def test_numbers_are_the_same_whatever_their_form() -> None:
    assert schema_problem(1.0, {"const": 1}) is None
    assert schema_problem(True, {"const": 1}) == "$ is true, not 1"
    assert schema_problem(1, {"enum": [True, "1", 1.0]}) is None


def test_what_is_not_judged_is_taken_as_kept_to() -> None:
    unjudged: list[JsonObject] = [
        {"pattern": "^a+$"},
        {"format": "email"},
        {"$ref": "https://example.com/x"},
        {"$ref": "#/nowhere"},
    ]
    for schema in unjudged:
        assert schema_problem("b", schema) is None
    assert schema_problem({"x": 1}, {"patternProperties": {"x": {}}, "additionalProperties": False}) is None
    assert schema_problem(1, {"type": "other", "minimum": "0", "required": 5, "anyOf": [], "enum": 5}) is None


def test_a_schema_that_leads_in_circles_or_takes_for_ever_ends() -> None:
    assert schema_problem(1, {"$ref": "#"}) is None
    doubling: dict[str, Any] = {"$defs": {"0": {"type": "string"}}}
    for step in range(1, 25):
        below = {"$ref": f"#/$defs/{step - 1}"}
        doubling["$defs"][str(step)] = {"anyOf": [below, below]}
    assert schema_problem(1, {**doubling, "$ref": "#/$defs/24"}) is None
