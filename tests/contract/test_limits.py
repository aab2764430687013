"""Rate limits as the operator sets them: stored, over the control plane, and bad ones changing nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from headrace.domain.json_value import JsonObject
from headrace.domain.rate_limit import MAX_LIMIT, RateLimits, ScopedLimits
from headrace.drivers.stores.rate_limits import SqlLimitStore
from headrace.http.control.app import control_app
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import OpenStore
from tests.control_world import World, client_of

pytestmark = pytest.mark.anyio

PATH = "/v2/limits"
SOME: JsonObject = {"requests_per_minute": 60, "tokens_per_day": 100_000}


@dataclass(slots=True)
class Plane:
    world: World
    client: httpx2.AsyncClient

    async def call(
        self, method: str, scope: str | None, body: object = None, *, who: str = "admin", **headers: str
    ) -> httpx2.Response:
        path = PATH if scope is None else f"{PATH}/{quote(scope, safe='/:')}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.request(method, path, headers={**self.world.bearer(who), **named}, json=body)

    @property
    def key(self) -> str:
        return f"key:{self.world.ids['key']}"


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    world = World(given={"ACME_API_KEY": "sk-1"})
    async with client_of(control_app(await world.build())) as client:
        yield Plane(world, client)


async def test_limits_come_back_as_they_were_stored_by_scope(tmp_path: Path, open_store: OpenStore) -> None:
    database = open_store(tmp_path, FakeClock())
    store = SqlLimitStore(database)
    first = ScopedLimits("platform", RateLimits(1, 2, 3, MAX_LIMIT, 5), 1_000)
    second = ScopedLimits("key:k1", RateLimits(tokens_per_minute=7), 2_000)
    for scoped in (first, ScopedLimits("key:k1", RateLimits(requests_per_day=1), 1_500), second):
        await store.put(scoped)
    assert await store.list() == (second, first)
    assert await store.remove("key:k1")
    assert not await store.remove("key:k1")
    assert await store.list() == (first,)
    database.close()


async def test_limits_are_set_shown_changed_and_lifted(plane: Plane) -> None:
    made = await plane.call("PUT", plane.key, SOME)
    assert made.status_code == 201
    assert made.json()["limits"] == {
        "scope": plane.key,
        "requests_per_minute": 60,
        "requests_per_day": None,
        "tokens_per_minute": None,
        "tokens_per_day": 100_000,
        "concurrent_requests": None,
        "changed_at": "2026-11-24T12:00:00.000000Z",
    }
    assert (await plane.call("GET", plane.key)).json() == made.json()
    changed = await plane.call("PUT", plane.key, {"concurrent_requests": 5, "tokens_per_day": None})
    assert (changed.status_code, changed.json()["limits"]["tokens_per_day"]) == (200, None)
    listed = (await plane.call("GET", None)).json()
    assert (listed["limits"], listed["meta"]) == ([changed.json()["limits"]], {"total": 1})
    assert plane.world.limits.limits[plane.key].limits == RateLimits(concurrent_requests=5)
    assert (await plane.call("DELETE", plane.key)).json() == changed.json()
    gone = await plane.call("DELETE", plane.key)
    assert (gone.status_code, gone.json()["id"]) == (404, "limits_not_found")


@pytest.mark.parametrize("scope", ["platform", "team:default", "model:tiny", "model:acme/chat:large"])
async def test_every_kind_of_scope_can_be_limited(plane: Plane, scope: str) -> None:
    assert (await plane.call("PUT", scope, SOME)).status_code == 201
    assert (await plane.call("GET", scope)).json()["limits"]["scope"] == scope
    assert list(plane.world.limits.limits) == [scope]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"requests_per_minute": 0}, "from 1 to 1,000,000,000,000, not 0"),
        ({"requests_per_minute": -5}, "not -5"),
        ({"tokens_per_minute": MAX_LIMIT + 1}, f"not {MAX_LIMIT + 1}"),
        ({"tokens_per_minute": 10**30}, "tokens_per_minute"),
        ({"tokens_per_minute": 1.5}, "whole number or null, not '1.5'"),
        ({"tokens_per_day": 60.0}, "whole number or null"),
        ({"tokens_per_day": "60"}, "not '60'"),
        ({"concurrent_requests": True}, "not 'True'"),
        ({"concurrent_requests": [1]}, "whole number or null"),
        ({}, "Set at least one of requests_per_minute,"),
        ({"requests_per_minute": None}, "No limit is given"),
        ({"requests_per_hour": 1}, '"requests_per_hour"'),
    ],
)
async def test_a_bad_limit_is_refused_by_value_and_changes_nothing(plane: Plane, body: JsonObject, said: str) -> None:
    await plane.call("PUT", "platform", SOME)
    before = dict(plane.world.limits.limits)
    reply = await plane.call("PUT", "platform", body)
    assert reply.status_code == 400
    assert said in reply.json()["message"]
    assert plane.world.limits.limits == before


@pytest.mark.parametrize(
    ("scope", "status", "said"),
    [
        ("keys:x", 400, "is no scope"),
        ("key:", 404, 'key ""'),
        ("platform:x", 400, "is no scope"),
        ("everything", 400, '"everything" is no scope'),
        ("key:nobody", 404, '"nobody"'),
        ("model:tinny", 404, 'Did you mean "tiny"?'),
        ("team:nobody", 404, '"nobody"'),
    ],
)
async def test_a_scope_that_there_is_not_is_refused(plane: Plane, scope: str, status: int, said: str) -> None:
    reply = await plane.call("PUT", scope, SOME)
    assert (reply.status_code, plane.world.limits.limits) == (status, {})
    assert said in reply.json()["message"]


async def test_a_revoked_key_is_not_limited_any_more(plane: Plane) -> None:
    assert (await plane.call("PUT", f"key:{plane.world.ids['gone']}", SOME)).status_code == 404


async def test_a_stale_if_match_changes_nothing(plane: Plane) -> None:
    await plane.call("PUT", "platform", SOME)
    tag = (await plane.call("GET", "platform")).headers["etag"]
    other: JsonObject = {"requests_per_minute": 1}
    assert (await plane.call("PUT", "platform", other, if_match='"old"')).status_code == 409
    assert (await plane.call("DELETE", "platform", if_match='"old"')).status_code == 409
    assert (await plane.call("PUT", "team:default", other, if_match=tag)).status_code == 409
    assert plane.world.limits.limits["platform"].limits.requests_per_minute == 60
    assert (await plane.call("PUT", "platform", other, if_match=tag)).status_code == 200


async def test_a_regenerated_key_keeps_its_limits(plane: Plane) -> None:
    await plane.call("PUT", plane.key, SOME)
    uuid = plane.world.ids["key"]
    reply = await plane.client.put(f"/v2/gen-ai/models/api_keys/{uuid}/regenerate", headers=plane.world.bearer("admin"))
    new = f"key:{reply.json()['api_key_info']['uuid']}"
    shown = (await plane.call("GET", new)).json()["limits"]
    assert (shown["scope"], shown["requests_per_minute"], shown["tokens_per_day"]) == (new, 60, 100_000)
