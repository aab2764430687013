"""Budgets over the control plane: made, seen by whom they concern, changed, removed; bad ones change nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from headrace.domain.json_value import JsonObject
from tests.control_world import Plane, World, body_of, open_plane

pytestmark = pytest.mark.anyio

PATH = "/v2/budgets"
KEYS = "/v2/gen-ai/models/api_keys"
PLATFORM: JsonObject = {"scope": "platform", "window": "month", "limit_usd": "5000"}
HOUR_SECONDS = 3_600


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with open_plane(World(given={"ACME_API_KEY": "sk-1"})) as plane:
        yield plane


async def made(plane: Plane, **fields: str) -> JsonObject:
    reply = await plane.call("admin", "POST", PATH, {**PLATFORM, **fields})
    assert reply.status_code == 201, reply.text
    shown = body_of(reply)["budget"]
    assert isinstance(shown, dict)
    return shown


async def seen_by(plane: Plane, caller: str, query: str = "") -> list[str]:
    reply = await plane.call(caller, "GET", PATH + query)
    assert reply.status_code == 200, reply.text
    return [each["scope"] for each in reply.json()["budgets"]]


async def test_a_budget_is_made_shown_changed_and_removed(plane: Plane) -> None:
    shown = await made(plane, zone="Europe/Berlin", mode="clamp", limit_usd="0.000000001")
    assert shown == {
        "id": shown["id"],
        "scope": "platform",
        "window": "month",
        "zone": "Europe/Berlin",
        "mode": "clamp",
        "limit_usd": "0.000000001",
        "limit_nano_usd": 1,
        "spent_usd": "0.000000000",
        "spent_nano_usd": 0,
        "held_usd": "0.000000000",
        "held_nano_usd": 0,
        "left_usd": "0.000000001",
        "left_nano_usd": 1,
        "window_starts_at": "2026-10-31T23:00:00.000000Z",
        "window_ends_at": "2026-11-30T23:00:00.000000Z",
        "created_at": "2026-11-24T12:00:00.000000Z",
        "changed_at": "2026-11-24T12:00:00.000000Z",
    }
    one = f"{PATH}/{shown['id']}"
    assert body_of(await plane.call("admin", "GET", one)) == {"budget": shown}
    plane.world.clock.advance(60)
    changed = await plane.call("admin", "PATCH", one, {"limit_usd": "12.5"})
    assert (changed.json()["budget"]["limit_usd"], changed.json()["budget"]["mode"]) == ("12.500000000", "clamp")
    assert changed.json()["budget"]["changed_at"] == "2026-11-24T12:01:00.000000Z"
    stricter = await plane.call("admin", "PATCH", one, {"mode": "reject"})
    assert (stricter.json()["budget"]["limit_usd"], stricter.json()["budget"]["mode"]) == ("12.500000000", "reject")
    assert (await plane.call("admin", "DELETE", one)).json() == stricter.json()
    assert (await plane.call("admin", "GET", one)).status_code == 404
    assert await seen_by(plane, "admin") == []


async def test_what_is_left_begins_anew_with_the_next_window(plane: Plane) -> None:
    shown = await made(plane, window="hour", limit_usd="1")
    (scope,) = plane.world.money.scopes
    first = plane.world.money.scopes[scope]
    plane.world.money.scopes[scope] = type(first)(scope, first.limit_nano, 100, 250_000_000)
    now = (await plane.call("admin", "GET", f"{PATH}/{shown['id']}")).json()["budget"]
    assert (now["spent_usd"], now["held_nano_usd"], now["left_nano_usd"]) == ("0.250000000", 100, 749_999_900)
    plane.world.clock.advance(HOUR_SECONDS)
    anew = (await plane.call("admin", "GET", f"{PATH}/{shown['id']}")).json()["budget"]
    assert (anew["spent_nano_usd"], anew["left_usd"]) == (0, "1.000000000")
    assert anew["window_starts_at"] == now["window_ends_at"]


async def test_a_key_sees_its_own_budgets_and_its_teams(plane: Plane) -> None:
    await plane.call("admin", "POST", "/v2/teams", {"name": "shop"})
    own = f"key:{plane.world.ids['key']}"
    for scope in ("platform", own, "team:shop", "team:default", "model:tiny", f"key:{plane.world.ids['foreign']}"):
        await made(plane, scope=scope)
    assert await seen_by(plane, "key") == [own, "team:shop"]
    assert len(await seen_by(plane, "admin")) == 6
    assert await seen_by(plane, "admin", "?scope=team:shop") == ["team:shop"]
    assert await seen_by(plane, "admin", "?scope=team:none") == []
    by_scope = {each["scope"]: each["id"] for each in (await plane.call("admin", "GET", PATH)).json()["budgets"]}
    assert (await plane.call("key", "GET", f"{PATH}/{by_scope[own]}")).status_code == 200
    foreign = await plane.call("key", "GET", f"{PATH}/{by_scope['platform']}")
    assert (foreign.status_code, body_of(foreign)["id"]) == (404, "budget_not_found")
    asked = await plane.call("key", "GET", f"{PATH}?scope=platform")
    assert (asked.status_code, body_of(asked)["param"]) == (400, "scope")


async def test_a_regenerated_key_goes_on_with_what_is_left(plane: Plane) -> None:
    shown = await made(plane, scope=f"key:{plane.world.ids['key']}", limit_usd="1")
    (scope,) = plane.world.money.scopes
    first = plane.world.money.scopes[scope]
    plane.world.money.scopes[scope] = type(first)(scope, first.limit_nano, 0, 999_999_999)
    old = plane.world.ids["key"]
    for _ in range(2):
        anew = (await plane.call("admin", "PUT", f"{KEYS}/{old}/regenerate")).json()["api_key_info"]
        plane.world.tokens["key"], old = anew["secret_key"], anew["uuid"]
        (own,) = (await plane.call("key", "GET", PATH)).json()["budgets"]
        assert (own["id"], own["scope"], own["left_nano_usd"]) == (shown["id"], f"key:{old}", 1)
        assert await seen_by(plane, "admin", f"?scope=key:{old}") == [f"key:{old}"]
    again = await plane.call("admin", "POST", PATH, {**PLATFORM, "scope": f"key:{old}"})
    assert (again.status_code, body_of(again)["id"]) == (409, "budget_exists")
    assert str(shown["id"]) in str(body_of(again)["message"])
    second = await made(plane, scope=f"key:{old}", window="day")
    assert second["scope"] == f"key:{old}"


@pytest.mark.parametrize(
    ("fields", "status", "param", "says"),
    [
        ({"limit_usd": "-1"}, 400, "limit_usd", '"-1"'),
        ({"limit_usd": -1}, 400, "limit_usd", "not -1"),
        ({"limit_usd": 12.5}, 400, "limit_usd", "not 12.5"),
        ({"limit_usd": "NaN"}, 400, "limit_usd", '"NaN"'),
        ({"limit_usd": "Infinity"}, 400, "limit_usd", '"Infinity"'),
        ({"limit_usd": "1e3"}, 400, "limit_usd", '"1e3"'),
        ({"limit_usd": "0.0000000001"}, 400, "limit_usd", "nine decimal places"),
        ({"limit_usd": "99999999999"}, 400, "limit_usd", '"99999999999"'),
        ({"limit_usd": "9999999999"}, 400, "limit_usd", "at most 4611686018.427387904 dollars"),
        ({"limit_usd": "12.50 EUR"}, 400, "limit_usd", "US dollars"),
        ({"limit_usd": "$12.50"}, 400, "limit_usd", "US dollars"),
        ({"limit_usd": "1,50"}, 400, "limit_usd", '"1,50"'),
        ({"limit_usd": "٣"}, 400, "limit_usd", "US dollars"),
        ({"limit_usd": None}, 400, "limit_usd", "not null"),
        ({"limit_eur": "1"}, 400, "limit_eur", 'Did you mean "limit_usd"?'),
        ({"currency": "EUR"}, 400, "currency", "not known here"),
        ({"window": "year"}, 400, "window", '"hour", "day", "week", "month", "total", not "year"'),
        ({"window": 60}, 400, "window", "not 60"),
        ({"window": None}, 400, "window", "not null"),
        ({"mode": "warn"}, 400, "mode", 'not "warn"'),
        ({"zone": "Europe/Berln"}, 400, "zone", '"Europe/Berln" is no time zone'),
        ({"zone": "+01:00"}, 400, "zone", '"+01:00"'),
        ({"zone": 1}, 400, "zone", "Europe/Berlin"),
        ({"scope": "everything"}, 400, "scope", '"everything" is no scope'),
        ({"scope": "platform:x"}, 400, "scope", "no scope"),
        ({"scope": None}, 400, "scope", "missing"),
        ({"scope": "team:shpo"}, 404, "scope", 'There is no team "shpo"'),
        ({"scope": "model:tinny"}, 404, "scope", 'Did you mean "tiny"?'),
        ({"scope": "key:nobody"}, 404, "scope", 'There is no key "nobody"'),
        ({"scope": "key:foreign"}, 404, "scope", "is the name of a key, not its id: write key:"),
    ],
)
async def test_what_cannot_be_a_budget_is_refused_and_changes_nothing(
    fields: JsonObject, status: int, param: str, says: str, plane: Plane
) -> None:
    await made(plane, scope="model:tiny")
    before = (await plane.call("admin", "GET", PATH)).content, dict(plane.world.money.scopes)
    refused = await plane.call("admin", "POST", PATH, {**PLATFORM, **fields})
    assert (refused.status_code, body_of(refused)["param"]) == (status, param)
    assert says in str(body_of(refused)["message"])
    assert ((await plane.call("admin", "GET", PATH)).content, dict(plane.world.money.scopes)) == before


async def test_a_revoked_key_gets_no_budget(plane: Plane) -> None:
    refused = await plane.call("admin", "POST", PATH, {**PLATFORM, "scope": f"key:{plane.world.ids['gone']}"})
    assert (refused.status_code, body_of(refused)["id"]) == (404, "key_not_found")


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"limit_usd": "-1"}, "limit_usd"), ({"mode": "warn"}, "mode"), ({"scope": "platform"}, "scope")],
)
async def test_a_bad_change_changes_nothing(fields: JsonObject, param: str, plane: Plane) -> None:
    shown = await made(plane)
    one = f"{PATH}/{shown['id']}"
    refused = await plane.call("admin", "PATCH", one, fields)
    assert (refused.status_code, body_of(refused)["param"]) == (400, param)
    assert body_of(await plane.call("admin", "GET", one)) == {"budget": shown}


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {"limit_usd": "1"}), ("DELETE", None)])
async def test_a_budget_that_there_is_not_is_told(method: str, body: JsonObject | None, plane: Plane) -> None:
    unknown = await plane.call("admin", method, f"{PATH}/bud_none", body)
    assert (unknown.status_code, body_of(unknown)["id"]) == (404, "budget_not_found")
    assert "headrace budgets list" in str(body_of(unknown)["message"])


@pytest.mark.parametrize(("method", "path"), [("POST", PATH), ("PATCH", f"{PATH}/x"), ("DELETE", f"{PATH}/x")])
async def test_a_key_changes_no_budget(method: str, path: str, plane: Plane) -> None:
    assert (await plane.call("key", method, path, PLATFORM)).status_code == 403
