"""The published description against the application: what is described is served, and replies have no field more."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator

from headrace.http.hot_routes import HOT_ROUTES
from headrace.http.openapi import description
from tests.control_world import World, open_world
from tools.openapi_document import route_table

DOCUMENT: dict[str, Any] = json.loads(json.dumps(description(route_table())))
EXAMPLES = {
    "/v1/models/{id}": "acme/chat:large",
    "/v2/gen-ai/models/catalog/{id}": "acme/chat:large",
    "/v2/prices/{model}": "acme/chat:large",
    "/v1/responses/{id}": "resp_own",
    "/v1/responses/{id}/input_items": "resp_own",
    "/v2/requests/{id}": "req_own",
    "/v2/aliases/{name}": "daily",
    "/v2/providers/{name}": "acme",
    "/v2/providers/{name}/credentials": "acme",
    "/v2/teams/{name}": "crew",
    "/v2/teams/{name}/transfers": "crew",
    "/v2/alerts/{id}": "alr_000001",
    "/v2/webhooks/{id}": "whk_000001",
    "/v2/reconciliations/{id}": "rec_000001",
    "/v2/gen-ai/models/routers/{uuid}/savings": "general",
    "/v2/gen-ai/models/routers/{uuid}/shadows": "general",
}
MADE_FIRST = (
    ("/v2/aliases", {"name": "daily", "points_to": "tiny"}),
    ("/v2/teams", {"name": "crew", "prepaid": True}),
    ("/v2/teams/crew/transfers", {"amount_usd": "5", "note": "first"}),
    ("/v2/budgets", {"scope": "platform", "window": "day", "limit_usd": "1"}),
    ("/v2/webhooks", {"url": "https://a.example/x"}),
    ("/v2/reconciliations", {"provider": "acme", "content": "date,model,cost\n2026-11-24,x,1"}),
    ("/v2/alerts", {"name": "dear", "metric": "cost_per_hour", "scope": "platform", "threshold_usd": "2"}),
)
READS = sorted(path for path, item in DOCUMENT["paths"].items() if "get" in item)
OPERATIONS = sorted((method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item)
BODIES = sorted(
    (method, path)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if "requestBody" in operation and path.startswith("/v2")
)


@pytest.fixture
async def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_world(world) as found:
        for path, body in MADE_FIRST:
            made = await found.post(path, json=body, headers=world.bearer("admin"))
            assert made.status_code == 201, made.text
        yield found


def address_of(path: str, world: World) -> str:
    example = EXAMPLES.get(path, world.ids["key"] if "{uuid}" in path else "nobody")
    return re.sub(r"\{\w+\}", example, path)


def closed_shape(reference: dict[str, Any]) -> Draft202012Validator:
    """A validator of a shape that allows no field that it does not name, and of those it refers to."""
    components = copy.deepcopy(DOCUMENT["components"])
    for each in components["schemas"].values():
        if each.get("type") == "object":
            each["additionalProperties"] = False
    return Draft202012Validator({**reference, "components": components})


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_everything_described_is_served(client: httpx2.AsyncClient, world: World, method: str, path: str) -> None:
    if path in {each.path for each in HOT_ROUTES}:
        reply = await client.get(path)
        assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
        return
    reply = await client.request(method, address_of(path, world))
    assert reply.status_code in (200, 401), (path, reply.text)


@pytest.mark.parametrize("path", READS)
async def test_what_is_read_has_every_field_described_and_no_other(
    client: httpx2.AsyncClient, world: World, path: str
) -> None:
    operation = DOCUMENT["paths"][path]["get"]
    caller = "key" if path.startswith("/v1") else "admin"
    reply = await client.get(address_of(path, world), headers=world.bearer(caller))
    media = reply.headers["content-type"].partition(";")[0]
    described = operation["responses"][str(reply.status_code)]
    if "$ref" in described:
        described = DOCUMENT["components"]["responses"][described["$ref"].rpartition("/")[2]]
    content = described["content"][media]
    if media == "application/json" and path not in ("/openapi.json", "/v1/responses/{id}"):
        validator: Any = closed_shape(content["schema"])
        problems = [each.message for each in validator.iter_errors(reply.json())]
        assert not problems, f"GET {path}: {problems}: describe it in its shape in headrace.wire.openapi_*"
    if reply.status_code == 200:
        assert set(described["headers"]) <= set(reply.headers)


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_a_body_takes_the_fields_described_and_no_other(
    client: httpx2.AsyncClient, world: World, method: str, path: str
) -> None:
    operation = DOCUMENT["paths"][path][method]
    shape = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = DOCUMENT["components"]["schemas"][shape]
    reply = await client.request(
        method, address_of(path, world), json={"no such field": 1}, headers=world.bearer("admin")
    )
    error = reply.json()
    assert error["id"] == "unknown_field", reply.text
    known = error["message"].rpartition("Known are: ")[2].removesuffix(".").split(", ")
    assert set(known) == set(schema["properties"]), f"{method} {path}: {shape} does not name what is read"
    assert schema["additionalProperties"] is False


async def test_the_description_is_public_and_the_same_for_everybody(client: httpx2.AsyncClient) -> None:
    reply = await client.get("/openapi.json")
    assert reply.status_code == 200 and reply.headers["content-type"] == "application/json"
    assert reply.json() == DOCUMENT
    again = await client.get("/openapi.json", headers={"if-none-match": reply.headers["etag"]})
    assert again.status_code == 304
