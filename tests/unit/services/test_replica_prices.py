"""What a replica costs an hour: the dated price of all its accelerators on the day it began."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.accelerator import Accelerator, AcceleratorBook, Billing
from headrace.domain.errors import ConfigInvalid
from headrace.services.replica_prices import ReplicaPrice, ReplicaPrices
from tests.fakes.breakeven import InPlace, MemoryAccelerators, a_gpu_price
from tests.fakes.replicas import a_deployment, a_wanted

pytestmark = pytest.mark.anyio

JULY, AUGUST = 1_782_907_200_000_000, 1_785_585_600_000_000  # noon of 2026-07-01 and 2026-08-01, UTC
OWN = ReplicaPrice(2_590_000_000, "https://acme.example/prices")
SOURCE = "https://example.com/gpus"
SPOT_ONLY = Accelerator("spot", "SPOT", "Acme", 288, (a_gpu_price("2026-05-01", 700, billing=Billing.SPOT),))


async def price_of(
    accelerator: str, gpus: int, at_micros: int, given: MemoryAccelerators | None = None
) -> ReplicaPrice:
    prices = ReplicaPrices(given or MemoryAccelerators(), InPlace())
    deployment = a_deployment(wanted=replace(a_wanted(), accelerator=accelerator, gpus=gpus))
    return await prices.price(deployment, at_micros)


async def test_the_price_of_the_day_holds() -> None:
    assert await price_of("big", 1, JULY) == ReplicaPrice(1_990_000_000, SOURCE)
    assert await price_of("big", 1, AUGUST) == ReplicaPrice(2_590_000_000, SOURCE)


async def test_several_cost_what_their_machine_costs_or_as_many_times_one() -> None:
    assert await price_of("big", 8, AUGUST) == ReplicaPrice(20_700_000_000, SOURCE)
    assert await price_of("big", 2, AUGUST) == ReplicaPrice(2 * 2_590_000_000, SOURCE)


async def test_one_that_is_only_had_for_as_long_as_nobody_pays_more_has_that_price() -> None:
    assert await price_of("spot", 2, AUGUST, MemoryAccelerators(AcceleratorBook((SPOT_ONLY,)))) == (
        ReplicaPrice(1_400, SOURCE)
    )


async def test_without_a_price_the_deployments_own_holds() -> None:
    assert await price_of("gone", 1, AUGUST) == OWN
    assert await price_of("small", 1, JULY) == OWN
    broken = MemoryAccelerators(failure=ConfigInvalid("accelerators.toml: no."))
    assert await price_of("big", 1, AUGUST, broken) == OWN


async def test_what_is_rolled_out_counts_and_not_what_it_replaces() -> None:
    pending = replace(a_wanted(), accelerator="small")
    deployment = replace(a_deployment(wanted=replace(a_wanted(), accelerator="big")), pending=pending)
    found = await ReplicaPrices(MemoryAccelerators(), InPlace()).price(deployment, AUGUST)
    assert found == ReplicaPrice(760_000_000, SOURCE)
