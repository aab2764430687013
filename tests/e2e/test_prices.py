"""Prices on the real server: a list that is reviewed and applied while calls run, and a service tier."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.testing.obedient import obedient_answer
from headrace.testing.upstream import FakeUpstream
from headrace.testing.waiting import Gate
from tests.running import RunningHeadrace, headrace

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}
STREAM: dict[str, Any] = {**BODY, "stream": True}
HELD, CALLERS, REPRICINGS = 20, 8, 3


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[tuple[RunningHeadrace, FakeUpstream]]:
    server = RunningHeadrace(tmp_path / "home")
    async with FakeUpstream() as upstream:
        server.add_provider("fake", upstream.base_url, "m")
        await asyncio.to_thread(server.start)
        upstream.follow(obedient_answer)
        yield server, upstream
        await asyncio.to_thread(server.stop)


def client_of(server: RunningHeadrace) -> httpx2.AsyncClient:
    headers = {"authorization": f"Bearer {server.admin_token}"}
    return httpx2.AsyncClient(base_url=server.base_url, headers=headers, timeout=60, trust_env=False)


def verb(server: RunningHeadrace, *arguments: str) -> str:
    told = {"HEADRACE_URL": server.base_url, "HEADRACE_ADMIN_TOKEN": server.admin_token}
    ran = headrace(*arguments, home=server.home, environment=told)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def reprice(server: RunningHeadrace, input_usd_per_mtok: str, day: int = 2) -> None:
    """Import a list with another price, correct the proposal's date to one in January, apply it, reload."""
    prices = {"input_mtok": float(input_usd_per_mtok), "output_mtok": 0.2, "cache_read_mtok": 0.01}
    file = server.home / "list.json"
    file.write_text(json.dumps([{"id": "fake", "models": [{"id": "m", "prices": prices}]}]))
    shown = json.loads(verb(server, "prices", "import", str(file), "--format", "genai-prices", "--json"))
    proposal = Path(shown["files"][0])
    lines = proposal.read_text().splitlines()
    dated = [f"effective = 2026-01-{day:02d}" if line.startswith("effective = ") else line for line in lines]
    proposal.write_text("\n".join(dated) + "\n")
    verb(server, "prices", "apply", str(proposal))
    verb(server, "config", "reload")


async def receipts(server: RunningHeadrace, ids: list[str]) -> list[dict[str, Any]]:
    async with client_of(server) as client:
        return [await attempt_of(client, each) for each in ids]


async def attempt_of(client: httpx2.AsyncClient, request_id: str) -> dict[str, Any]:
    attempt: dict[str, Any] = (await client.get(f"/v2/requests/{request_id}")).json()["attempts"][0]
    return attempt


def check_amounts(attempts: list[dict[str, Any]]) -> None:
    """Every receipt is priced by the version that it names."""
    for attempt in attempts:
        rates = attempt["price"]["usd_per_mtok"]
        for line in attempt["lines"]:
            assert line["price_usd_per_mtok"] == rates[line["kind"]]
            micro = round(float(line["price_usd_per_mtok"]) * 1_000_000)
            assert line["charge_nano_usd"] == round(line["quantity"] * micro / 1_000), line


async def test_requests_keep_the_price_that_they_began_with(home: tuple[RunningHeadrace, FakeUpstream]) -> None:
    server, upstream = home
    gate = Gate()
    upstream.follow(lambda request: obedient_answer(request).hold(gate, before_frame=0))
    async with client_of(server) as client:
        asking = [asyncio.create_task(client.post(CHAT, json=STREAM)) for _ in range(HELD)]  # noqa: TID251 - awaited below
        await gate.reached(HELD)
        await asyncio.to_thread(reprice, server, "0.15")
        upstream.follow(obedient_answer)
        after = await client.post(CHAT, json=BODY)
        gate.release()
        before = await asyncio.gather(*asking)
    began = await receipts(server, [each.headers["x-request-id"] for each in before])
    (later,) = await receipts(server, [after.headers["x-request-id"]])
    assert {each["price"]["usd_per_mtok"]["input_fresh"] for each in began} == {"0.1"}
    assert later["price"]["usd_per_mtok"]["input_fresh"] == "0.15"
    assert len({each["price"]["version"] for each in (*began, later)}) == 2
    check_amounts([*began, later])


async def test_a_price_that_changes_under_load_mixes_no_versions(home: tuple[RunningHeadrace, FakeUpstream]) -> None:
    server, _ = home
    attempts: list[dict[str, Any]] = []
    repriced = asyncio.Event()

    async def ask(client: httpx2.AsyncClient) -> None:
        reply = await client.post(CHAT, json=BODY)
        assert reply.status_code == 200, reply.text
        attempts.append(await attempt_of(client, reply.headers["x-request-id"]))

    async def keep_asking(client: httpx2.AsyncClient) -> None:
        while not repriced.is_set():
            await ask(client)

    async with client_of(server) as client:
        load = [asyncio.create_task(keep_asking(client)) for _ in range(CALLERS)]  # noqa: TID251 - awaited below
        for number in range(REPRICINGS):
            await asyncio.to_thread(reprice, server, f"0.1{number + 2}", number + 2)
        await ask(client)
        repriced.set()
        await asyncio.gather(*load)
    check_amounts(attempts)
    seen = {each["price"]["usd_per_mtok"]["input_fresh"] for each in attempts}
    assert seen <= {"0.1", "0.12", "0.13", "0.14"}
    assert {"0.1", "0.14"} <= seen
    versions = {(each["price"]["version"], each["price"]["usd_per_mtok"]["input_fresh"]) for each in attempts}
    assert len(versions) == len(seen)


async def test_a_service_tier_is_billed_at_its_price_and_one_without_a_price_does_not_go_out(
    home: tuple[RunningHeadrace, FakeUpstream],
) -> None:
    server, upstream = home
    file = server.home / "catalog/fake.toml"
    file.write_text(file.read_text() + 'service_tiers = { priority = "2" }\n')
    await asyncio.to_thread(verb, server, "config", "reload")
    async with client_of(server) as client:
        dear = await client.post(CHAT, json={**BODY, "service_tier": "priority"})
        unknown = await client.post(CHAT, json={**BODY, "service_tier": "flex"})
    asked = [each.fields.get("service_tier") for each in upstream.requests]
    assert asked == ["priority", None]
    assert "service_tier" in unknown.headers["x-headrace-dropped"]
    assert "x-headrace-dropped" not in dear.headers
    first, second = await receipts(server, [each.headers["x-request-id"] for each in (dear, unknown)])
    assert first["price"]["usd_per_mtok"]["input_fresh"] == "0.2"
    assert second["price"]["usd_per_mtok"]["input_fresh"] == "0.1"
    check_amounts([first, second])
    assert int(dear.headers["x-headrace-cost-nano-usd"]) == 2 * int(unknown.headers["x-headrace-cost-nano-usd"])
