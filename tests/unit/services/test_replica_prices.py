"""What a replica costs an hour: the dated price of all its accelerators on a day, on demand or spot."""

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
SOURCE = "https://example.com/gpus"
SPOT_ONLY = Accelerator("spot", "SPOT", "Acme", 288, (a_gpu_price("2026-05-01", 700, billing=Billing.SPOT),))


async def price_of(
    accelerator: str, gpus: int, at_micros: int, given: MemoryAccelerators | None = None, asked: str = ""
) -> ReplicaPrice | None:
    prices = ReplicaPrices(given or MemoryAccelerators(), InPlace())
    wanted = replace(a_wanted(), accelerator=accelerator, gpus=gpus, asked_accelerator=asked)
    deployment = a_deployment(wanted=wanted)
    return await prices.price(deployment, at_micros)


async def test_the_price_of_the_day_holds() -> None:
    assert await price_of("big", 1, JULY) == ReplicaPrice(1_990_000_000, f"{SOURCE}, in force from 2026-05-13")
    assert await price_of("big", 1, AUGUST) == ReplicaPrice(2_590_000_000, f"{SOURCE}, in force from 2026-08-01")


async def test_several_cost_what_their_machine_costs_or_as_many_times_one() -> None:
    since = f"{SOURCE}, in force from 2026-08-01"
    assert await price_of("big", 8, AUGUST) == ReplicaPrice(20_700_000_000, since)
    assert await price_of("big", 2, AUGUST) == ReplicaPrice(2 * 2_590_000_000, since)


async def test_what_was_asked_for_as_spot_is_metered_as_that() -> None:
    spot = ReplicaPrice(1_000_000_000, f"{SOURCE}, in force from 2026-08-01, spot")
    assert await price_of("big", 1, AUGUST, asked="gpu-bigx1-192gb-spot") == spot
    assert await price_of("big", 1, JULY, asked="GPU-BIGX1-192GB-SPOT") == await price_of("big", 1, JULY)
    assert await price_of("big", 1, AUGUST, asked="gpu-bigx1-192gb") == await price_of("big", 1, AUGUST)


async def test_one_that_is_only_had_for_as_long_as_nobody_pays_more_has_that_price() -> None:
    assert await price_of("spot", 2, AUGUST, MemoryAccelerators(AcceleratorBook((SPOT_ONLY,)))) == (
        ReplicaPrice(1_400, f"{SOURCE}, in force from 2026-05-01, spot")
    )


async def test_a_price_that_nobody_knows_is_none() -> None:
    assert await price_of("gone", 1, AUGUST) is None
    assert await price_of("small", 1, JULY) is None
    broken = MemoryAccelerators(failure=ConfigInvalid("accelerators.toml: no."))
    assert await price_of("big", 1, AUGUST, broken) is None


async def test_what_is_rolled_out_counts_and_not_what_it_replaces() -> None:
    pending = replace(a_wanted(), accelerator="small")
    deployment = replace(a_deployment(wanted=replace(a_wanted(), accelerator="big")), pending=pending)
    found = await ReplicaPrices(MemoryAccelerators(), InPlace()).price(deployment, AUGUST)
    assert found == ReplicaPrice(760_000_000, f"{SOURCE}, in force from 2026-08-01")
