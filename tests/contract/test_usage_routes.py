"""`GET /v2/usage` as a client sees it: whose usage, in which form, page by page, and what is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qs

import httpx2
import pytest

from headrace.domain.usage_report import HOUR_MICROS, Dimension, UsageSums
from tests.control_world import NOON_MICROS, World, open_world
from tests.fakes.usage import EndedAttempt

pytestmark = pytest.mark.anyio

PATH = "/v2/usage"
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_world(world) as opened:
        world.reports.names = {world.ids["key"]: "key", world.ids["foreign"]: "foreign"}
        world.reports.ended = [
            *(ended(world, "key", NOON_MICROS - hours * HOUR_MICROS, charge=7) for hours in range(3)),
            ended(world, "key", NOON_MICROS, model="tiny", charge=100, tags=("project=search", "batch")),
            ended(world, "foreign", NOON_MICROS, charge=1_000, tags=("project=shop",)),
        ]
        yield opened


def ended(
    world: World,
    key: str,
    at_micros: int,
    *,
    model: str = "acme/chat:large",
    charge: int = 1,
    tags: tuple[str, ...] = (),
) -> EndedAttempt:
    places = {
        Dimension.KEY: world.ids[key],
        Dimension.TEAM: "shop",
        Dimension.MODEL: model,
        Dimension.PROVIDER: "acme",
        Dimension.STATUS: "complete",
    }
    sums = UsageSums(1, 1, 10, 2, 0, 0, 5, 1, charge * 2, charge, 1_500_000, 250_000, 1)
    return EndedAttempt(at_micros, places, sums, tags)


async def ask(client: httpx2.AsyncClient, world: World, query: str, caller: str = "admin") -> httpx2.Response:
    return await client.get(f"{PATH}?{query}", headers=world.bearer(caller))


async def test_the_operator_sees_everything_with_exact_sums(client: httpx2.AsyncClient, world: World) -> None:
    report = (await ask(client, world, "interval=total")).json()
    assert report["totals"] == {
        "attempts": 5,
        "requests": 5,
        "input_fresh": 50,
        "input_cache_read": 10,
        "input_cache_write_5m": 0,
        "input_cache_write_1h": 0,
        "output_text": 25,
        "output_reasoning": 5,
        "cost_usd": "0.000002242",
        "cost_nano_usd": 2_242,
        "charge_usd": "0.000001121",
        "charge_nano_usd": 1_121,
        "mean_duration_seconds": 1.5,
        "mean_first_event_seconds": 0.25,
    }
    (row,) = report["usage"]
    assert row == {"starts_at": report["starts_at"], "ends_at": report["ends_at"], **report["totals"]}
    assert (report["zone"], report["interval"], report["group_by"]) == ("UTC", "total", [])
    assert (report["starts_at"], report["ends_at"]) == ("2026-10-25T00:00:00.000000Z", "2026-11-24T13:00:00.000000Z")
    assert report["meta"] == {"total": 1, "page": 1, "pages": 1}


async def test_a_key_sees_its_own_and_never_anothers(client: httpx2.AsyncClient, world: World) -> None:
    assert (await client.get(PATH)).status_code == 401
    mine = (await ask(client, world, "interval=total&group_by=key,tag", "key")).json()
    assert {row["key"] for row in mine["usage"]} == {world.ids["key"]}
    assert mine["totals"]["charge_nano_usd"] == 121
    theirs = (await ask(client, world, f"interval=total&group_by=key&key={world.ids['foreign']}", "key")).json()
    assert (theirs["usage"], theirs["totals"]["attempts"]) == ([], 0)
    other = (await ask(client, world, "interval=total&tag=project%3Dsearch", "foreign")).json()
    assert (other["usage"], other["totals"]["charge_nano_usd"]) == ([], 0)
    as_csv = await ask(client, world, "interval=total&group_by=key&format=csv", "foreign")
    assert world.ids["key"] not in as_csv.text and world.ids["foreign"] in as_csv.text


async def test_rows_name_their_group_and_the_key(client: httpx2.AsyncClient, world: World) -> None:
    report = (await ask(client, world, "interval=total&group_by=key&group_by=model,deployment")).json()
    groups = {(row["key_name"], row["key"], row["model"], row["deployment"]) for row in report["usage"]}
    assert groups == {
        ("key", world.ids["key"], "acme/chat:large", None),
        ("key", world.ids["key"], "tiny", None),
        ("foreign", world.ids["foreign"], "acme/chat:large", None),
    }
    assert report["group_by"] == ["key", "model", "deployment"]


async def test_a_deployment_is_named_beside_its_id_in_json_and_csv(client: httpx2.AsyncClient, world: World) -> None:
    world.reports.deployment_names = {"d-1": "prod-llm"}
    for each in ("d-1", "d-unknown"):
        attempt = ended(world, "key", NOON_MICROS)
        world.reports.ended.append(replace(attempt, places={**attempt.places, Dimension.DEPLOYMENT: each}))
    report = (await ask(client, world, "interval=total&group_by=deployment")).json()
    named = [(None, None), ("d-1", "prod-llm"), ("d-unknown", None)]
    assert [(row["deployment"], row["deployment_name"]) for row in report["usage"]] == named
    text = (await ask(client, world, "interval=total&group_by=deployment&format=csv")).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["deployment"], row["deployment_name"]) for row in rows] == [(a or "", b or "") for a, b in named]


async def test_by_tag_a_request_stands_in_each_of_its_tags_and_once_in_the_totals(
    client: httpx2.AsyncClient, world: World
) -> None:
    report = (await ask(client, world, "interval=total&group_by=tag")).json()
    assert [(row["tag"], row["charge_nano_usd"]) for row in report["usage"]] == [
        ("batch", 100),
        ("project=search", 100),
        ("project=shop", 1_000),
    ]
    assert report["totals"]["charge_nano_usd"] == 1_121
    named = (await ask(client, world, "interval=total&group_by=tag:project")).json()
    assert [row["tag"] for row in named["usage"]] == ["project=search", "project=shop"]


async def test_hours_come_in_order_a_page_at_a_time(client: httpx2.AsyncClient, world: World) -> None:
    first = (await ask(client, world, "interval=hour&from=24h&model=acme/chat:large&limit=2")).json()
    assert [row["starts_at"][11:13] for row in first["usage"]] == ["10", "11"]
    assert first["meta"] == {"total": 3, "page": 1, "pages": 2}
    following: str = first["links"]["pages"]["next"]
    assert parse_qs(following.partition("?")[2]) == {
        "interval": ["hour"],
        "from": ["24h"],
        "model": ["acme/chat:large"],
        "page": ["2"],
        "limit": ["2"],
    }
    second = (await client.get(following, headers=world.bearer("admin"))).json()
    assert [row["starts_at"][11:13] for row in second["usage"]] == ["12"]
    assert second["totals"] == first["totals"]
    assert set(second["links"]["pages"]) == {"first", "prev"}


async def test_csv_has_every_row_and_the_names_of_the_json(client: httpx2.AsyncClient, world: World) -> None:
    query = "interval=hour&from=24h&group_by=model"
    rows = (await ask(client, world, query)).json()["usage"]
    headers = {**world.bearer("admin"), "accept": "text/csv"}
    by_accept = await client.get(f"{PATH}?{query}&limit=1", headers=headers)
    assert by_accept.headers["content-type"] == "text/csv; charset=utf-8"
    assert by_accept.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    assert (await ask(client, world, f"{query}&format=csv")).content == by_accept.content
    read = list(csv.DictReader(io.StringIO(by_accept.text)))
    assert read == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    headers["if-none-match"] = by_accept.headers["etag"]
    again = await client.get(f"{PATH}?{query}", headers=headers)
    assert again.status_code == 304


@pytest.mark.parametrize("text", FORMULAS)
async def test_no_cell_is_a_formula(client: httpx2.AsyncClient, world: World, text: str) -> None:
    one = ended(world, "key", NOON_MICROS)
    world.reports.ended = [replace(one, places=one.places | {Dimension.TEAM: text})]
    world.reports.names = {world.ids["key"]: text}
    reply = await ask(client, world, "interval=total&group_by=team,key&format=csv")
    (row,) = csv.DictReader(io.StringIO(reply.text, newline=""))
    assert (row["team"], row["key_name"]) == (f"'{text}", f"'{text}")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"grup_by": "model"}, 'Did you mean "group_by"?'),
        ({"colour": "red"}, "Known are: deployment, format, from,"),
        ({"group_by": "colour"}, 'not "colour"'),
        ({"interval": "week"}, 'not "week"'),
        ({"zone": "Nowhere"}, 'not "Nowhere"'),
        ({"from": "2026-11-31"}, 'not "2026-11-31"'),
        ({"from": "2026-11-24", "to": "2026-11-23"}, "must lie before"),
        ({"status": "done"}, 'not "done"'),
        ({"page": "0"}, 'not "0"'),
        ({"format": "xml"}, 'not "xml"'),
    ],
)
async def test_bad_input_is_refused_with_its_value_and_the_fix(
    client: httpx2.AsyncClient, world: World, query: dict[str, str], said: str
) -> None:
    reply = await client.get(PATH, params=query, headers=world.bearer("key"))
    assert reply.status_code == 400, reply.text
    assert said in reply.json()["message"]
