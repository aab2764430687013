"""Teams and prepaid balances over the control plane; bad money is refused and books nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from headrace.domain.json_value import JsonObject
from headrace.domain.team import Team
from tests.control_world import SHA, Plane, World, body_of, open_plane
from tests.fakes.deployed import TINY, deployment_body

pytestmark = pytest.mark.anyio

PATH = "/v2/teams"
KEYS = "/v2/gen-ai/models/api_keys"
SHOP = f"{PATH}/desk"
TRANSFERS = f"{SHOP}/transfers"


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with open_plane(World()) as plane:
        assert (await plane.call("admin", "POST", PATH, {"name": "desk", "prepaid": True})).status_code == 201
        yield plane


async def test_a_team_is_made_shown_changed_and_forgotten(plane: Plane) -> None:
    zero = {f"{each}_{unit}": value for each in ("paid", "spent", "held", "left") for unit, value in ZERO}
    shown = {"name": "desk", "prepaid": True, "created_at": "2026-11-24T12:00:00.000000Z", "balance": zero}
    assert body_of(await plane.call("admin", "GET", SHOP)) == {"team": shown}
    listed = (await plane.call("admin", "GET", PATH)).json()
    assert [(each["name"], each["prepaid"]) for each in listed["teams"]] == [("default", False), ("desk", True)]
    assert [each.get("balance") for each in listed["teams"]] == [None, zero]
    changed = await plane.call("admin", "PATCH", SHOP, {"prepaid": False})
    assert body_of(changed) == {"team": {**shown, "prepaid": False}}
    assert (await plane.call("admin", "DELETE", SHOP)).status_code == 200
    gone = await plane.call("admin", "GET", SHOP)
    assert (gone.status_code, body_of(gone)["id"]) == (404, "team_not_found")


ZERO = (("usd", "0.000000000"), ("nano_usd", 0))


async def test_keys_belong_to_a_team_that_there_is(plane: Plane) -> None:
    made = await plane.call("admin", "POST", KEYS, {"name": "web", "team": "desk"})
    assert made.json()["api_key_info"]["team"] == "desk"
    before = len(plane.world.keys.keys)
    wrong = await plane.call("admin", "POST", KEYS, {"name": "web", "team": "dsk"})
    assert (wrong.status_code, body_of(wrong)["id"], body_of(wrong)["param"]) == (400, "team_not_found", "team")
    assert 'Did you mean "desk"?' in str(body_of(wrong)["message"])
    assert "headrace teams create" in str(body_of(wrong)["message"])
    assert len(plane.world.keys.keys) == before


async def test_a_team_in_use_stays(plane: Plane) -> None:
    made = await plane.call("admin", "POST", KEYS, {"name": "web", "team": "desk"})
    refused = await plane.call("admin", "DELETE", SHOP)
    assert (refused.status_code, body_of(refused)["id"]) == (409, "team_in_use")
    assert '"web" is one' in str(body_of(refused)["message"])
    await plane.call("admin", "DELETE", f"{KEYS}/{made.json()['api_key_info']['uuid']}")
    budget: JsonObject = {"scope": "team:desk", "window": "day", "limit_usd": "1"}
    await plane.call("admin", "POST", "/v2/budgets", budget)
    assert "has budgets" in str(body_of(await plane.call("admin", "DELETE", SHOP))["message"])
    (first,) = (await plane.call("admin", "GET", "/v2/budgets")).json()["budgets"]
    await plane.call("admin", "DELETE", f"/v2/budgets/{first['id']}")
    await plane.call("admin", "PUT", "/v2/limits/team:desk", {"requests_per_minute": 1})
    limited = str(body_of(await plane.call("admin", "DELETE", SHOP))["message"])
    assert "has rate limits: lift them first, `headrace limits remove team:desk`" in limited
    await plane.call("admin", "DELETE", "/v2/limits/team:desk")
    watching: JsonObject = {"name": "low", "metric": "cost_per_hour", "scope": "team:desk", "threshold_usd": "1"}
    alert = await plane.call("admin", "POST", "/v2/alerts", watching)
    assert alert.status_code == 201, alert.text
    watched = await plane.call("admin", "DELETE", SHOP)
    assert (watched.status_code, body_of(watched)["id"]) == (409, "team_in_use")
    assert 'has alerts ("low" is one): delete them first' in str(body_of(watched)["message"])
    await plane.call("admin", "DELETE", f"/v2/alerts/{alert.json()['alert']['id']}")
    assert (await plane.call("admin", "DELETE", SHOP)).status_code == 200
    stays = await plane.call("admin", "DELETE", f"{PATH}/default")
    assert (stays.status_code, body_of(stays)["id"]) == (409, "team_in_use")


@pytest.mark.parametrize(
    ("spent", "held", "says"),
    [
        (0, 5, "has calls that still run and hold $0.000000005 of its balance: wait"),
        (40, 0, "has $0.999999960 of its balance left: pay that back or write it off, and book it first"),
        (1_000_000_001, 0, "owes $0.000000001 of its balance: settle that, and book it first"),
    ],
)
async def test_a_team_with_a_balance_stays_until_it_is_zero(plane: Plane, spent: int, held: int, says: str) -> None:
    await plane.call("admin", "POST", TRANSFERS, {"amount_usd": "1"})
    scopes = plane.world.money.scopes
    scopes["balance:desk"] = replace(scopes["balance:desk"], held_nano=held, spent_nano=spent)
    refused = await plane.call("admin", "DELETE", SHOP)
    assert (refused.status_code, body_of(refused)["id"]) == (409, "team_in_use")
    assert says in str(body_of(refused)["message"])
    scopes["balance:desk"] = replace(scopes["balance:desk"], held_nano=0)
    rest = f"{(spent - 1_000_000_000) / 1e9:.9f}"
    if not held:
        assert f"`headrace teams adjust desk --usd {rest}`" in str(body_of(refused)["message"])
    await plane.call("admin", "POST", TRANSFERS, {"kind": "adjustment", "amount_usd": rest})
    assert (await plane.call("admin", "DELETE", SHOP)).status_code == 200
    again = await plane.call("admin", "POST", PATH, {"name": "desk", "prepaid": True})
    assert again.json()["team"]["balance"]["left_nano_usd"] == 0


async def test_a_team_with_a_deployment_stays() -> None:
    world = World()
    world.weights.here.add(SHA)
    async with open_plane(world) as plane:
        await plane.call("admin", "POST", PATH, {"name": "desk"})
        wanted = {**deployment_body(TINY, "prod"), "team": "desk"}
        assert (await plane.call("admin", "POST", "/v2/dedicated-inferences", wanted)).status_code == 202
        refused = await plane.call("admin", "DELETE", SHOP)
    assert (refused.status_code, body_of(refused)["id"]) == (409, "team_in_use")
    assert 'has deployments ("prod" is one): delete them first' in str(body_of(refused)["message"])


async def test_the_default_team_can_pay_in_advance_too(plane: Plane) -> None:
    changed = await plane.call("admin", "PATCH", f"{PATH}/default", {"prepaid": True})
    assert changed.json()["team"]["prepaid"] is True
    assert [each["name"] for each in (await plane.call("admin", "GET", PATH)).json()["teams"]] == ["default", "desk"]


async def test_a_balance_is_topped_up_and_corrected(plane: Plane) -> None:
    paid = await plane.call("admin", "POST", TRANSFERS, {"amount_usd": "100", "reference": "INV-7", "note": "Nov"})
    assert paid.status_code == 201
    assert paid.json()["balance"]["left_usd"] == "100.000000000"
    less = await plane.call("admin", "POST", TRANSFERS, {"kind": "adjustment", "amount_usd": "-0.000000001"})
    assert less.json()["balance"]["left_nano_usd"] == 99_999_999_999
    listed = (await plane.call("admin", "GET", TRANSFERS)).json()["transfers"]
    assert [(each["kind"], each["amount_nano_usd"], each["note"]) for each in listed] == [
        ("adjustment", 1, None),
        ("top_up", 100_000_000_000, "Nov"),
    ]
    assert listed[0]["reference"].startswith("pay_")
    assert len((await plane.call("admin", "GET", f"{TRANSFERS}?limit=1")).json()["transfers"]) == 1
    again = await plane.call("admin", "POST", TRANSFERS, {"amount_usd": "100", "reference": "INV-7"})
    assert (again.status_code, body_of(again)["id"]) == (409, "transfer_booked")


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"amount_usd": "0"}, "amount_usd", "over zero"),
        ({"amount_usd": "-5"}, "amount_usd", "over zero"),
        ({"amount_usd": "0", "kind": "adjustment"}, "amount_usd", "never zero"),
        ({"amount_usd": "NaN"}, "amount_usd", '"NaN"'),
        ({"amount_usd": "1e9"}, "amount_usd", '"1e9"'),
        ({"amount_usd": "99999999999999999999"}, "amount_usd", "9999999"),
        ({"amount_usd": "5000000000"}, "amount_usd", "at most 4611686018.427387904"),
        ({"amount_usd": "1.0000000001"}, "amount_usd", "nine decimal places"),
        ({"amount_usd": 5}, "amount_usd", "not 5"),
        ({"amount_usd": "5 EUR"}, "amount_usd", "US dollars"),
        ({}, "amount_usd", "not null"),
        ({"amount_usd": "1", "currency": "EUR"}, "currency", "not known here"),
        ({"amount_usd": "1", "kind": "gift"}, "kind", '"top_up" or "adjustment"'),
        ({"amount_usd": "1", "reference": "x" * 129}, "reference", "128"),
        ({"amount_usd": "1", "reference": "a\nb"}, "reference", "printable"),
        ({"amount_usd": "1", "note": "x" * 1001}, "reference", "1000"),
        ({"amount_usd": "1", "note": 5}, "note", "not a string"),
    ],
)
async def test_bad_money_is_refused_and_books_nothing(body: JsonObject, param: str, says: str, plane: Plane) -> None:
    refused = await plane.call("admin", "POST", TRANSFERS, body)
    assert (refused.status_code, body_of(refused)["param"]) == (400, param)
    assert says in str(body_of(refused)["message"])
    assert plane.world.money.entries == []
    assert plane.world.money.scopes == {}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"name": "desk"}, 409, "name"),
        ({"name": "operator"}, 400, "name"),
        ({"name": "a:b"}, 400, "name"),
        ({"name": "a/b"}, 400, "name"),
        ({"name": "a b"}, 400, "name"),
        ({"name": "-a"}, 400, "name"),
        ({"name": "büro"}, 400, "name"),
        ({"name": "x\n"}, 400, "name"),
        ({"name": "x" * 65}, 400, "name"),
        ({"name": ""}, 400, "name"),
        ({"name": 5}, 400, "name"),
        ({"name": "x", "prepaid": "yes"}, 400, "prepaid"),
    ],
)
async def test_what_cannot_be_a_team_is_refused(body: JsonObject, status: int, param: str, plane: Plane) -> None:
    before = dict(plane.world.teams.teams)
    refused = await plane.call("admin", "POST", PATH, body)
    assert (refused.status_code, body_of(refused)["param"]) == (status, param)
    assert plane.world.teams.teams == before


async def test_a_team_of_an_older_name_stays_as_it_is(plane: Plane) -> None:
    plane.world.teams.teams["web büro"] = Team("web büro", is_prepaid=True, created_at_micros=1)
    assert (await plane.call("admin", "POST", PATH, {"name": "newer"})).status_code == 201
    old = f"{PATH}/web%20b%C3%BCro"
    assert (await plane.call("admin", "GET", old)).json()["team"]["name"] == "web büro"
    assert (await plane.call("admin", "PATCH", old, {"prepaid": True})).status_code == 200
    assert (await plane.call("admin", "POST", f"{old}/transfers", {"amount_usd": "1"})).status_code == 201
    assert (await plane.call("admin", "POST", KEYS, {"name": "web", "team": "web büro"})).status_code == 201


async def test_a_team_that_pays_afterwards_is_not_topped_up(plane: Plane) -> None:
    await plane.call("admin", "PATCH", SHOP, {"prepaid": False})
    refused = await plane.call("admin", "POST", TRANSFERS, {"amount_usd": "100", "reference": "INV-7"})
    assert (refused.status_code, body_of(refused)["id"]) == (409, "team_not_prepaid")
    assert "`headrace teams set desk --prepaid`" in str(body_of(refused)["message"])
    assert plane.world.money.entries == []
    corrected = await plane.call("admin", "POST", TRANSFERS, {"kind": "adjustment", "amount_usd": "5"})
    assert corrected.status_code == 201
    await plane.call("admin", "PATCH", SHOP, {"prepaid": True})
    assert (
        await plane.call("admin", "POST", TRANSFERS, {"amount_usd": "100", "reference": "INV-7"})
    ).status_code == 201


async def test_a_team_that_there_is_not_is_told_with_the_closest(plane: Plane) -> None:
    calls: list[tuple[str, str, JsonObject | None]] = [
        ("GET", f"{PATH}/dsk", None),
        ("PATCH", f"{PATH}/dsk", {"prepaid": True}),
        ("DELETE", f"{PATH}/dsk", None),
        ("GET", f"{PATH}/dsk/transfers", None),
        ("POST", f"{PATH}/dsk/transfers", {"amount_usd": "1"}),
    ]
    for method, path, body in calls:
        unknown = await plane.call("admin", method, path, body)
        assert (unknown.status_code, body_of(unknown)["id"]) == (404, "team_not_found")
        assert 'Did you mean "desk"?' in str(body_of(unknown)["message"])
    assert plane.world.money.entries == []


async def test_teams_are_the_operators(plane: Plane) -> None:
    for method, path in (("GET", PATH), ("GET", SHOP), ("POST", TRANSFERS), ("DELETE", SHOP)):
        assert (await plane.call("key", method, path)).status_code == 403
