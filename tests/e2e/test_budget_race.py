"""No number of calls at once spends more than a budget allows; the long form is `make torture`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.e2e.budget_race import RaceStage, exact_race, nested_race, race_stage
from tests.postgres_server import drop_databases, postgres_server

pytestmark = pytest.mark.anyio

SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
async def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RaceStage]:
    store = postgres_server().empty() if request.param == "postgres" else ""
    async with race_stage(tmp_path_factory.mktemp("race") / "home", store) as stage:
        yield stage
    drop_databases()


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_thousand_calls_of_ten_cents_against_five_dollars_are_fifty(stage: RaceStage, seed: int) -> None:
    verdict = await exact_race(stage, seed)
    assert verdict.faults == ()
    assert (verdict.accepted, verdict.refused, verdict.spent_nano) == (50, 950, 5_000_000_000)
    assert verdict.looks > 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_five_hundred_at_once_stay_within_every_budget_above_them(stage: RaceStage, seed: int) -> None:
    verdict = await nested_race(stage, seed)
    assert verdict.faults == ()
    assert verdict.accepted + verdict.refused == 500
    assert verdict.accepted > 0
    assert verdict.refused > 0
    assert verdict.looks > 0
