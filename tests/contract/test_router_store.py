"""Routers and corrections as every store keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.errors import Conflict
from headrace.domain.router import Correction, Policy, Preference, Router, Task
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.routers import SqlRouterStore
from headrace.ports.routing import RouterStore
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import OpenStore

pytestmark = pytest.mark.anyio

NOON = 1_795_521_600_000_000
REFUND = Task("refund", "Customer wants money back, ¿verdad? 客户\x00", ("I want a refund.", "Give it back\n…"))
SUPPORT = Router(
    uuid="00000000-0000-4000-8000-000000000001",
    name="support",
    description="",
    policies=(
        Policy(REFUND, ("tiny", "team/daily"), Preference.CHEAPEST),
        Policy(Task("translation", "", preset=True), ("tiny",)),
    ),
    fallbacks=("tiny",),
    min_score=0.65,
    max_cost_nano=2**53 + 1,
    created_at_micros=NOON,
    changed_at_micros=NOON,
)
BACKWARDS = replace(SUPPORT, uuid="00000000-0000-4000-8000-000000000002", name="a", min_score=None, max_cost_nano=None)
CORRECTION = Correction(SUPPORT.uuid, "refund", "req_1", bytes(range(256)) * 3, NOON)


@pytest.fixture
def database(tmp_path: Path, open_store: OpenStore) -> Iterator[Database]:
    opened = open_store(tmp_path, FakeClock())
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> RouterStore:
    return SqlRouterStore(database)


async def test_routers_come_back_as_they_were_stored_by_name(store: RouterStore) -> None:
    await store.put(SUPPORT)
    await store.put(BACKWARDS)
    assert await store.list() == (BACKWARDS, SUPPORT)
    changed = replace(SUPPORT, name="zendesk", policies=SUPPORT.policies[:1], changed_at_micros=NOON + 9)
    await store.put(changed)
    assert await store.list() == (BACKWARDS, changed)


async def test_a_name_belongs_to_one_router(store: RouterStore) -> None:
    await store.put(SUPPORT)
    with pytest.raises(Conflict, match='"support" exists already') as caught:
        await store.put(replace(BACKWARDS, name="support"))
    assert (caught.value.code, caught.value.param) == ("router_exists", "name")
    assert await store.list() == (SUPPORT,)


async def test_a_removed_router_takes_its_corrections_along(store: RouterStore) -> None:
    await store.put(SUPPORT)
    await store.put(BACKWARDS)
    other = replace(CORRECTION, router_uuid=BACKWARDS.uuid, request_id="req_0")
    await store.correct(CORRECTION)
    await store.correct(other)
    assert [await store.remove(SUPPORT.uuid), await store.remove(SUPPORT.uuid)] == [True, False]
    assert (await store.list(), await store.corrections()) == ((BACKWARDS,), (other,))


async def test_a_request_has_one_correction_the_last(store: RouterStore) -> None:
    await store.correct(replace(CORRECTION, request_id="req_9", made_at_micros=NOON - 1))
    await store.correct(CORRECTION)
    await store.correct(replace(CORRECTION, slug="translation", features=b"", made_at_micros=NOON + 1))
    assert await store.corrections() == (
        replace(CORRECTION, request_id="req_9", made_at_micros=NOON - 1),
        replace(CORRECTION, slug="translation", features=b"", made_at_micros=NOON + 1),
    )
