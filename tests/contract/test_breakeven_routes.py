"""`POST /v2/breakeven` as a client sees it: who may ask, what comes back, what is refused with which words."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from headrace.domain.json_value import JsonObject
from headrace.wire.breakeven_body import FIELDS
from headrace.wire.openapi_breakeven import BreakevenBody, BreakevenReport
from tests.control_world import NOON_MICROS, World, body_of, open_world
from tests.fakes.breakeven import a_usage_hour

pytestmark = pytest.mark.anyio

PATH = "/v2/breakeven"
SIMPLE: JsonObject = {"model": "acme/chat:large", "gpu": "big", "requests_per_hour": 300}
FULL: JsonObject = SIMPLE | {"form": "full", "tokens_per_second": "2000"}
LEDGER: JsonObject = {"form": "ledger", "gpu": "big", "tokens_per_second": "2000", "days": 1}
HOUR = 3_600_000_000


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_world(world) as opened:
        yield opened


async def ask(client: httpx2.AsyncClient, world: World, body: JsonObject, caller: str = "admin") -> httpx2.Response:
    return await client.post(PATH, json=body, headers=world.bearer(caller))


async def test_only_the_admin_token_may_ask(client: httpx2.AsyncClient, world: World) -> None:
    assert (await ask(client, world, SIMPLE, "key")).status_code == 403
    assert (await client.post(PATH, json=SIMPLE)).status_code == 401
    assert (await ask(client, world, SIMPLE)).status_code == 200


async def test_every_figure_has_name_value_unit_and_its_formula_or_source(
    client: httpx2.AsyncClient, world: World
) -> None:
    world.usage.usage = [a_usage_hour(NOON_MICROS, 10, model_id="acme/chat:large")]
    for question in (SIMPLE, FULL, LEDGER):
        reply = await ask(client, world, question)
        assert reply.status_code == 200, reply.text
        report = reply.json()
        assert set(report) == set(BreakevenReport.__struct_fields__)
        assert report["form"] == question.get("form", "simple")
        for figure in (*report["inputs"], *report["figures"]):
            assert set(figure) == {"name", "value", "unit", "source", "formula", "exact"}
        assert all(each["source"] and each["formula"] is None for each in report["inputs"])
        assert all(each["formula"] and each["source"] is None for each in report["figures"])
        names = [each["name"] for each in (*report["inputs"], *report["figures"])]
        assert len(set(names)) == len(names)


async def test_amounts_stand_in_nano_dollars_and_in_dollars(client: httpx2.AsyncClient, world: World) -> None:
    report = body_of(await ask(client, world, SIMPLE))
    assert report["break_even_requests_per_hour"] == 1_523
    assert (report["serverless_nano_usd"], report["serverless_usd"]) == (510_300_000, "0.510300000")
    assert (report["dedicated_nano_usd"], report["dedicated_usd"]) == (2_590_000_000, "2.590000000")
    assert (report["dedicated_wins"], report["reason"], report["hours"]) == (False, None, [])


async def test_the_hours_of_the_ledger_add_up(client: httpx2.AsyncClient, world: World) -> None:
    world.usage.usage = [a_usage_hour(NOON_MICROS - each * HOUR, 10 * each) for each in (1, 3)]
    report = (await ask(client, world, LEDGER)).json()
    assert len(report["hours"]) == 24
    assert report["hours"][-1]["hour_start"] == "2026-11-24T12:00:00.000000Z"
    assert sum(each["requests"] for each in report["hours"]) == 40
    for way in ("serverless", "dedicated"):
        assert report[f"{way}_nano_usd"] == sum(each[f"{way}_nano_usd"] for each in report["hours"])
    assert len(report["sensitivity"]) == 12


async def test_a_reason_is_given_when_it_cannot_win(client: httpx2.AsyncClient, world: World) -> None:
    report = (await ask(client, world, LEDGER)).json()
    assert (report["reason"], report["break_even_requests_per_hour"]) == ("no_traffic", None)


@pytest.mark.parametrize(
    ("change", "param", "said"),
    [
        ({"gpu_usd_per_hour": "-1"}, "gpu_usd_per_hour", 'not "-1"'),
        ({"gpu_usd_per_hour": 1.5}, "gpu_usd_per_hour", "in quotes"),
        ({"input_usd_per_mtok": "1e400"}, "input_usd_per_mtok", "1e400"),
        ({"requests_per_hour": 10**40}, "requests_per_hour", "a whole number from 1 to 1,000,000,000"),
        ({"tokens_per_second": "0"}, "tokens_per_second", "more than 0"),
        ({"model": "acme/chat:largs"}, "model", 'Did you mean "acme/chat:large"?'),
        ({"gpu": "bigg"}, "gpu", 'Did you mean "big"?'),
        ({"tokens_per_second": None}, "tokens_per_second", "(--tokens-per-second)"),
        ({"tokens_per_secnd": "5"}, "tokens_per_secnd", 'Did you mean "tokens_per_second"?'),
    ],
)
async def test_bad_input_is_refused_with_its_value_and_the_fix(
    client: httpx2.AsyncClient, world: World, change: JsonObject, param: str, said: str
) -> None:
    reply = await ask(client, world, FULL | change)
    body = body_of(reply)
    assert (reply.status_code, body.get("param")) == (400, param), reply.text
    assert said in str(body["message"])


async def test_nan_is_no_json(client: httpx2.AsyncClient, world: World) -> None:
    headers = {**world.bearer("admin"), "content-type": "application/json"}
    reply = await client.post(PATH, content=b'{"requests_per_hour": NaN}', headers=headers)
    assert (reply.status_code, body_of(reply)["id"]) == (400, "invalid_json")


def test_the_description_has_every_field_of_the_question() -> None:
    assert set(BreakevenBody.__struct_fields__) == FIELDS
