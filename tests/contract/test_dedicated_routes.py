"""Deployments over the control plane: made, tried, listed, changed, deleted, their tokens, and what is refused."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2
import pytest

from headrace.domain.dedicated import DeploymentStatus, Standing
from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.deployment_event import DeploymentEvent
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.services.deployments import Deployments, model_token_context
from headrace.wire.iso_time import iso_time
from tests.control_world import NOON_MICROS, SHA, ContextSecrets, Plane, World, body_of, open_plane
from tests.fakes.deployed import TINY, deployment_body

pytestmark = pytest.mark.anyio

PATH = "/v2/dedicated-inferences"
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
LARGE: JsonObject = {
    "model_slug": "maker/Large-100B",
    "model_provider": "hugging_face",
    "accelerators": [{"accelerator_slug": "gpu-bigx8-1536gb", "scale": 1, "type": "prefill_decode"}],
}


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    world = World(given={"ACME_API_KEY": "k"})
    world.weights.here.add(SHA)
    async with open_plane(world) as opened:
        yield opened


async def made(plane: Plane, model: JsonObject = TINY, name: str = "prod", **fields: JsonValue) -> dict[str, Any]:
    answer = await plane.call("admin", "POST", PATH, deployment_body(model, name, **fields))
    assert answer.status_code == 202, answer.text
    return answer.json()["dedicated_inference"]


async def patched(plane: Plane, deployment_id: str, body: JsonObject, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    path = f"{PATH}/{deployment_id}"
    return await plane.client.request("PATCH", path, headers={**plane.world.bearer("admin"), **named}, json=body)


def group(**fields: JsonValue) -> JsonObject:
    """A change of the accelerators."""
    return {"spec": {"model_deployments": [{"accelerators": [fields]}]}}


def service(plane: Plane) -> Deployments:
    return plane.parts.deployments


STUCK = {"status": "error", "wanted": 2, "ready": 1, "reason": "No room."}


async def test_a_deployment_is_made_and_shown_as_the_public_contract_has_it(plane: Plane) -> None:
    body = deployment_body(
        LARGE, "prod-llm", version=1, region="atl1", vpc={"uuid": "net-1"}, enable_public_endpoint=True
    )
    answer = await plane.call("admin", "POST", PATH, {**body, "access_tokens": {"hugging_face_token": "hf_abc"}})
    assert answer.status_code == 202
    shown, token = answer.json()["dedicated_inference"], answer.json()["token"]
    assert re.fullmatch(UUID, shown["id"]) and shown["id"] != shown["spec"]["model_deployments"][0]["model_id"]
    assert (shown["status"], shown["region"], shown["vpc_uuid"], shown["team"]) == ("new", "atl1", "net-1", "default")
    assert {name: shown["spec"][name] for name in ("version", "name", "region", "vpc", "enable_public_endpoint")} == {
        "version": 1,
        "name": "prod-llm",
        "region": "atl1",
        "vpc": {"uuid": "net-1"},
        "enable_public_endpoint": True,
    }
    [model] = shown["spec"]["model_deployments"]
    names = ["maker/Large-100B", "acme/chat:large", "fetching"]
    assert [model[name] for name in ("model_slug", "model", "engine")] == names
    assert model["accelerators"] == [
        {
            "accelerator_slug": "gpu-bigx8-1536gb",
            "scale": 1,
            "type": "prefill_decode",
            "status": "new",
            "min_scale": 1,
            "max_scale": 1,
            "gpus": 8,
        }
    ]
    pending = shown["pending_deployment_spec"]
    assert (pending["status"], pending["name"]) == ("provisioning", "prod-llm")
    own = f"gate/dedicated/{shown['id']}"
    assert shown["endpoints"] == {
        "public_endpoint_fqdn": own,
        "private_endpoint_fqdn": own,
        "base_url": f"http://{own}/v1",
    }
    assert shown["price"] == {
        "per_replica_hour_usd": "20.700000000",
        "per_replica_hour_nano_usd": 20_700_000_000,
        "source": "https://example.com/gpus, in force from 2026-08-01",
    }
    assert token["value"].startswith("hr_") and token["is_managed"] is True
    assert plane.world.woken == [NOON_MICROS]
    stored = plane.world.deployments.stored[shown["id"]]
    assert stored.sealed_model_token is not None and b"hf_abc" not in stored.sealed_model_token
    assert ContextSecrets().open(model_token_context(shown["id"]), stored.sealed_model_token) == b"hf_abc"
    one = await plane.call("admin", "GET", f"{PATH}/{shown['id']}")
    assert one.json() == {"dedicated_inference": shown} and "hf_abc" not in one.text


async def test_it_is_callable_by_name_and_the_token_reaches_nothing_else(plane: Plane) -> None:
    shown = await made(plane)
    snapshot = plane.parts.door.snapshots.current()
    assert snapshot.models["prod"][0].model.deployment == service(plane).find(str(shown["id"]))
    [token] = service(plane).tokens.of(service(plane).find(str(shown["id"])))
    assert (token.models, token.deployment, token.account) == (frozenset({"prod"}), shown["id"], "default")


async def test_additions_are_kept_and_shown(plane: Plane) -> None:
    model: JsonObject = {
        **TINY,
        "slots": 3,
        "context_length": 1024,
        "target": {"metric": "first_token_ms", "value": 500},
        "idle_seconds": 30,
        "overflow": {"model": "acme/chat:large", "limit": 2},
        "when_asleep": "overflow",
        "wait_seconds": 7,
        "workload_config": {"isl": 100},
    }
    [shown] = (await made(plane, model))["spec"]["model_deployments"]
    for name in model.keys() - {"accelerators"}:
        assert shown[name] == model[name], name
    assert (shown["driver"], shown["engine"], shown["accelerators"][0]["scale"]) == ("local", "e", 2)


async def test_deployments_are_listed_page_by_page_by_name_and_by_region(plane: Plane) -> None:
    for name, region in (("a", "atl1"), ("b", "tor1"), ("c", "atl1")):
        await made(plane, name=name, region=region)
    whole = body_of(await plane.call("admin", "GET", PATH))
    found = cast("list[dict[str, Any]]", whole["dedicated_inferences"])
    assert [each["name"] for each in found] == ["a", "b", "c"]
    assert (whole["meta"], whole["links"]) == ({"total": 3, "page": 1, "pages": 1}, {"pages": {}})
    atl = body_of(await plane.call("admin", "GET", f"{PATH}?region=atl1&per_page=1"))
    assert atl["meta"] == {"total": 2, "page": 1, "pages": 2}
    assert atl["links"] == {
        "pages": {
            "next": f"{PATH}?page=2&per_page=1&region=atl1",
            "last": f"{PATH}?page=2&per_page=1&region=atl1",
        }
    }
    second = body_of(await plane.call("admin", "GET", f"{PATH}?per_page=2&page=2"))
    first = f"{PATH}?page=1&per_page=2"
    assert second["links"] == {"pages": {"first": first, "prev": first}}
    named = body_of(await plane.call("admin", "GET", f"{PATH}?name=b"))
    assert [each["name"] for each in cast("list[dict[str, Any]]", named["dedicated_inferences"])] == ["b"]
    refused = await plane.call("admin", "GET", f"{PATH}?per_page=201")
    assert (refused.status_code, refused.json()["param"]) == (400, "per_page")


async def test_a_draft_is_tried_and_nothing_is_made(plane: Plane) -> None:
    tried = body_of(await plane.call("admin", "POST", f"{PATH}/draft", deployment_body()))
    fit = cast("dict[str, Any]", tried["fit"])
    assert (fit["fits"], fit["accelerator"], fit["gpus"], fit["weight_bytes"]) == (True, "cpu", 0, 100)
    assert (tried["least_per_hour_usd"], tried["most_per_hour_nano_usd"]) == ("0.000000000", 80_000_000)
    assert plane.world.deployments.stored == {} and plane.world.woken == []


@pytest.mark.parametrize(
    ("body", "status", "code", "said", "param"),
    [
        (
            deployment_body({**TINY, "model_slug": "tinny"}),
            400,
            "model_not_found",
            'Did you mean "tiny"?',
            "model_slug",
        ),
        (deployment_body({**TINY, "driver": "locl"}), 400, "unknown_driver", 'Did you mean "local"?', "driver"),
        (deployment_body({**TINY, "driver": "cloud"}), 503, "driver_unusable", "providers set-key cloud", None),
        (deployment_body({**TINY, "engine": "fetches"}), 400, "unknown_engine", 'Did you mean "fetching"?', "engine"),
        (
            deployment_body({**TINY, "overflow": {"model": "prod"}}),
            400,
            "overflow_to_itself",
            "leads back",
            "overflow.model",
        ),
        (
            deployment_body({**TINY, "when_asleep": "overflow"}),
            400,
            "invalid_request",
            'there is no "overflow"',
            "overflow",
        ),
        (deployment_body({**TINY, "accelerators": []}), 422, "unsupported_spec", "exactly one", "accelerators"),
        (deployment_body({**TINY, "scales": 1}), 400, "unknown_field", "is not known", "scales"),
        (deployment_body(model_deployments=[TINY, TINY]), 422, "unsupported_spec", "exactly one model, not 2", None),
        (deployment_body(name="tiny"), 409, "name_taken", "is the name of a model already", None),
        (deployment_body(name="two words"), 400, "invalid_request", "1 to 255 of a-z", None),
        (deployment_body({**TINY, "model_id": "x"}), 400, "invalid_request", "leave it empty to make", "model_id"),
        ({**deployment_body(), "team": "nobody"}, 400, "team_not_found", 'No team named "nobody"', None),
        (
            {**deployment_body(), "access_tokens": {"hugging_face_token": 5}},
            400,
            "invalid_request",
            "must be a string",
            None,
        ),
    ],
)
async def test_what_cannot_be_is_refused_with_what_to_do(
    plane: Plane, body: JsonObject, status: int, code: str, said: str, param: str | None
) -> None:
    for path in (PATH, f"{PATH}/draft"):
        answer = await plane.call("admin", "POST", path, body)
        assert (answer.status_code, answer.json()["id"]) == (status, code), answer.text
        assert said in answer.json()["message"] and answer.json()["request_id"]
        assert param is None or answer.json()["param"] == f"spec.model_deployments[0].{param}"
    assert plane.world.deployments.stored == {} and plane.world.woken == []


@pytest.mark.parametrize(
    ("model", "accelerator", "code", "said", "param"),
    [
        ("tiny", {"accelerator_slug": "bigg"}, "unknown_accelerator", 'Did you mean "big"?', "accelerator_slug"),
        ("tiny", {"accelerator_slug": "new"}, "accelerator_unpriced", "has no price", "accelerator_slug"),
        ("tiny", {"scale": None, "min_scale": 4, "max_scale": 1}, "invalid_request", "Write 1:4", "min_scale"),
        ("tiny", {"scale": 0}, "invalid_request", '"min_scale" 0 beside a "max_scale" lets it sleep', "scale"),
        ("tiny", {"scale": 1001}, "invalid_request", "from 1 to 1000", "scale"),
        ("tiny", {"scale": None, "min_scale": 0, "max_scale": 0}, "invalid_request", "min_scale 0 lets", "max_scale"),
        ("tiny", {"accelerator_slug": "big", "gpus": 0}, "invalid_request", "must be at least 1", "gpus"),
        ("maker/Large-100B", {"accelerator_slug": "big"}, "impossible_fit", "you asked for 1", "gpus"),
        ("maker/Large-100B", {"accelerator_slug": "small"}, "impossible_fit", "does not fit on", "gpus"),
    ],
)
async def test_hardware_that_cannot_be_is_refused_with_what_would_do(
    plane: Plane, model: str, accelerator: JsonObject, code: str, said: str, param: str
) -> None:
    group: JsonObject = {"accelerator_slug": "cpu", "scale": 1, **accelerator}
    answer = await plane.call("admin", "POST", PATH, deployment_body({"model_slug": model, "accelerators": [group]}))
    assert (answer.status_code, answer.json()["id"]) == (400, code), answer.text
    assert said in answer.json()["message"]
    assert answer.json()["param"] == f"spec.model_deployments[0].accelerators[0].{param}"


async def test_a_model_without_weights_here_says_how_to_pull_them(plane: Plane) -> None:
    plane.world.weights.here.clear()
    await plane.parts.door.snapshots.refresh()
    answer = await plane.call("admin", "POST", PATH, deployment_body())
    assert (answer.status_code, answer.json()["id"]) == (409, "weights_missing")
    assert "`headrace models pull tiny`" in answer.json()["message"]


async def test_names_are_one_space(plane: Plane) -> None:
    await made(plane)
    assert (await plane.call("admin", "POST", PATH, deployment_body())).json()["id"] == "name_taken"
    alias = await plane.call("admin", "POST", "/v2/aliases", {"name": "prod", "points_to": "tiny"})
    assert (alias.status_code, alias.json()["id"]) == (409, "name_taken")
    router: JsonObject = {"policies": [{"task_slug": "bug-fixing", "models": ["tiny"]}], "fallback_models": ["tiny"]}
    refused = await plane.call("admin", "POST", "/v2/gen-ai/models/routers", {**router, "name": "prod"})
    assert (refused.status_code, refused.json()["id"]) == (409, "name_taken")
    await plane.call("admin", "POST", "/v2/gen-ai/models/routers", {**router, "name": "support"})
    await plane.call("admin", "POST", "/v2/aliases", {"name": "daily", "points_to": "tiny"})
    for name, owner in (("support", "a router"), ("daily", "an alias"), ("inference-router", "a router")):
        answer = await plane.call("admin", "POST", PATH, deployment_body(name=name))
        assert (answer.status_code, answer.json()["message"]) == (
            409,
            f'"{name}" is the name of {owner} already; choose another name.',
        )


async def test_bounds_change_at_once_and_wake_the_reconciler(plane: Plane) -> None:
    shown = await made(plane)
    await service(plane).settle_state(shown["id"], status=DeploymentStatus.ACTIVE)
    plane.world.clock.advance(5)
    answer = await patched(plane, shown["id"], group(max_scale=5))
    changed = answer.json()["dedicated_inference"]
    assert (answer.status_code, changed["status"], changed["pending_deployment_spec"]) == (202, "active", None)
    [found] = changed["spec"]["model_deployments"][0]["accelerators"]
    assert (found["min_scale"], found["max_scale"], found["scale"]) == (0, 5, 5)
    assert changed["updated_at"] > shown["updated_at"] and len(plane.world.woken) == 2
    [found] = (await patched(plane, shown["id"], group(scale=3))).json()["dedicated_inference"]["spec"][
        "model_deployments"
    ][0]["accelerators"]
    assert (found["min_scale"], found["max_scale"]) == (3, 3)
    same = await patched(plane, shown["id"], group(scale=3))
    assert same.status_code == 202 and len(plane.world.woken) == 3


async def test_a_change_of_the_hardware_is_pending_until_it_is_rolled_out(plane: Plane) -> None:
    shown = await made(plane)
    await service(plane).settle_state(shown["id"], status=DeploymentStatus.ACTIVE)
    changed = (await patched(plane, shown["id"], group(accelerator_slug="big"))).json()["dedicated_inference"]
    assert (changed["status"], changed["price"]["per_replica_hour_usd"]) == ("updating", "0.040000000")
    assert changed["spec"]["model_deployments"][0]["accelerators"][0]["accelerator_slug"] == "cpu"
    [pending] = changed["pending_deployment_spec"]["model_deployments"][0]["accelerators"]
    assert (pending["accelerator_slug"], pending["gpus"], pending["status"]) == ("big", 1, "provisioning")
    goal = service(plane).find(shown["id"]).goal
    await service(plane).settle_state(shown["id"], status=DeploymentStatus.ACTIVE, wanted=goal, clear_pending=True)
    done = body_of(await plane.call("admin", "GET", f"{PATH}/{shown['id']}"))["dedicated_inference"]
    settled = cast("dict[str, Any]", done)
    assert (settled["status"], settled["pending_deployment_spec"]) == ("active", None)
    assert settled["price"]["per_replica_hour_usd"] == "2.590000000"


async def test_a_client_that_knows_nothing_of_the_additions_changes_only_what_it_sends(plane: Plane) -> None:
    shown = await made(plane, {**TINY, "overflow": {"model": "acme/chat:large", "limit": 3}, "idle_seconds": 9})
    public: JsonObject = {
        "version": 0,
        "name": "prod",
        "region": "",
        "vpc": {"uuid": ""},
        "enable_public_endpoint": True,
    }
    for scale, bounds in ((2, (0, 2)), (3, (3, 3))):
        public["model_deployments"] = [
            {
                "model_id": shown["spec"]["model_deployments"][0]["model_id"],
                "model_slug": "tiny",
                "accelerators": [{"accelerator_slug": "cpu", "scale": scale, "type": "prefill_decode"}],
            }
        ]
        answer = await patched(plane, shown["id"], {"spec": public})
        [model] = answer.json()["dedicated_inference"]["spec"]["model_deployments"]
        assert (model["overflow"], model["idle_seconds"]) == ({"model": "acme/chat:large", "limit": 3}, 9)
        assert (model["accelerators"][0]["min_scale"], model["accelerators"][0]["max_scale"]) == bounds
    back = await patched(plane, shown["id"], {"spec": answer.json()["dedicated_inference"]["spec"]})
    assert (
        back.status_code == 202
        and back.json()["dedicated_inference"]["updated_at"] == (answer.json()["dedicated_inference"]["updated_at"])
    )
    cleared = await patched(plane, shown["id"], {"spec": {"model_deployments": [{"overflow": None}]}})
    assert cleared.json()["dedicated_inference"]["spec"]["model_deployments"][0]["overflow"] is None


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": "other"}, "spec.name"),
        ({"region": "tor1"}, "spec.region"),
        ({"vpc": {"uuid": "x"}}, "spec.vpc.uuid"),
        ({"enable_public_endpoint": False}, "spec.enable_public_endpoint"),
        ({"model_deployments": [{"model_slug": "acme/chat:large", "engine": "fetching", "accelerators": [
            {"accelerator_slug": "gpu-bigx8-1536gb"}]}]}, "spec.model_deployments[0].model_slug"),
        ({"model_deployments": [{"model_id": "x"}]}, "spec.model_deployments[0].model_id"),
        ({"model_deployments": [{"model_slug": "acme/chat:large"}]}, "spec.model_deployments[0].model_slug"),
        ({"model_deployments": [{"driver": "cloud"}]}, "spec.model_deployments[0].driver"),
    ],
)  # fmt: skip
async def test_what_is_for_life_cannot_change(plane: Plane, change: JsonObject, param: str) -> None:
    shown = await made(plane)
    answer = await patched(plane, shown["id"], {"spec": change})
    assert (answer.status_code, answer.json()["id"], answer.json()["param"]) == (422, "immutable_field", param)


async def test_two_editors_get_a_conflict_not_a_lost_edit(plane: Plane) -> None:
    shown = await made(plane)
    read = await plane.call("admin", "GET", f"{PATH}/{shown['id']}")
    assert (await patched(plane, shown["id"], group(scale=3), if_match=read.headers["etag"])).status_code == 202
    late = await patched(plane, shown["id"], group(scale=4), if_match=read.headers["etag"])
    assert (late.status_code, late.json()["id"]) == (409, "etag_mismatch")


async def test_one_that_is_in_use_is_not_deleted_and_its_users_are_named(plane: Plane) -> None:
    shown = await made(plane)
    await plane.call("admin", "POST", "/v2/aliases", {"name": "daily", "points_to": "prod"})
    router: JsonObject = {
        "name": "support",
        "policies": [{"task_slug": "bug-fixing", "models": ["prod"]}],
        "fallback_models": ["tiny"],
    }
    await plane.call("admin", "POST", "/v2/gen-ai/models/routers", router)
    await made(plane, {**TINY, "overflow": {"model": "prod", "limit": 1}}, "second")
    refused = await plane.call("admin", "DELETE", f"{PATH}/{shown['id']}")
    assert (refused.status_code, refused.json()["id"]) == (409, "deployment_in_use")
    assert 'by "router:support", alias "daily", deployment "second"' in refused.json()["message"]


async def test_an_alias_that_is_an_overflow_stays_and_leads_nowhere_back(plane: Plane) -> None:
    await plane.call("admin", "POST", "/v2/aliases", {"name": "spill", "points_to": "acme/chat:large"})
    await made(plane, {**TINY, "overflow": {"model": "spill", "limit": 1}})
    back = await plane.call("admin", "PUT", "/v2/aliases/spill", {"points_to": "prod"})
    assert (back.status_code, back.json()["id"], back.json()["param"]) == (400, "overflow_to_itself", "points_to")
    gone = await plane.call("admin", "DELETE", "/v2/aliases/spill")
    assert (gone.status_code, gone.json()["id"]) == (409, "alias_in_use") and "prod" in gone.json()["message"]


async def test_deletion_is_begun_once_and_finished_by_the_reconciler(plane: Plane) -> None:
    shown = await made(plane)
    path = f"{PATH}/{shown['id']}"
    gone = await plane.call("admin", "DELETE", path)
    assert (gone.status_code, gone.json()["dedicated_inference"]["status"]) == (202, "deleting")
    assert (await plane.call("admin", "DELETE", path)).status_code == 202
    assert len(plane.world.woken) == 2
    changed = await patched(plane, shown["id"], group(scale=1))
    assert (changed.status_code, changed.json()["id"]) == (409, "deployment_deleting")
    late = await plane.call("admin", "POST", f"{path}/tokens", {"name": "late"})
    assert (late.status_code, late.json()["id"]) == (409, "deployment_deleting")
    await service(plane).settle_state(shown["id"], status=DeploymentStatus.ACTIVE)
    assert service(plane).find(shown["id"]).status is DeploymentStatus.DELETING
    await service(plane).forget(shown["id"])
    left = await plane.call("admin", "GET", path)
    assert (left.status_code, left.json()["id"]) == (404, "deployment_not_found")
    assert all(each.revoked_at_micros for each in plane.world.keys.keys.values() if each.deployment)
    await made(plane)


async def test_who_gives_a_name_for_an_id_is_told_the_id(plane: Plane) -> None:
    shown = await made(plane)
    answer = await plane.call("admin", "GET", f"{PATH}/prod")
    assert answer.json()["message"].endswith(f"The deployment of that name is {shown['id']}.")


async def test_tokens_are_made_listed_and_revoked_and_are_no_keys(plane: Plane) -> None:
    shown = await made(plane)
    path = f"{PATH}/{shown['id']}/tokens"
    keys_before = (await plane.call("admin", "GET", "/v2/gen-ai/models/api_keys")).json()["meta"]["total"]
    plane.world.clock.advance(1)
    answer = await plane.call("admin", "POST", path, {"name": "web"})
    assert answer.status_code == 202
    token = answer.json()["token"]
    assert (token["name"], token["is_managed"]) == ("web", False)
    listed = body_of(await plane.call("admin", "GET", path))
    assert [each["name"] for each in cast("list[dict[str, Any]]", listed["tokens"])] == ["default", "web"]
    assert token["value"] not in str(listed) and listed["meta"] == {"total": 2, "page": 1, "pages": 1}
    me = await plane.client.get("/v2/me", headers={"authorization": f"Bearer {token['value']}"})
    assert me.json()["models"] == ["prod"]
    keys = await plane.call("admin", "GET", "/v2/gen-ai/models/api_keys")
    assert keys.json()["meta"]["total"] == keys_before and token["id"] not in keys.text
    assert (await plane.call("admin", "DELETE", f"/v2/gen-ai/models/api_keys/{token['id']}")).status_code == 404
    gone = await plane.call("admin", "DELETE", f"{path}/{token['id']}")
    assert (gone.status_code, gone.content, "content-length" in gone.headers) == (204, b"", False)
    again = await plane.call("admin", "DELETE", f"{path}/{token['id']}")
    assert (again.status_code, again.json()["id"]) == (404, "token_not_found")
    me = await plane.client.get("/v2/me", headers={"authorization": f"Bearer {token['value']}"})
    assert me.status_code == 401
    assert (await plane.call("admin", "POST", path, {})).json()["param"] == "name"


async def test_replicas_are_shown_as_accelerators(plane: Plane) -> None:
    shown = await made(plane)
    path = f"{PATH}/{shown['id']}/accelerators"
    plane.world.compute.replicas += [
        Replica("prod-0", shown["id"], ReplicaState.READY, None, 7, NOON_MICROS, ready_at_micros=NOON_MICROS + 1),
        Replica("prod-1", shown["id"], ReplicaState.STARTING, None, None, NOON_MICROS, "waits for room"),
        Replica("prod-2", shown["id"], ReplicaState.STOPPING, None, None, NOON_MICROS, ended_at_micros=NOON_MICROS),
    ]
    listed = body_of(await plane.call("admin", "GET", path))
    found = cast("list[dict[str, Any]]", listed["accelerators"])
    assert [(each["id"], each["status"], each["slug"], each["role"]) for each in found] == [
        ("prod-0", "active", "cpu", "prefill_decode"),
        ("prod-1", "provisioning", "cpu", "prefill_decode"),
    ]
    assert body_of(await plane.call("admin", "GET", f"{path}?slug=big"))["accelerators"] == []
    assert (await plane.call("admin", "GET", f"{path}/prod-1")).json()["reason"] == "waits for room"
    missing = await plane.call("admin", "GET", f"{path}/tiny-1")
    assert (missing.status_code, missing.json()["id"]) == (404, "accelerator_not_found")


async def test_standing_and_logs_come_from_the_driver(plane: Plane) -> None:
    shown = await made(plane)
    path = f"{PATH}/{shown['id']}"
    assert (await plane.call("admin", "GET", f"{path}/standing")).json()["ready"] == 0
    plane.world.compute.engines[shown["id"]] = {"prod-0": {"running": 2.0}}
    plane.world.compute.standings[shown["id"]] = Standing(2, 1, 1, 3, 4, 0.5, 120.0, 6.25)
    assert (await plane.call("admin", "GET", f"{path}/standing")).json() == {
        "wanted": 2,
        "ready": 1,
        "starting": 1,
        "in_flight": 3,
        "waiting": 4,
        "idle_seconds": 0.5,
        "first_token_ms": 120.0,
        "wake_seconds": 6.25,
        "engines": [{"replica": "prod-0", "figures": {"running": 2.0}}],
    }
    plane.world.compute.lines.update({"prod-0": ["a", "b"], "prod-1": ["c"]})
    logs = await plane.call("admin", "GET", f"{path}/logs?lines=1")
    assert logs.json() == {"logs": [{"replica": "prod-0", "lines": ["b"]}, {"replica": "prod-1", "lines": ["c"]}]}
    one = await plane.call("admin", "GET", f"{path}/logs?replica=prod-1")
    assert one.json() == {"logs": [{"replica": "prod-1", "lines": ["c"]}]}
    plane.world.compute.replicas.append(Replica("prod-2", shown["id"], ReplicaState.STARTING, None, None, NOON_MICROS))
    assert (await plane.call("admin", "GET", f"{path}/logs?replica=prod-2")).json() == {"logs": []}
    missing = await plane.call("admin", "GET", f"{path}/logs?replica=nobody")
    assert (missing.status_code, missing.json()["id"]) == (404, "accelerator_not_found")


async def test_what_became_of_it_is_listed(plane: Plane) -> None:
    shown = await made(plane)
    path = f"{PATH}/{shown['id']}/events"
    assert (await plane.call("admin", "GET", path)).json() == {"events": []}
    event = DeploymentEvent(NOON_MICROS, shown["id"], "prod", DeploymentStatus.ERROR, 2, 1, "No room.")
    plane.world.events[shown["id"]] = (event,)
    [shown_event] = (await plane.call("admin", "GET", path)).json()["events"]
    assert shown_event == {**STUCK, "at": iso_time(NOON_MICROS)}


async def test_the_authority_is_that_of_the_home_where_it_has_one(plane: Plane) -> None:
    path = f"{PATH}/{(await made(plane))['id']}/ca"
    none = await plane.call("admin", "GET", path)
    assert (none.status_code, none.json()["id"]) == (404, "no_authority") and "--tls" in none.json()["message"]
    plane.world.authority = b"-----BEGIN CERTIFICATE-----"
    shown = await plane.call("admin", "GET", path)
    assert base64.b64decode(shown.json()["cert"]) == plane.world.authority


async def test_sizes_and_which_machine_holds_which_model(plane: Plane) -> None:
    sizes = body_of(await plane.call("admin", "GET", f"{PATH}/sizes"))
    found = {
        (each["gpu_slug"], each["billing"]): each["price_per_hour"]
        for each in cast("list[dict[str, Any]]", sizes["sizes"])
    }
    assert (found["cpu", "on_demand"], found["gpu-bigx8-1536gb", "on_demand"]) == ("0.04", "20.7")
    assert sizes["enabled_regions"] == []
    configs = body_of(await plane.call("admin", "GET", f"{PATH}/gpu-model-config"))
    by_model = {each["model"]: each for each in cast("list[dict[str, Any]]", configs["gpu_model_configs"])}
    large = by_model["acme/chat:large"]
    assert (large["model_slug"], large["model_name"], large["is_gated_model"]) == (
        "maker/Large-100B",
        "Large 100B",
        True,
    )
    assert "gpu-bigx8-1536gb" in large["gpu_slugs"] and "gpu-smallx1-20gb" in by_model["tiny"]["gpu_slugs"]


async def test_the_team_that_pays_must_be_there(plane: Plane) -> None:
    await plane.call("admin", "POST", "/v2/teams", {"name": "crew"})
    answer = await plane.call("admin", "POST", PATH, {**deployment_body(), "team": "crew"})
    assert answer.json()["dedicated_inference"]["team"] == "crew"
    for team, said in (("nobody", "No team named"), ("operator", "belongs to the admin token"), (1, "the name of a")):
        refused = await plane.call("admin", "POST", PATH, {**deployment_body(name="b"), "team": team})
        assert (refused.status_code, refused.json()["param"]) == (400, "team") and said in refused.json()["message"]


async def test_the_own_endpoint_lists_the_deployment_and_nothing_else(plane: Plane) -> None:
    answer = (await plane.call("admin", "POST", PATH, deployment_body())).json()
    path = f"/dedicated/{answer['dedicated_inference']['id']}/v1/models"
    bearer = {"authorization": f"Bearer {answer['token']['value']}"}
    listed = await plane.client.get(path, headers=bearer)
    assert [each["id"] for each in listed.json()["data"]] == ["prod"]
    for name in ("prod", "tiny", "maker/Tiny-1B"):
        assert (await plane.client.get(f"{path}/{name}", headers=bearer)).json()["id"] == "prod"
    other = await plane.client.get(f"{path}/acme/chat:large", headers=bearer)
    assert (other.status_code, other.json()["error"]["code"]) == (404, "model_not_found")
    theirs = {**bearer, "anthropic-version": "2023-06-01"}
    page = (await plane.client.get(path, headers=theirs)).json()
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (["prod"], False)
    assert (await plane.client.get(f"{path}/tiny", headers=theirs)).json()["type"] == "model"
    refused = await plane.client.get(path, headers=plane.world.bearer("foreign"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "deployment_not_found")
    wrong = await plane.client.get(path.replace("models", "chat/completions"), headers=bearer)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
