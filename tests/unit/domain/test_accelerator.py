from dataclasses import replace

from headrace.domain.accelerator import AcceleratorBook, Billing, Measurement
from tests.fakes.breakeven import BIG, SMALL

MEASURED = Measurement(
    "big", 1, ("one", "acme-one"), "https://example.com/bench", "2026-11-24", "2026-10-01", 2_000_000
)


def test_the_price_in_force_is_chosen_by_date() -> None:
    def nano(day: str) -> int | None:
        price = BIG.price_on(day, 1, Billing.ON_DEMAND)
        return None if price is None else price.nano_per_hour

    assert nano("2026-05-12") is None
    assert nano("2026-05-13") == nano("2026-07-31") == 1_990_000_000
    assert nano("2026-08-01") == nano("2030-01-01") == 2_590_000_000


def test_spot_and_on_demand_do_not_mix() -> None:
    spot = BIG.price_on("2026-11-24", 1, Billing.SPOT)
    assert spot is not None
    assert spot.nano_per_hour == 1_000_000_000
    assert SMALL.price_on("2026-11-24", 1, Billing.SPOT) is None


def test_a_replica_of_many_gpus_takes_the_machine_of_that_size_or_several_of_one() -> None:
    whole = BIG.replica_price_on("2026-11-24", 8, Billing.ON_DEMAND)
    several = BIG.replica_price_on("2026-11-24", 4, Billing.ON_DEMAND)
    assert whole is not None
    assert several is not None
    assert (whole[0].nano_per_hour, whole[1]) == (20_700_000_000, 1)
    assert (several[0].nano_per_hour, several[1]) == (2_590_000_000, 4)
    assert BIG.replica_price_on("2026-01-01", 4, Billing.ON_DEMAND) is None


def test_a_gpu_is_found_by_every_name() -> None:
    book = AcceleratorBook((BIG, SMALL))
    assert book.find("Big") is book.find("GPU-big-1") is BIG
    assert book.find("huge") is None
    assert book.names() == ("big", "gpu-big-1", "small")


def test_measurements_are_found_for_their_hardware_and_model_the_latest_first() -> None:
    later = replace(MEASURED, measured_on="2026-11-01")
    undated = replace(MEASURED, measured_on=None)
    book = AcceleratorBook((BIG, SMALL), (undated, MEASURED, later))
    assert book.measured(BIG, 1, "acme-one", "2026-11-24") == (later, MEASURED, undated)
    assert book.measured(BIG, 1, "one", "2026-10-15") == (MEASURED, undated)
    assert book.measured(BIG, 2, "one", "2026-11-24") == ()
    assert book.measured(SMALL, 1, "one", "2026-11-24") == ()
    assert book.measured(BIG, 1, "two", "2026-11-24") == ()
