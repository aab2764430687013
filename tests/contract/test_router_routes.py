"""Routers over the control plane: made, listed, replaced, deleted, in force before the answer, and what is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import cast

import httpx2
import pytest

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router import Correction
from tests.control_world import Plane, World, body_of, open_plane

pytestmark = pytest.mark.anyio

PATH = "/v2/gen-ai/models/routers"
SUPPORT: JsonObject = {
    "name": "support",
    "policies": [
        {
            "custom_task": {
                "name": "refund",
                "description": "Customer wants money back.",
                "examples": ["Give it back!"],
            },
            "models": ["tiny", "acme/chat:large"],
            "selection_policy": {"prefer": "cheapest"},
        },
        {"task_slug": "bug-fixing", "examples": ["It crashes."], "models": ["acme/chat:large"]},
    ],
    "fallback_models": ["tiny"],
}
LEAST: JsonObject = {"policies": [{"task_slug": "bug-fixing", "models": ["tiny"]}], "fallback_models": ["tiny"]}


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with open_plane(World()) as opened:
        yield opened


async def made(plane: Plane, **fields: JsonValue) -> JsonObject:
    """Make a router and return it."""
    answer = await plane.call("admin", "POST", PATH, {**SUPPORT, **fields})
    assert answer.status_code == 200, answer.text
    return cast("JsonObject", answer.json()["model_router"])


async def sent(plane: Plane, method: str, path: str, body: JsonObject | None, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await plane.client.request(method, path, headers={**plane.world.bearer("admin"), **named}, json=body)


async def test_a_router_is_made_shown_replaced_and_deleted(plane: Plane) -> None:
    router = await made(plane, description="Desk", min_score=0.6, max_cost_usd="0.01", regions=["all"])
    path = f"{PATH}/{router['uuid']}"
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", str(router["uuid"]))
    assert router["config"] == {name: SUPPORT[name] for name in ("policies", "fallback_models")}
    assert {
        "description": "Desk",
        "min_score": 0.6,
        "max_cost_usd": "0.01",
        "regions": ["all"],
    }.items() <= router.items()
    shown = await plane.call("admin", "GET", path)
    assert shown.json() == {"model_router": router}
    plane.world.clock.advance(5)
    changed = await sent(plane, "PUT", path, LEAST | {"uuid": router["uuid"]}, if_match=shown.headers["etag"])
    anew = changed.json()["model_router"]
    assert (anew["uuid"], anew["name"], anew["description"]) == (router["uuid"], "support", "")
    assert anew["config"] == LEAST
    assert {"min_score", "max_cost_usd"}.isdisjoint(anew)
    assert (anew["created_at"], anew["updated_at"] > router["updated_at"]) == (router["created_at"], True)
    gone = await sent(plane, "DELETE", path, None, if_match=changed.headers["etag"])
    assert (gone.status_code, gone.json()) == (200, {"uuid": router["uuid"]})
    assert plane.world.routers.routers == {}
    again = await plane.call("admin", "DELETE", path)
    assert (again.status_code, again.json()["id"]) == (404, "router_not_found")


async def test_a_change_is_in_force_before_the_answer(plane: Plane) -> None:
    snapshots = plane.parts.door.snapshots
    router = await made(plane)
    found = snapshots.current()
    assert (found.routers["support"].uuid, "general" in found.routers) == (router["uuid"], True)
    [refund, bugs] = found.task_sets["support"].tasks
    assert (refund.slug, refund.examples) == ("refund", ("Give it back!",))
    assert bugs.description.startswith("Bug fixing. ")
    assert bugs.examples == ("Why does this raise?", "It crashes.")
    await plane.world.routers.correct(Correction(str(router["uuid"]), "refund", "req_1", b"\0\0", 1))
    await snapshots.publish_named()
    assert snapshots.current().task_sets["support"].corrections == (("refund", b"\0\0"),)
    assert snapshots.current().task_sets["support"].digest != found.task_sets["support"].digest
    await plane.call("admin", "PUT", f"{PATH}/{router['uuid']}", {**LEAST, "name": "desk"})
    assert {"desk", "general"} == set(snapshots.current().routers)
    assert snapshots.current().task_sets["desk"].corrections == ()
    await plane.call("admin", "DELETE", f"{PATH}/{router['uuid']}")
    assert set(snapshots.current().routers) == set(snapshots.current().task_sets) == {"general"}
    assert set(found.routers) == {"support", "general"}


async def test_routers_presets_and_tasks_are_listed_page_by_page(plane: Plane) -> None:
    for name in ("c", "a", "b"):
        await made(plane, name=name)
    whole = body_of(await plane.call("admin", "GET", PATH))
    assert [each["name"] for each in cast("list[JsonObject]", whole["model_routers"])] == ["a", "b", "c"]
    assert (whole["meta"], whole["links"]) == ({"total": 3, "page": 1, "pages": 1}, {"pages": {}})
    second = body_of(await plane.call("admin", "GET", f"{PATH}?page=2&per_page=1"))
    assert [each["name"] for each in cast("list[JsonObject]", second["model_routers"])] == ["b"]
    assert second["meta"] == {"total": 3, "page": 2, "pages": 3}
    assert second["links"] == {
        "pages": {
            "first": f"{PATH}?page=1&per_page=1",
            "previous": f"{PATH}?page=1&per_page=1",
            "next": f"{PATH}?page=3&per_page=1",
            "last": f"{PATH}?page=3&per_page=1",
        }
    }
    presets = body_of(await plane.call("admin", "GET", f"{PATH}/presets"))
    assert [each["slug"] for each in cast("list[JsonObject]", presets["presets"])] == ["general"]
    tasks = body_of(await plane.call("admin", "GET", f"{PATH}/tasks/presets?per_page=1"))
    assert [each["task_slug"] for each in cast("list[JsonObject]", tasks["tasks"])] == ["bug-fixing"]
    assert tasks["links"] == {
        "pages": {
            "next": f"{PATH}/tasks/presets?page=2&per_page=1",
            "last": f"{PATH}/tasks/presets?page=2&per_page=1",
        }
    }
    refused = await plane.call("admin", "GET", f"{PATH}?per_page=1001")
    assert (refused.status_code, refused.json()["param"]) == (400, "per_page")


@pytest.mark.parametrize(
    ("body", "status", "code", "said", "param"),
    [
        ({"policies": [{"models": ["tiny"]}]}, 400, "invalid_request", "policy 0 task is required", "policies[0]"),
        ({"policies": []}, 400, "invalid_request", "policies is required", "policies"),
        ({"fallback_models": []}, 400, "invalid_request", "At least one fallback model", "fallback_models"),
        ({"fallback_models": ["tinny"]}, 400, "model_not_found", 'Did you mean "tiny"?', "fallback_models[0]"),
        ({"fallback_models": ["router:x"]}, 400, "router_in_router", "never to a router", "fallback_models[0]"),
        ({"regions": ["nyc3"]}, 400, "invalid_request", '"regions" must be ["all"]', "regions"),
        ({"name": "Support Desk"}, 400, "invalid_request", "a-z, 0-9 and hyphen", "name"),
        ({"name": "general"}, 409, "router_exists", "is a router of the catalog", "name"),
        ({"name": None}, 400, "invalid_request", "name is required", "name"),
        ({"uuid": "x"}, 400, "unknown_field", '"uuid" is not known', "uuid"),
        ({"policy": []}, 400, "unknown_field", 'Did you mean "policies"?', "policy"),
    ],
)
async def test_what_is_no_router_is_refused(
    plane: Plane, body: JsonObject, status: int, code: str, said: str, param: str
) -> None:
    answer = await plane.call("admin", "POST", PATH, {**SUPPORT, **body})
    error = answer.json()
    assert (answer.status_code, error["id"], error["param"]) == (status, code, param)
    assert said in error["message"]
    assert set(error) == {"id", "message", "request_id", "param"}
    assert plane.world.routers.routers == {}


async def test_a_name_is_one_routers(plane: Plane) -> None:
    first, second = await made(plane), await made(plane, name="desk")
    answer = await plane.call("admin", "POST", PATH, SUPPORT)
    assert (answer.status_code, answer.json()["id"]) == (409, "router_exists")
    assert str(first["uuid"]) in answer.json()["message"]
    renamed = await plane.call("admin", "PUT", f"{PATH}/{second['uuid']}", {**LEAST, "name": "support"})
    assert (renamed.status_code, renamed.json()["id"]) == (409, "router_exists")
    kept = await plane.call("admin", "PUT", f"{PATH}/{first['uuid']}", {**LEAST, "name": "support"})
    assert kept.status_code == 200


async def test_two_who_make_the_same_name_at_once_get_one_router(plane: Plane) -> None:
    answers = await asyncio.gather(*(plane.call("admin", "POST", PATH, SUPPORT) for _ in range(4)))
    assert sorted(each.status_code for each in answers) == [200, 409, 409, 409]


async def test_a_router_that_is_not_there_is_told(plane: Plane) -> None:
    router = await made(plane)
    for said, asked in ((f"The router of that name is {router['uuid']}.", "support"), ("lists them", "zzzzzzzz")):
        answer = await plane.call("admin", "GET", f"{PATH}/{asked}")
        assert (answer.status_code, answer.json()["id"]) == (404, "router_not_found")
        assert said in answer.json()["message"]
    assert 'Did you mean "support"?' in (await plane.call("admin", "PUT", f"{PATH}/suport", LEAST)).json()["message"]


async def test_a_uuid_in_the_body_is_that_of_the_path(plane: Plane) -> None:
    router = await made(plane)
    answer = await plane.call("admin", "PUT", f"{PATH}/{router['uuid']}", {**LEAST, "uuid": "another"})
    assert (answer.status_code, answer.json()["param"]) == (400, "uuid")


async def test_what_somebody_else_has_changed_is_not_overwritten(plane: Plane) -> None:
    router = await made(plane)
    path = f"{PATH}/{router['uuid']}"
    tag = (await plane.call("admin", "GET", path)).headers["etag"]
    assert (await sent(plane, "PUT", path, LEAST, if_match=tag)).status_code == 200
    for method, body in (("PUT", SUPPORT), ("DELETE", None)):
        late = await sent(plane, method, path, body, if_match=tag)
        assert (late.status_code, late.json()["id"]) == (409, "etag_mismatch")
    known = await sent(plane, "GET", path, None, if_none_match=(await plane.call("admin", "GET", path)).headers["etag"])
    assert known.status_code == 304


async def test_a_router_that_aliases_point_at_stays_under_its_name(plane: Plane) -> None:
    router = await made(plane)
    path = f"{PATH}/{router['uuid']}"
    for name in ("desk", "app"):
        answer = await plane.call("admin", "PUT", f"/v2/aliases/{name}", {"points_to": "router:support"})
        assert answer.status_code == 201, answer.text
    gone = await plane.call("admin", "DELETE", path)
    assert (gone.status_code, gone.json()["id"]) == (409, "router_in_use")
    assert 'router:support cannot be deleted: aliases point at it ("app", "desk").' in gone.json()["message"]
    renamed = await plane.call("admin", "PUT", path, {**SUPPORT, "name": "other"})
    assert (renamed.status_code, renamed.json()["id"]) == (409, "router_in_use")
    assert (await plane.call("admin", "PUT", path, SUPPORT)).status_code == 200
    for name in ("desk", "app"):
        await plane.call("admin", "DELETE", f"/v2/aliases/{name}")
    assert (await plane.call("admin", "DELETE", path)).status_code == 200


@pytest.mark.parametrize("target", ["router:general", "inference-router"])
async def test_an_alias_may_point_at_a_preset_and_at_the_managed_router(plane: Plane, target: str) -> None:
    body: JsonObject = {"points_to": target, "fallbacks": ["tiny"]}
    answer = await plane.call("admin", "PUT", "/v2/aliases/auto", body)
    assert (answer.status_code, answer.json()["alias"]["points_to"]) == (201, target)
    listed = (await plane.call("key", "GET", "/v1/models")).json()["data"]
    assert "auto" not in {each["id"] for each in listed}


@pytest.mark.parametrize(
    ("name", "body", "code", "said"),
    [
        ("desk", {"points_to": "router:suport"}, "router_not_found", 'Did you mean "support"?'),
        ("desk", {"points_to": "router:"}, "router_not_found", "`headrace routers list` lists them."),
        ("desk", {"points_to": "tiny", "fallbacks": ["router:support"]}, "model_not_found", "No model named"),
        ("router:desk", {"points_to": "tiny"}, "invalid_request", '"router:desk" is a name of routers'),
        ("inference-router", {"points_to": "tiny"}, "invalid_request", '"inference-router" is a name of routers'),
    ],
)
async def test_an_alias_that_cannot_point_there_is_refused(
    plane: Plane, name: str, body: JsonObject, code: str, said: str
) -> None:
    await made(plane)
    answer = await plane.call("admin", "PUT", f"/v2/aliases/{name}", body)
    assert (answer.status_code, answer.json()["id"]) == (400, code)
    assert said in answer.json()["message"]


async def test_no_router_comes_back_to_itself_through_an_alias(plane: Plane) -> None:
    await plane.call("admin", "PUT", "/v2/aliases/daily", {"points_to": "tiny"})
    policies: list[JsonValue] = [{"task_slug": "bug-fixing", "models": ["tiny", "daily"]}]
    router = await made(plane, policies=policies)
    back = await plane.call("admin", "PUT", "/v2/aliases/daily", {"points_to": "router:support"})
    assert (back.status_code, back.json()["id"], back.json()["param"]) == (400, "router_in_router", "points_to")
    assert '"daily" is in the pools of router:support' in back.json()["message"]
    gone = await plane.call("admin", "DELETE", "/v2/aliases/daily")
    assert (gone.status_code, gone.json()["id"]) == (409, "alias_in_use")
    await plane.call("admin", "PUT", f"{PATH}/{router['uuid']}", LEAST)
    assert (await plane.call("admin", "PUT", "/v2/aliases/daily", {"points_to": "router:support"})).status_code == 200
    itself = await plane.call("admin", "PUT", f"{PATH}/{router['uuid']}", {**LEAST, "policies": policies})
    assert (itself.status_code, itself.json()["param"]) == (400, "policies[0].models[1]")
    assert "is an alias that points at the router itself" in itself.json()["message"]


async def test_an_alias_and_the_end_of_its_router_do_not_pass_each_other(plane: Plane) -> None:
    router = await made(plane)
    pointed, gone = await asyncio.gather(
        plane.call("admin", "PUT", "/v2/aliases/desk", {"points_to": "router:support"}),
        plane.call("admin", "DELETE", f"{PATH}/{router['uuid']}"),
    )
    assert (pointed.status_code, gone.status_code) in {(201, 409), (400, 200)}
