"""The control plane's routes as a client sees them: who may call what, and what comes back."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest

from headrace.domain.access import OPERATOR_ACCOUNT, AccessKey, Role
from headrace.domain.alert import Alert, Metric, Standing
from headrace.domain.alias import Alias
from headrace.domain.budget import Budget, BudgetMode, Window
from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.errors import UpstreamUnavailable
from headrace.domain.json_value import JsonObject
from headrace.domain.rate_limit import RateLimits, ScopedLimits
from headrace.domain.team import Team
from headrace.domain.webhook import Webhook
from headrace.http.control.app import build_app, control_app, control_routes
from headrace.http.edge import Message
from headrace.http.routing import Audience, Reply, Request, RouteSpec, json_reply
from headrace.ports.fleet import Progress
from headrace.ports.reconciliation import KeptReconciliation
from headrace.ports.stores import SealedCredential
from tests.control_world import LOCAL, SHA, Plane, World, body_of, client_of, open_plane, open_world
from tests.fakes.deployed import a_deployment, a_wanted
from tests.fakes.routers import SUPPORT

KEYS = "/v2/gen-ai/models/api_keys"
MODELS = "/v2/gen-ai/models"
CATALOG = f"{MODELS}/catalog"
CREDENTIAL = "/v2/providers/acme/credential"
OWN = "/dedicated/{deployment}"
CALLERS = ("none", "malformed", "revoked", "key", "foreign", "admin")
BODILESS = frozenset(
    {
        f"{KEYS}/{{uuid}}/regenerate",
        "/v2/models/{id:path}/pull",
        "/v2/config/reload",
        "/v2/webhooks/{id}/test",
    }
)
PROD = a_deployment(a_wanted(model="tiny", engine="e"))
LOCKED_OUT = frozenset({"none", "malformed", "revoked"})


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with open_plane(World()) as opened:
        yield opened


def headers_of(world: World, caller: str) -> dict[str, str]:
    match caller:
        case "none":
            return {}
        case "malformed":
            return {"authorization": "Bearer hr_short"}
        case "revoked":
            return world.bearer("gone")
        case _:
            return world.bearer(caller)


def concrete(spec: RouteSpec, world: World) -> str:
    """A path of this route that exists and belongs to the caller "key"."""
    values = {
        "/v2/requests/{id}": "req_own",
        "/v2/requests/{id}/route": "req_own",
        "/v2/requests/{id}/shadow": "req_own",
        "/v1/responses/{id}": "resp_own",
        "/v1/responses/{id}/cancel": "resp_own",
        "/v1/responses/{id}/input_items": "resp_own",
        "/v2/models/{id:path}/pull": "tiny",
        "/v2/models/{id:path}/weights": "spare",
        "/v1/models/{id:path}": "acme/chat:large",
        f"{CATALOG}/{{id:path}}": "acme/chat:large",
        "/v2/budgets/{id}": "bud_1",
        "/v2/alerts/{id}": "alr_1",
        "/v2/webhooks/{id}": "whk_1",
        "/v2/webhooks/{id}/test": "whk_1",
        "/v2/reconciliations/{id}": "rec_1",
    }
    if spec.path.startswith(OWN):
        path = spec.path.replace("{deployment}", PROD.id).replace("{id}", "resp_own")
        return path.replace("{model:path}", PROD.name)
    if "/{id}" in spec.path and spec.path.startswith("/v2/dedicated-inferences"):
        return spec.path.replace("{id}", PROD.id).replace("{token}", "tok").replace("{accelerator}", "prod-0")
    if spec.path.startswith(f"{MODELS}/routers/{{"):
        return spec.path.replace("{uuid}", SUPPORT.uuid)
    named = {
        "{scope:path}": "platform",
        "{uuid}": world.ids["key"],
        "{label}": "spare",
        "{name}": "acme",
        "{name:path}": "daily",
        "{model:path}": "acme/chat:large",
    }
    path = re.sub(r"\{id(:path)?\}", values.get(spec.path, ""), spec.path)
    for template, value in named.items():
        path = path.replace(template, value)
    return path


def is_hidden(spec: RouteSpec, caller: str) -> bool:
    """Whether there is nothing of that path that the caller could see."""
    if caller == "foreign" and (spec.path == "/v2/requests/{id}" or spec.path.startswith(OWN)):
        return True
    if spec.path.removeprefix(OWN).startswith("/v1/responses/{id}"):
        return caller != "key"
    return (spec.method, spec.path) == ("DELETE", "/v2/requests/{id}/route")


def expected_status(spec: RouteSpec, caller: str) -> int:
    if spec.audience is Audience.PUBLIC:
        return 200
    if caller in LOCKED_OUT:
        return 401
    if spec.audience is Audience.ADMIN and caller != "admin":
        return 403
    if is_hidden(spec, caller):
        return 404
    if spec.method == "DELETE" and spec.path.startswith("/v2/dedicated-inferences"):
        return 204 if spec.path.endswith("{token}") else 202
    if spec.path.removeprefix(OWN) in ("/v1/responses/{id}/cancel", "/v1/responses/compact"):
        return 400
    if spec.method in ("POST", "PUT", "PATCH") and spec.path not in BODILESS:
        return 415
    return 200


@pytest.mark.parametrize("caller", CALLERS)
async def test_every_route_keeps_out_whom_it_must(caller: str) -> None:
    table = control_routes(await World().build())
    for spec in table:
        world = World()
        world.weights.here.add(SHA)
        world.files.texts["spare"] = (
            LOCAL.replace('"here"', '"spare"').replace('"tiny"', '"spare"').replace(SHA, "ef" * 32)
        )
        world.aliases.aliases["daily"] = Alias("daily", "tiny", (), 1, 1)
        world.routers.routers[SUPPORT.uuid] = SUPPORT
        world.limits.limits["platform"] = ScopedLimits("platform", RateLimits(requests_per_day=9), 1)
        world.teams.teams["acme"] = Team("acme", is_prepaid=False, created_at_micros=1)
        world.money.budgets["bud_1"] = Budget("bud_1", "team:shop", Window.DAY, "UTC", 9, BudgetMode.REJECT, 1, 1)
        alert = Alert("alr_1", "dear", Metric.COST_PER_HOUR, "platform", 1, 0, 0, (), None, 1, 1)
        world.alerting.alerts["alr_1"] = Standing(alert)
        world.deployments.stored[PROD.id], world.authority = PROD, b"PEM"
        token = AccessKey("tok", "t", Role.KEY, "shop", b"d", frozenset({PROD.name}), 1, deployment=PROD.id)
        world.keys.keys["tok"] = token
        world.compute.replicas.append(Replica("prod-0", PROD.id, ReplicaState.READY, None, 7, 1))
        world.reconciled.kept.append(KeptReconciliation("rec_1", "acme", "d", 1, "{}", "{}"))
        sealed = b"webhook/whk_1|" + b"k" * 32
        world.alerting.webhooks["whk_1"] = Webhook("whk_1", "https://a.example/", sealed, 1, 1, 1)
        async with open_world(world) as client:
            answer = await client.request(spec.method, concrete(spec, world), headers=headers_of(world, caller))
            assert answer.status_code == expected_status(spec, caller), (spec.method, spec.path, answer.text)
            assert world.observer.requests[-1].route == spec.path


async def nothing(_: Request) -> Reply:
    return json_reply({})


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ((RouteSpec("GET", "/v2/open", nothing),), "does not say who may call it"),
        ((RouteSpec("GET", "/v2/a", nothing, Audience.OWN),) * 2, "stands twice"),
    ],
)
async def test_a_bad_table_of_routes_is_not_built(specs: tuple[RouteSpec, ...], message: str, plane: Plane) -> None:
    with pytest.raises(ValueError, match=message):
        build_app(plane.parts.door, specs, frozenset())


async def test_a_key_reads_who_it_is(plane: Plane) -> None:
    answer = await plane.call("foreign", "GET", "/v2/me")
    assert body_of(answer) == {
        "team": "shop",
        "account": "shop",
        "role": "key",
        "key_id": plane.world.ids["foreign"],
        "key_name": "foreign",
        "models": ["acme/chat:large"],
    }
    assert answer.headers["x-request-id"] == answer.headers["request-id"]
    assert body_of(await plane.call("admin", "GET", "/v2/me"))["models"] is None


async def test_the_version_names_the_store(plane: Plane) -> None:
    assert body_of(await plane.call("key", "GET", "/v2/version")) == {
        "version": "0.1.0",
        "commit": "abc1234",
        "python": "3.11.9",
        "store": {"schema": "0001", "synchronous": "full", "library": "3.53.0"},
    }


async def test_a_key_sees_its_own_receipts_and_the_admin_all(plane: Plane) -> None:
    own = body_of(await plane.call("key", "GET", "/v2/requests"))
    assert own["meta"] == {"total": 1}
    everything = (await plane.call("admin", "GET", "/v2/requests")).json()
    assert [each["id"] for each in everything["requests"]] == ["req_foreign", "req_own"]
    assert everything["requests"][0]["attempts"] == 2
    one = (await plane.call("admin", "GET", "/v2/requests?limit=1")).json()
    assert [each["id"] for each in one["requests"]] == ["req_foreign"]
    receipt = (await plane.call("key", "GET", "/v2/requests/req_own")).json()
    assert (receipt["charge_nano_usd"], receipt["charge_usd"]) == (6540, "0.000006540")
    foreign = await plane.call("key", "GET", "/v2/requests/req_foreign")
    missing = await plane.call("key", "GET", "/v2/requests/req_missing")
    assert foreign.status_code == missing.status_code == 404
    assert body_of(foreign)["id"] == body_of(missing)["id"] == "request_not_found"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=", "limit=1&limit=2", "limit=%C2%B2"])
async def test_a_bad_limit_is_named(query: str, plane: Plane) -> None:
    answer = await plane.call("admin", "GET", f"/v2/requests?{query}")
    assert answer.status_code == 400
    assert body_of(answer)["param"] == "limit"


async def test_the_catalog_says_why_a_model_cannot_be_called(plane: Plane) -> None:
    answer = (await plane.call("admin", "GET", CATALOG)).json()
    assert answer["meta"] == {"total": 3, "page": 1, "pages": 1}
    found = {each["id"]: each for each in answer["models"]}
    assert {name: each["availability"]["code"] for name, each in found.items()} == {
        "acme/chat:large": "no_credential",
        "tiny": "no_weights",
        "unpriced": "no_price",
    }
    large = found["acme/chat:large"]
    assert large["pricing"]["cache_read_input_price_per_million"] == large["prices"]["input_cache_read"] == "0.1"
    assert large["modalities"] == {"input": ["text", "image"], "output": ["text"]}
    assert large["created_at"] == "2026-05-01T00:00:00.000000Z"
    assert large["weights"] is None
    assert found["tiny"]["weights"] == {"sha256": SHA, "size_bytes": 100, "licence": "MIT", "present": False}
    assert found["tiny"]["created_at"] is None
    assert (found["unpriced"]["prices"], found["unpriced"]["price_version"]) == (None, None)
    assert [each["provider"] for each in large["offers"]] == ["acme"]


async def test_the_catalog_is_read_by_pages(plane: Plane) -> None:
    second = (await plane.call("admin", "GET", f"{CATALOG}?page=2&limit=1")).json()
    assert [each["id"] for each in second["models"]] == ["tiny"]
    assert second["meta"] == {"total": 3, "page": 2, "pages": 3}
    assert second["links"]["pages"] == {
        "first": f"{CATALOG}?page=1&limit=1",
        "prev": f"{CATALOG}?page=1&limit=1",
        "next": f"{CATALOG}?page=3&limit=1",
        "last": f"{CATALOG}?page=3&limit=1",
    }


async def test_a_scoped_key_sees_its_models_only(plane: Plane) -> None:
    assert body_of(await plane.call("foreign", "GET", CATALOG))["meta"] == {"total": 1, "page": 1, "pages": 1}
    assert (await plane.call("foreign", "GET", f"{CATALOG}/tiny")).status_code == 404
    missing = await plane.call("admin", "GET", f"{CATALOG}/tin")
    assert missing.status_code == 404
    assert 'Did you mean "tiny"?' in str(body_of(missing)["message"])
    one = await plane.call("foreign", "GET", f"{CATALOG}/acme%2Fchat:large")
    assert body_of(one)["id"] == "acme/chat:large"


async def test_models_of_the_data_plane(plane: Plane) -> None:
    plane.world.weights.here.add(SHA)
    await plane.parts.door.snapshots.refresh()
    listed = (await plane.call("key", "GET", "/v1/models")).json()
    assert [each["id"] for each in listed["data"]] == ["tiny", "inference-router", "router:general"]
    one = (await plane.call("key", "GET", "/v1/models/acme/chat:large")).json()
    assert one["available"] is False
    missing = await plane.call("key", "GET", "/v1/models/tiy")
    assert missing.json()["error"]["code"] == "model_not_found"


async def test_a_key_is_created_shown_once_and_works_at_once(plane: Plane) -> None:
    made = await plane.call("admin", "POST", KEYS, {"name": "web", "models": ["tiny", "tiny"]})
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    info = made.json()["api_key_info"]
    secret = info.pop("secret_key")
    assert info == {
        "uuid": secret.split("_")[1],
        "name": "web",
        "created_at": "2026-11-24T12:00:00.000000Z",
        "created_by": OPERATOR_ACCOUNT,
        "deleted_at": None,
        "models": ["tiny"],
        "team": "default",
        "account": "default",
        "role": "key",
        "response_cache": None,
    }
    plane.world.tokens["web"] = secret
    assert (await plane.call("web", "GET", "/v2/me")).status_code == 200
    listed = await plane.call("admin", "GET", KEYS)
    assert listed.json()["api_key_infos"][-1] == info
    assert "secret" not in listed.text
    assert secret not in listed.text


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({}, "name", '"name" is missing'),
        ({"name": 3}, "name", "not a string"),
        ({"name": ""}, "name", "1 to 64"),
        ({"name": " web"}, "name", "space"),
        ({"name": "a\nb"}, "name", "printable"),
        ({"name": "x" * 65}, "name", "64"),
        ({"name": "w", "team": OPERATOR_ACCOUNT}, "team", "admin token"),
        ({"name": "w", "team": 1}, "team", "not a string"),
        ({"name": "w", "account": 1}, "account", "not a string"),
        ({"name": "w", "team": "default", "account": "default"}, "account", "another name"),
        ({"name": "w", "team": "defaults"}, "team", 'Did you mean "default"?'),
        ({"name": "w", "models": []}, "models", "leave it out"),
        ({"name": "w", "models": "tiny"}, "models", "list"),
        ({"name": "w", "models": ["tiny", 1]}, "models", "string"),
        ({"name": "w", "models": ["tinny"]}, "models", 'Did you mean "tiny"?'),
        ({"name": "w", "model": ["tiny"]}, "model", 'Did you mean "models"?'),
        ({"name": "w", "role": "admin"}, "role", "not known"),
        ({"name": "w", "response_cache": 60}, "response_cache", "ttl_seconds"),
        ({"name": "w", "response_cache": {}}, "response_cache", "ttl_seconds"),
        ({"name": "w", "response_cache": {"ttl_seconds": True}}, "response_cache", "whole number"),
        ({"name": "w", "response_cache": {"ttl_seconds": 1.5}}, "response_cache", "whole number"),
        ({"name": "w", "response_cache": {"ttl_seconds": 0}}, "response_cache.ttl_seconds", "thirty days"),
        ({"name": "w", "response_cache": {"ttl_seconds": 2_592_001}}, "response_cache.ttl_seconds", "2592001"),
    ],
)
async def test_a_bad_key_is_refused_by_name(body: JsonObject, param: str, says: str, plane: Plane) -> None:
    before = len(plane.world.keys.keys)
    answer = await plane.call("admin", "POST", KEYS, body)
    assert answer.status_code == 400
    assert body_of(answer)["param"] == param
    assert says in str(body_of(answer)["message"])
    assert len(plane.world.keys.keys) == before


async def test_a_revoked_key_is_out_before_the_reply(plane: Plane) -> None:
    path = f"{KEYS}/{plane.world.ids['key']}"
    gone = await plane.call("admin", "DELETE", path)
    assert gone.json()["api_key_info"]["deleted_at"] == "2026-11-24T12:00:00.000000Z"
    assert (await plane.call("key", "GET", "/v2/me")).status_code == 401
    plane.world.clock.advance(5)
    assert (await plane.call("admin", "DELETE", path)).json() == gone.json()
    again = await plane.call("admin", "PUT", f"{path}/regenerate")
    assert (again.status_code, body_of(again)["id"]) == (409, "key_revoked")


async def test_a_regenerated_key_replaces_the_old_one_at_once(plane: Plane) -> None:
    made = await plane.call("admin", "PUT", f"{KEYS}/{plane.world.ids['foreign']}/regenerate")
    info = made.json()["api_key_info"]
    assert (info["name"], info["models"], info["account"]) == ("foreign", ["acme/chat:large"], "shop")
    assert info["uuid"] != plane.world.ids["foreign"]
    assert (await plane.call("foreign", "GET", "/v2/me")).status_code == 401
    plane.world.tokens["new"] = info["secret_key"]
    assert (await plane.call("new", "GET", "/v2/me")).status_code == 200


async def test_the_last_admin_token_stays(plane: Plane) -> None:
    path = f"{KEYS}/{plane.world.ids['admin']}"
    answer = await plane.call("admin", "DELETE", path)
    assert (answer.status_code, body_of(answer)["id"]) == (409, "last_admin_token")
    assert answer.headers["x-should-retry"] == "false"
    made = await plane.call("admin", "PUT", f"{path}/regenerate")
    plane.world.tokens["new"] = made.json()["api_key_info"]["secret_key"]
    assert (await plane.call("admin", "GET", KEYS)).status_code == 401
    assert (await plane.call("new", "DELETE", path)).status_code == 200


async def test_an_unknown_key_is_not_found(plane: Plane) -> None:
    for method, tail in (("GET", ""), ("DELETE", ""), ("PUT", "/regenerate"), ("PUT", "")):
        body: JsonObject | None = {} if (method, tail) == ("PUT", "") else None
        answer = await plane.call("admin", method, f"{KEYS}/nobody{tail}", body)
        assert (answer.status_code, body_of(answer)["id"]) == (404, "key_not_found")


async def test_a_credential_is_sealed_and_live_at_once_and_never_shown(plane: Plane) -> None:
    answer = await plane.call("admin", "PUT", CREDENTIAL, {"credential": "sk-very-secret-123"})
    assert body_of(answer) == {
        "provider": {
            "name": "acme",
            "display_name": "Acme",
            "base_url": "https://api.example.com/v1",
            "wire_format": "openai",
            "needs_credential": True,
            "credential_set": True,
            "credential_source": "stored",
            "credentials": [{"label": "default", "source": "stored"}],
            "key_variable": "ACME_API_KEY",
            "docs_url": "https://example.com/docs",
            "models": 2,
        }
    }
    sealed = plane.world.credentials.sealed["acme", "default"]
    assert (sealed.key_version, b"very-secret" in sealed.sealed) == (7, False)
    assert sealed.sealed.startswith(b"provider-credential:acme|")
    listed = (await plane.call("key", "GET", "/v1/models")).json()["data"]
    assert [each["id"] for each in listed] == ["acme/chat:large", "inference-router"]
    listed = await plane.call("admin", "GET", "/v2/providers")
    assert [each["credential_source"] for each in listed.json()["providers"]] == ["stored", None]
    assert "very-secret" not in listed.text + repr(plane.world.observer.requests)
    removed = await plane.call("admin", "DELETE", CREDENTIAL)
    assert removed.json()["provider"]["credential_set"] is False
    assert (await plane.call("admin", "DELETE", CREDENTIAL)).status_code == 200


@pytest.mark.parametrize("text", ["", "sk with space", "sk\r\nx-evil: 1", "schlüssel", "x" * 4097, None, 5])
async def test_a_bad_credential_is_refused_without_being_shown(text: str | int | None, plane: Plane) -> None:
    answer = await plane.call("admin", "PUT", CREDENTIAL, {"credential": text})
    assert (answer.status_code, body_of(answer)["param"]) == (400, "credential")
    assert "sk" not in answer.text
    assert plane.world.credentials.sealed == {}


@pytest.mark.parametrize(
    ("name", "status", "code", "says"),
    [
        ("acmee", 404, "provider_not_found", 'Did you mean "acme"?'),
        ("here", 400, "provider_needs_no_credential", "takes no key"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_credential_goes_to_a_provider_that_takes_one(
    name: str, status: int, code: str, says: str, method: str, plane: Plane
) -> None:
    body: JsonObject | None = {"credential": "sk-1"} if method == "PUT" else None
    answer = await plane.call("admin", method, f"/v2/providers/{name}/credential", body)
    assert (answer.status_code, body_of(answer)["id"]) == (status, code)
    assert says in str(body_of(answer)["message"])


async def test_a_credential_from_the_environment_is_named_as_such(plane: Plane) -> None:
    plane.world.given["ACME_API_KEY"] = "sk-given"
    await plane.parts.door.snapshots.refresh()
    state = body_of(await plane.call("admin", "GET", "/v2/providers/acme"))
    assert state["provider"] == {**json.loads(json.dumps(state["provider"])), "credential_source": "environment"}
    answer = await plane.call("admin", "DELETE", CREDENTIAL)
    assert (answer.status_code, body_of(answer)["id"]) == (409, "credential_not_stored")
    await plane.call("admin", "PUT", CREDENTIAL, {"credential": "sk-stored"})
    sealed = plane.world.credentials.sealed
    sealed["acme", "default"] = SealedCredential("acme", b"other|x", 6, 0)
    await plane.parts.door.snapshots.refresh()
    unreadable = (await plane.call("admin", "GET", "/v2/providers/acme")).json()
    assert unreadable["provider"]["credential_source"] == "environment"


async def test_a_stale_if_match_is_a_conflict_and_changes_nothing(plane: Plane) -> None:
    tag = (await plane.call("admin", "GET", "/v2/providers/acme")).headers["etag"]
    admin = plane.world.bearer("admin")
    stale = await plane.client.put(CREDENTIAL, headers={**admin, "if-match": '"old"'}, json={"credential": "sk-1"})
    assert (stale.status_code, body_of(stale)["id"]) == (409, "etag_mismatch")
    assert plane.world.credentials.sealed == {}
    fresh = await plane.client.put(CREDENTIAL, headers={**admin, "if-match": tag}, json={"credential": "sk-1"})
    assert fresh.status_code == 200
    assert fresh.headers["etag"] != tag
    late = await plane.client.delete(CREDENTIAL, headers={**admin, "if-match": tag})
    assert late.status_code == 409
    anything = await plane.client.delete(CREDENTIAL, headers={**admin, "if-match": "*"})
    assert anything.status_code == 200
    key = f"{KEYS}/{plane.world.ids['key']}"
    assert (await plane.client.delete(key, headers={**admin, "if-match": '"old"'})).status_code == 409
    assert (await plane.client.put(f"{key}/regenerate", headers={**admin, "if-match": '"old"'})).status_code == 409
    assert (await plane.call("key", "GET", "/v2/me")).status_code == 200


async def test_a_known_etag_is_answered_without_a_body(plane: Plane) -> None:
    first = await plane.call("key", "GET", "/v2/me")
    headers = {**plane.world.bearer("key"), "if-none-match": f'"other", W/{first.headers["etag"]}'}
    again = await plane.client.get("/v2/me", headers=headers)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert (await plane.client.get("/v2/version", headers=headers)).status_code == 200


async def test_head_is_get_without_a_body(plane: Plane) -> None:
    whole = await plane.call("key", "GET", "/v2/me")
    head = await plane.call("key", "HEAD", "/v2/me")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))


def events_of(text: str) -> list[JsonObject]:
    return [json.loads(part.removeprefix("data: ")) for part in text.split("\n\n") if part]


async def test_a_pull_announces_reports_and_makes_the_model_callable(plane: Plane) -> None:
    plane.world.weights.go_on.set()
    answer = await plane.call("admin", "POST", "/v2/models/tiny/pull")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.text)
    assert events[0] == {"name": "tiny.gguf", "size_bytes": 100, "licence": "MIT"}
    assert events[-1] == {"done": True, "model": "tiny"}
    listed = (await plane.call("key", "GET", "/v1/models")).json()["data"]
    assert [each["id"] for each in listed if each["type"] != "router"] == ["tiny"]
    again = events_of((await plane.call("admin", "POST", "/v2/models/tiny/pull")).text)
    assert again[1:] == [{"done": True, "model": "tiny"}]
    assert plane.world.weights.pulled == ["tiny.gguf"]
    pulls = (await plane.call("admin", "GET", "/v2/models/pulls")).json()["pulls"]
    assert pulls == [
        {"model": "tiny", "what": None, "done": 0, "total": 0, "unit": None, "state": "done", "error": None}
    ]


async def test_a_failed_pull_ends_with_its_error(plane: Plane) -> None:
    plane.world.weights.go_on.set()
    plane.world.weights.failure = UpstreamUnavailable("Every source failed: example.com timed out.")
    answer = await plane.call("admin", "POST", "/v2/models/tiny/pull")
    error = {
        "id": "upstream_unavailable",
        "message": "Every source failed: example.com timed out.",
        "request_id": answer.headers["x-request-id"],
    }
    assert events_of(answer.text)[-1] == {"error": error}
    pulls = (await plane.call("admin", "GET", "/v2/models/pulls")).json()["pulls"]
    assert (pulls[0]["state"], pulls[0]["what"], pulls[0]["done"]) == ("failed", "tiny.gguf", 10)
    assert pulls[0]["error"]["id"] == "upstream_unavailable"


async def test_weights_are_removed_by_the_admin_and_come_back_by_a_pull(plane: Plane) -> None:
    plane.world.weights.go_on.set()
    await plane.call("admin", "POST", "/v2/models/tiny/pull")
    assert (await plane.call("key", "DELETE", "/v2/models/tiny/weights")).status_code == 403
    answer = await plane.call("admin", "DELETE", "/v2/models/tiny/weights")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "model": "tiny",
            "removed": [{"name": "tiny.gguf", "sha256": SHA, "size_bytes": 100}],
            "kept": [],
            "kept_for": [],
            "freed_bytes": 100,
        },
    )
    listed = (await plane.call("key", "GET", "/v1/models")).json()["data"]
    assert [each["id"] for each in listed if each["type"] != "router"] == []
    await plane.call("admin", "POST", "/v2/models/tiny/pull")
    assert plane.world.weights.pulled == ["tiny.gguf", "tiny.gguf"]


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [("tinny", 404, "model_not_found"), ("acme/chat:large", 400, "nothing_to_pull")],
)
async def test_only_models_of_this_machine_are_pulled(model: str, status: int, code: str, plane: Plane) -> None:
    answer = await plane.call("admin", "POST", f"/v2/models/{model}/pull")
    assert (answer.status_code, body_of(answer)["id"]) == (status, code)


async def test_a_listener_who_leaves_does_not_stop_the_pull() -> None:
    world = World()
    app = control_app(await world.build())
    left, heard = asyncio.Event(), asyncio.Queue[Message]()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    listening = asyncio.gather(app(scope_of(world, "POST", "/v2/models/tiny/pull"), receive, heard.put))
    while b'"done":10' not in (await heard.get()).get("body", b""):
        pass
    left.set()
    await listening
    assert (world.observer.requests[-1].status, world.observer.requests[-1].error_code) == (499, "client_closed")
    async with client_of(app) as client:
        joined = asyncio.gather(client.post("/v2/models/tiny/pull", headers=world.bearer("admin")))
        world.weights.reports[0](Progress("tiny.gguf", 90, 100, "bytes"))
        world.weights.go_on.set()
        (answer,) = await joined
    assert events_of(answer.text)[-1] == {"done": True, "model": "tiny"}
    assert world.weights.pulled == ["tiny.gguf"]


async def test_replicas_are_listed(plane: Plane) -> None:
    assert (await plane.call("admin", "GET", "/v2/replicas")).json()["replicas"] == [
        {
            "id": "tiny-1",
            "deployment": "tiny",
            "state": "ready",
            "pid": 4242,
            "started_at": "2026-11-24T12:00:00.000000Z",
            "reason": None,
        }
    ]


async def test_a_reload_answers_with_the_new_snapshot_or_the_findings(plane: Plane) -> None:
    plane.world.files.texts.pop("acme")
    answer = await plane.call("admin", "POST", "/v2/config/reload")
    assert body_of(answer) == {"version": 2, "models": 1}
    plane.world.files.texts["bad"] = "[provider\n"
    refused = await plane.call("admin", "POST", "/v2/config/reload")
    assert (refused.status_code, body_of(refused)["id"]) == (400, "config_invalid")
    assert "bad.toml:1" in str(body_of(refused)["message"])
    assert body_of(refused)["file"] == "bad.toml"
    assert plane.parts.door.snapshots.current().version == 2


async def test_readiness_names_what_is_wrong(plane: Plane) -> None:
    assert body_of(await plane.client.get("/readyz")) == {"status": "ready", "checks": {"store": "ok"}}
    plane.world.checks["store"] = lambda: "the disk is full"
    answer = await plane.client.get("/readyz")
    assert answer.status_code == 503
    assert body_of(answer) == {"status": "not_ready", "checks": {"store": "the disk is full"}}
    assert body_of(await plane.client.get("/healthz")) == {"status": "ok"}


async def test_metrics_are_open_only_where_they_may_be(plane: Plane) -> None:
    assert (await plane.client.get("/metrics")).status_code == 401
    async with client_of(control_app(await World().build(metrics_public=True))) as client:
        answer = await client.get("/metrics")
    assert (answer.status_code, answer.text) == (200, "headrace_up 1\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("path", ["/healthz", "/v2/me", "/v1/models", "/nowhere"])
async def test_a_foreign_host_is_turned_away(path: str, plane: Plane) -> None:
    headers = {**plane.world.bearer("admin"), "host": "evil.example"}
    assert (await plane.client.get(path, headers=headers)).status_code == 421


async def test_an_unknown_path_is_answered_in_its_dialect(plane: Plane) -> None:
    data = await plane.client.post("/v1/chat/completion")
    assert data.status_code == 404
    assert data.json()["error"]["code"] == "route_not_found"
    assert 'Did you mean "/v1/chat/completions"?' in data.json()["error"]["message"]
    control = await plane.client.get("/v2/mee")
    assert (control.status_code, body_of(control)["id"]) == (404, "route_not_found")
    assert body_of(control)["request_id"] == control.headers["x-request-id"]
    assert (await plane.client.get("/v1beta")).json()["id"] == "route_not_found"
    assert (await plane.client.get("/v2/me/")).status_code == 404
    assert {each.route for each in plane.world.observer.requests} == {"(unknown)"}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", KEYS, "GET, HEAD, POST"),
        ("GET", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("GET", CREDENTIAL, "DELETE, PUT"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(method: str, path: str, allow: str, plane: Plane) -> None:
    answer = await plane.call("admin", method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b'{"name":"a","name":"b"}', "application/json", 400, "duplicate_key"),
        (b'{"name":NaN}', "application/json", 400, "invalid_json"),
        (b"\xff", "application/json", 400, "invalid_encoding"),
        (b"[]", "application/json", 400, "invalid_json"),
        (b"name=a", "application/x-www-form-urlencoded", 415, "unsupported_content_type"),
        (b'{"name":"' + b"x" * (1 << 20) + b'"}', "application/json", 413, "body_too_large"),
    ],
)
async def test_a_bad_body_is_refused(body: bytes, kind: str, status: int, code: str, plane: Plane) -> None:
    headers = {**plane.world.bearer("admin"), "content-type": kind}
    answer = await plane.client.post(KEYS, headers=headers, content=body)
    assert (answer.status_code, body_of(answer)["id"]) == (status, code)


async def test_two_different_credentials_are_a_bad_request(plane: Plane) -> None:
    headers = {**plane.world.bearer("admin"), "x-api-key": plane.world.tokens["key"]}
    assert (await plane.client.get("/v2/me", headers=headers)).status_code == 400


async def test_a_defect_is_hidden_from_the_caller_and_told_to_the_observer(plane: Plane) -> None:
    plane.world.receipts.receipts = None  # pyright: ignore[reportAttributeAccessIssue] - a defect, on purpose
    answer = await plane.call("admin", "GET", "/v2/requests")
    assert (answer.status_code, body_of(answer)["id"]) == (500, "internal_error")
    assert "TypeError" not in answer.text
    assert "TypeError" in (plane.world.observer.requests[-1].detail or "")


async def test_requests_are_reported_with_the_template(plane: Plane) -> None:
    await plane.call("key", "GET", "/v2/requests/req_own")
    end = plane.world.observer.requests[-1]
    assert (end.route, end.method, end.status) == ("/v2/requests/{id}", "GET", 200)
    assert (end.key_id, end.error_code) == (plane.world.ids["key"], None)
    await plane.client.get("/v2/me")
    assert plane.world.observer.requests[-1].error_code == "missing_api_key"


def scope_of(world: World, method: str, path: str) -> Message:
    headers = [(b"host", b"gate"), (b"content-type", b"application/json")]
    headers.append((b"authorization", world.bearer("admin")["authorization"].encode()))
    return {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}


async def test_a_caller_who_leaves_before_the_body_is_whole_changes_nothing(plane: Plane) -> None:
    heard: list[Message] = []
    coming: list[Message] = [
        {"type": "http.request", "body": b'{"name":', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return coming.pop(0)

    async def send(message: Message) -> None:
        heard.append(message)

    await control_app(plane.parts)(scope_of(plane.world, "POST", KEYS), receive, send)
    assert heard == []
    assert plane.world.observer.requests[-1].status == 499
    assert len(plane.world.keys.keys) == 4


async def test_a_stop_of_the_server_is_told_to_whoever_waits(plane: Plane) -> None:
    asked, never = asyncio.Event(), asyncio.Event()
    heard: list[Message] = []

    async def receive() -> Message:
        asked.set()
        await never.wait()
        raise AssertionError("nothing comes")

    async def send(message: Message) -> None:
        heard.append(message)

    serving = asyncio.gather(control_app(plane.parts)(scope_of(plane.world, "POST", KEYS), receive, send))
    await asked.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert heard[0]["status"] == 503
    assert json.loads(heard[1]["body"])["id"] == "shutting_down"
    assert (b"retry-after", b"2") in heard[0]["headers"]
