"""Deployments and their tokens as every store keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.access import AccessKey, Role
from headrace.domain.dedicated import (
    Deployment,
    DeploymentStatus,
    Overflow,
    ScaleTarget,
    ScalingMetric,
    Wanted,
    WhenAsleep,
)
from headrace.domain.errors import Conflict
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.deployments import SqlDeploymentStore
from headrace.drivers.stores.keys import SqlKeyStore
from headrace.ports.dedicated import DeploymentStore
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import OpenStore

pytestmark = pytest.mark.anyio

NOON = 1_795_521_600_000_000
WANTED = Wanted(
    name="prod-llm",
    model="tiny",
    driver="local",
    engine="e",
    accelerator="cpu",
    gpus=0,
    min_scale=0,
    max_scale=4,
    slots=2,
    context_length=4096,
    idle_seconds=60,
    target=ScaleTarget(ScalingMetric.FIRST_TOKEN, 500),
    overflow=Overflow("acme/chat:large", 2),
    when_asleep=WhenAsleep.OVERFLOW,
    region="atl1",
    workload_config='{"isl":"¿客?"}',
)
PROD = Deployment(
    id="0199ab00-0000-7000-8000-000000000001",
    account="default",
    wanted=WANTED,
    status=DeploymentStatus.NEW,
    created_at_micros=NOON,
    updated_at_micros=NOON,
    model_deployment_id="0199ab00-0000-7000-8000-000000000002",
    nano_per_hour=2**53 + 1,
    price_source="https://example.com/prices",
    sealed_model_token=bytes(range(256)),
)


@pytest.fixture
def database(tmp_path: Path, open_store: OpenStore) -> Iterator[Database]:
    opened = open_store(tmp_path, FakeClock())
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> DeploymentStore:
    return SqlDeploymentStore(database)


async def test_deployments_come_back_as_they_were_stored_the_oldest_first(store: DeploymentStore) -> None:
    older = replace(PROD, id="b", wanted=replace(WANTED, name="a"), created_at_micros=NOON - 1, sealed_model_token=None)
    await store.put(PROD)
    await store.put(older)
    assert await store.list() == (older, PROD)
    changed = replace(
        PROD,
        status=DeploymentStatus.UPDATING,
        pending=replace(WANTED, gpus=1, accelerator="h100", target=None, overflow=None),
        reason="Waits for room.",
        retry_at_micros=NOON + 5,
        updated_at_micros=NOON + 9,
    )
    await store.put(changed)
    assert await store.list() == (older, changed)


async def test_a_name_is_one_deployments_only(store: DeploymentStore) -> None:
    await store.put(PROD)
    with pytest.raises(Conflict) as refused:
        await store.put(replace(PROD, id="other"))
    assert (refused.value.code, refused.value.param) == ("name_taken", "name")
    assert await store.list() == (PROD,)


async def test_a_removed_deployment_is_gone_and_its_name_free(store: DeploymentStore) -> None:
    await store.put(PROD)
    assert await store.remove(PROD.id)
    assert not await store.remove(PROD.id)
    await store.put(replace(PROD, id="other"))
    assert [each.id for each in await store.list()] == ["other"]


async def test_a_key_says_which_deployment_it_is_a_token_of(database: Database) -> None:
    keys = SqlKeyStore(database)
    token = AccessKey("t", "first", Role.KEY, "default", b"d", frozenset({"prod-llm"}), NOON, deployment=PROD.id)
    await keys.add(token)
    await keys.add(replace(token, public_id="u", models=None, deployment=None))
    assert await keys.list() == (token, replace(token, public_id="u", models=None, deployment=None))
