"""Machines by their clouds' names: how many accelerators one has, what it is called, what is paid for it."""

from __future__ import annotations

import pytest

from headrace.domain.accelerator import Accelerator, AcceleratorBook, Billing, gpus_named
from tests.fakes.breakeven import a_gpu_price

MI300X = Accelerator("mi300x", "MI300X", "AMD", 192, (a_gpu_price("2026-01-01", 2),), ("gpu-mi300x1-192gb",))
H100 = Accelerator(
    "h100",
    "H100",
    "NVIDIA",
    80,
    (
        a_gpu_price("2026-01-01", 3),
        a_gpu_price("2026-02-01", 30, gpus=8),
        a_gpu_price("2026-01-01", 1, billing=Billing.SPOT),
    ),
    ("gpu-h100x1-80gb",),
    memory_mib=81_559,
)
CPU = Accelerator("cpu", "CPU of this machine", "any", 0, (a_gpu_price("2026-01-01", 5),), is_processor=True)
BOOK = AcceleratorBook((MI300X, H100, CPU))


@pytest.mark.parametrize(
    ("name", "slug", "gpus"),
    [
        ("h100", "h100", 1),
        ("GPU-H100x1-80GB", "h100", 1),
        ("gpu-h100x8-640gb", "h100", 8),
        ("gpu-mi300x8-1536gb", "mi300x", 8),
        ("gpu-h100x8-640gb-spot", "h100", 8),
        ("cpu", "cpu", 0),
    ],
)
def test_a_name_says_which_and_how_many(name: str, slug: str, gpus: int) -> None:
    found = BOOK.find_machine(name)
    assert found is not None
    assert (found[0].slug, found[1]) == (slug, gpus)


@pytest.mark.parametrize("name", ["", "a100", "gpu-a100x8-640gb", "h100x8", "gpu-h100x0-0gb"])
def test_an_unknown_name_is_nobodys(name: str) -> None:
    assert BOOK.find_machine(name) is None


def test_names_are_the_clouds_own_or_in_their_form() -> None:
    assert MI300X.machine_name(1) == "gpu-mi300x1-192gb"
    assert MI300X.machine_name(8) == "gpu-mi300x8-1536gb"
    assert H100.machine_name(1, Billing.SPOT) == "gpu-h100x1-80gb-spot"
    assert CPU.machine_name(1) == "cpu"
    assert [gpus_named(each) for each in ("h100", "gpu-h100x4-320gb")] == [None, 4]
    assert [name for name, _, _ in BOOK.machine_names()] == [
        "gpu-mi300x1-192gb",
        "gpu-h100x1-80gb",
        "gpu-h100x1-80gb-spot",
        "gpu-h100x8-640gb",
    ]


def test_machines_have_the_price_of_the_day() -> None:
    assert [(each.name, each.gpus, each.price.nano_per_hour) for each in BOOK.machines("2026-01-15")] == [
        ("gpu-mi300x1-192gb", 1, 2),
        ("gpu-h100x1-80gb", 1, 3),
        ("gpu-h100x1-80gb-spot", 1, 1),
        ("cpu", 0, 5),
    ]
    assert [each.gpus for each in BOOK.machines("2026-03-01")] == [1, 1, 1, 8, 0]


def test_a_replica_on_a_processor_is_paid_as_one_machine() -> None:
    found = CPU.replica_price_on("2026-03-01", 0, Billing.ON_DEMAND)
    assert found is not None
    assert (found[0].nano_per_hour, found[1]) == (5, 1)


def test_memory_is_what_the_driver_reports_else_the_makers_figure() -> None:
    assert H100.memory_bytes == 81_559 * 1024 * 1024
    assert MI300X.memory_bytes == 192 * 10**9
