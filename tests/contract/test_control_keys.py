"""Keys that change, several keys of one provider, and the older list of models, as a client of the API sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from headrace.domain.errors import UpstreamAuthFailed
from headrace.domain.json_value import JsonObject
from tests.control_world import SHA, Plane, World, body_of, open_plane
from tests.fakes.nouns import a_target, targets_of

MODELS = "/v2/gen-ai/models"
KEYS = f"{MODELS}/api_keys"
CREDENTIAL = "/v2/providers/acme/credential"


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with open_plane(World()) as opened:
        yield opened


async def test_the_older_list_has_what_can_be_called_by_use_case_and_page(plane: Plane) -> None:
    assert (await plane.call("key", "GET", MODELS)).json()["models"] == []
    await plane.call("admin", "PUT", CREDENTIAL, {"credential": "sk-1"})
    plane.world.weights.here.add(SHA)
    await plane.parts.door.snapshots.refresh()
    whole = (await plane.call("key", "GET", f"{MODELS}?public_only=True")).json()
    assert [each["id"] for each in whole["models"]] == ["acme/chat:large", "tiny"]
    assert (whole["meta"], whole["links"]) == ({"total": 2, "page": 1, "pages": 1}, {"pages": {}})
    large = whole["models"][0]
    assert (large["provider"], large["context_window"], large["type"]) == ("MODEL_PROVIDER_ACME", "8192", "chat")
    assert large["usecases"] == ["MODEL_USECASE_AGENT", "MODEL_USECASE_SERVERLESS"]
    assert large["pricing"]["output_price_per_million"] == "4"
    assert [each["id"] for each in (await plane.call("foreign", "GET", MODELS)).json()["models"]] == ["acme/chat:large"]
    second = (await plane.call("key", "GET", f"{MODELS}?usecases=MODEL_USECASE_AGENT&page=2&per_page=1")).json()
    assert [each["id"] for each in second["models"]] == ["tiny"]
    at = f"{MODELS}?page=1&per_page=1&usecases=MODEL_USECASE_AGENT"
    assert second["links"] == {"pages": {"first": at, "previous": at}}
    first = (await plane.call("key", "GET", at)).json()
    assert first["links"]["pages"]["next"] == at.replace("page=1&per", "page=2&per")
    assert set(first["links"]["pages"]) == {"next", "last"}
    several = "usecases=MODEL_USECASE_REASONING&usecases=MODEL_USECASE_KNOWLEDGEBASE,MODEL_USECASE_GUARDRAIL"
    assert (await plane.call("key", "GET", f"{MODELS}?{several}")).json()["models"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("usecases=MODEL_USECASE_AGENTS", "usecases"),
        ("public_only=perhaps", "public_only"),
        ("page=0", "page"),
        ("per_page=201", "per_page"),
    ],
)
async def test_the_older_list_refuses_what_it_does_not_know(query: str, param: str, plane: Plane) -> None:
    answer = await plane.call("key", "GET", f"{MODELS}?{query}")
    assert (answer.status_code, body_of(answer)["param"]) == (400, param)


async def test_a_key_gets_another_name_and_a_cache_and_works_on(plane: Plane) -> None:
    path = f"{KEYS}/{plane.world.ids['foreign']}"
    named = await plane.call("admin", "PUT", path, {"name": "other", "api_key_uuid": plane.world.ids["foreign"]})
    assert named.status_code == 200
    assert body_of(named) == body_of(await plane.call("admin", "GET", path))
    assert named.json()["api_key_info"]["name"] == "other"
    assert "secret_key" not in named.text
    cached = await plane.call("admin", "PUT", path, {"response_cache": {"ttl_seconds": 60}})
    info = cached.json()["api_key_info"]
    assert (info["name"], info["response_cache"], info["models"]) == (
        "other",
        {"ttl_seconds": 60},
        ["acme/chat:large"],
    )
    assert (await plane.call("foreign", "GET", "/v2/me")).json()["key_name"] == "other"
    kept = await plane.call("admin", "PUT", path, {})
    assert kept.json()["api_key_info"] == info
    anew = (await plane.call("admin", "PUT", f"{path}/regenerate")).json()["api_key_info"]
    assert (anew["name"], anew["response_cache"]) == ("other", {"ttl_seconds": 60})
    again = await plane.call("admin", "PUT", path, {"name": "late"})
    assert (again.status_code, body_of(again)["id"]) == (409, "key_revoked")
    path = f"{KEYS}/{anew['uuid']}"
    off = await plane.call("admin", "PUT", path, {"response_cache": None})
    assert off.json()["api_key_info"]["response_cache"] is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"models": ["tiny"]}, "models"),
        ({"api_key_uuid": "another", "name": "x"}, "api_key_uuid"),
        ({"response_cache": {"ttl_seconds": -1}}, "response_cache.ttl_seconds"),
    ],
)
async def test_a_change_that_cannot_be_is_refused(body: JsonObject, param: str, plane: Plane) -> None:
    path = f"{KEYS}/{plane.world.ids['key']}"
    answer = await plane.call("admin", "PUT", path, body)
    assert (answer.status_code, body_of(answer)["param"]) == (400, param)
    assert (await plane.call("admin", "GET", path)).json()["api_key_info"]["name"] == "key"


async def test_credentials_have_labels_and_health(plane: Plane) -> None:
    plane.world.given["ACME_API_KEY"] = "sk-given"
    await plane.parts.door.snapshots.refresh()
    one = f"{CREDENTIAL}s/spare"
    made = await plane.call("admin", "PUT", one, {"credential": "sk-canary"})
    assert made.json()["provider"]["credentials"] == [
        {"label": "default", "source": "environment"},
        {"label": "spare", "source": "stored"},
    ]
    assert plane.world.credentials.sealed["acme", "spare"].sealed.startswith(b"provider-credential:acme/spare|")
    twice = await plane.call("admin", "PUT", f"{CREDENTIAL}s/again", {"credential": "sk-canary"})
    assert (twice.status_code, body_of(twice)["id"]) == (409, "credential_duplicate")
    listed = await plane.call("admin", "GET", f"{CREDENTIAL}s")
    well: JsonObject = {"state": "ok", "code": None, "since": None, "until": None, "models": []}
    assert listed.json()["credentials"] == [
        {"label": "default", "source": "environment", "health": well},
        {"label": "spare", "source": "stored", "health": well},
    ]
    assert listed.headers["cache-control"] == "no-store"
    now = plane.world.clock.monotonic()
    provider = plane.parts.door.snapshots.current().providers["acme"]
    _, spare = targets_of(replace(a_target(), provider=provider), *provider.credentials)
    plane.world.health.began(spare, now).ended(UpstreamAuthFailed("no"), 401, now)
    refused = (await plane.call("admin", "GET", f"{CREDENTIAL}s")).json()["credentials"][1]["health"]
    assert refused == {
        "state": "refused",
        "code": "upstream_auth_failed",
        "since": "2026-11-24T12:00:00.000000Z",
        "until": "2026-11-24T12:01:00.000000Z",
        "models": [],
    }
    assert "canary" not in made.text + twice.text + listed.text
    gone = await plane.call("admin", "DELETE", one)
    assert gone.json()["provider"]["credentials"] == [{"label": "default", "source": "environment"}]
    odd = await plane.call("admin", "PUT", f"{CREDENTIAL}s/a%20b", {"credential": "sk-1"})
    assert (odd.status_code, body_of(odd)["param"]) == (400, "label")
