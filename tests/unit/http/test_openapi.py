"""The published description: every route is in it, everything in it resolves, and what it cannot know it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator

from headrace.http.cors import METHODS
from headrace.http.hot_routes import HOT_ROUTES
from headrace.http.openapi import description, undescribed
from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.wire.openapi import Described, Entry, failures_of
from headrace.wire.openapi_control import Health
from tools.openapi_document import route_table

DOCUMENT: dict[str, Any] = json.loads(json.dumps(description(route_table())))


async def nothing(_: Request) -> Reply:
    return json_reply({})


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def references(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for each in cast("list[object]", value):
            yield from references(each)
    if isinstance(value, dict):
        for name, each in cast("dict[str, object]", value).items():
            if name == "$ref" and isinstance(each, str):
                yield each
            yield from references(each)


def test_every_route_has_an_entry() -> None:
    assert not undescribed(route_table()), "\n".join(undescribed(route_table()))


def test_a_route_without_an_entry_is_told_where_to_add_it_and_does_not_stop_the_server() -> None:
    bare = RouteSpec("GET", "/v2/bare", nothing, Audience.OWN)
    (says,) = undescribed([bare])
    assert says.startswith("GET /v2/bare has no entry") and __name__ in says
    assert "/v2/bare" not in cast("dict[str, Any]", description([bare])["paths"])


def test_the_paths_are_those_that_are_served() -> None:
    served = {(each.method, re.sub(r":path\b", "", each.path)) for each in route_table()}
    served |= {("POST", each.path) for each in HOT_ROUTES}
    assert {(method, path) for method, path, _ in operations()} == served


def test_a_page_of_an_allowed_origin_may_use_every_method_that_is_served() -> None:
    allowed = METHODS.decode().split(", ")
    assert {method for method, _, _ in operations()} <= set(allowed)


def test_every_reference_resolves_and_every_operation_has_a_name_of_its_own() -> None:
    for reference in set(references(DOCUMENT)):
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, reference
            found = found[part]
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)


def test_every_schema_is_one_of_json_schema_and_open_unless_it_says_otherwise() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert schema.get("description"), name
        if schema.get("type") == "object":
            assert "additionalProperties" in schema, name
        if name.endswith("Body") and not name.endswith("ErrorBody"):
            assert schema["additionalProperties"] is False, name


def test_who_may_call_stands_in_the_document() -> None:
    paths = DOCUMENT["paths"]
    key: list[dict[str, list[str]]] = [{"bearer": []}, {"x-api-key": []}]
    assert paths["/v1/models"]["get"]["security"] == paths["/v2/aliases"]["get"]["security"] == key
    assert paths["/healthz"]["get"]["security"] == []
    assert paths["/metrics"]["get"]["security"] == [{}, *key]
    assert "403" in paths["/v2/aliases"]["get"]["responses"]
    assert "403" not in paths["/v2/me"]["get"]["responses"]
    assert "401" not in paths["/openapi.json"]["get"]["responses"]


@pytest.mark.parametrize(
    ("route", "more"),
    [
        (Described("GET", "/a", "everybody", Entry("x", Health)), set[int]()),
        (Described("GET", "/a", "own", Entry("x", Health)), {401}),
        (Described("GET", "/a/{id}", "admin", Entry("x", Health)), {401, 403, 404}),
        (Described("PUT", "/a", "own", Entry("x", Health, Health, reads=("if-match",))), {401, 409, 413, 415}),
    ],
)
def test_a_route_fails_as_its_kind_does(route: Described, more: set[int]) -> None:
    assert set(failures_of(route)) == {400, 408, 421, 431, 500, 503} | more


def test_errors_have_the_form_of_the_plane_and_their_codes_are_told() -> None:
    schemas, responses = DOCUMENT["components"]["schemas"], DOCUMENT["components"]["responses"]
    assert "alias_exists" in schemas["ControlError"]["properties"]["id"]["enum"]
    assert DOCUMENT["x-headrace-error-codes"]["model_not_found"] == [400, 404]
    assert "retry-after" in responses["DataError429"]["headers"]
    messages = DOCUMENT["paths"]["/v1/messages"]["post"]["responses"]
    assert messages["404"] == {"$ref": "#/components/responses/MessagesError404"}
    assert messages["400"] == {"$ref": "#/components/responses/MessagesErrorOrDataError400"}
    assert messages["431"] == {"$ref": "#/components/responses/DataError431"}
