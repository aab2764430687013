"""Accelerators with their dated prices per hour, and what was measured of a model on one; all of it is data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

BYTES_PER_GB = 1_000_000_000
BYTES_PER_MIB = 1024 * 1024

SPOT = "-spot"

# How clouds name machines: gpu-h100x8-640gb has eight; the x of an MI300X is the one before the number.
_MACHINE = re.compile(rf"gpu-(?P<kind>[a-z0-9-]*[a-z0-9])x(?P<gpus>[1-9][0-9]?)(?:-[0-9]+gb)?(?:{SPOT})?\Z")


class Billing(StrEnum):
    """How an hour is bought: kept until it is given back, or taken away when others pay more."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"


@dataclass(frozen=True, slots=True)
class AcceleratorPrice:
    """What a machine with `gpus` accelerators costs per hour from a date on, in nano-dollars."""

    effective: str
    gpus: int
    nano_per_hour: int
    billing: Billing
    source: str
    checked_on: str
    regions: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One kind of GPU, or this machine's processor. `also_known_as` are names that a cloud has for it.

    `memory_gb` is the maker's figure, `memory_mib` what its driver reports, None where that is not known. A processor
    has neither: its memory is the machine's.
    """

    slug: str
    name: str
    maker: str
    memory_gb: int
    prices: tuple[AcceleratorPrice, ...]
    also_known_as: tuple[str, ...] = ()
    memory_mib: int | None = None
    is_processor: bool = False

    @property
    def memory_bytes(self) -> int:
        """The memory of one: what the driver reports, else the maker's figure in decimal gigabytes, the smaller one."""
        return self.memory_gb * BYTES_PER_GB if self.memory_mib is None else self.memory_mib * BYTES_PER_MIB

    def machine_name(self, gpus: int, billing: Billing = Billing.ON_DEMAND) -> str:
        """Return a cloud's name for a machine with so many, or one of ours in the same form."""
        if self.is_processor:
            return self.slug
        is_spot = billing is Billing.SPOT
        for name in self.also_known_as:
            if gpus_named(name) == gpus and name.endswith(SPOT) == is_spot:
                return name
        return f"gpu-{self.slug.removesuffix('x')}x{gpus}-{gpus * self.memory_gb}gb{SPOT if is_spot else ''}"

    def price_on(self, day: str, gpus: int, billing: Billing) -> AcceleratorPrice | None:
        """Return the price in force on an ISO date for exactly that many GPUs, or None when there is none."""
        dated = [each for each in self.prices if (each.gpus, each.billing) == (gpus, billing)]
        in_force = [each for each in dated if each.effective <= day]
        return max(in_force, key=lambda each: each.effective) if in_force else None

    def replica_price_on(self, day: str, gpus: int, billing: Billing) -> tuple[AcceleratorPrice, int] | None:
        """Return a price and how many times it is paid for a replica of so many GPUs, or None.

        A machine of exactly that size goes before several of one GPU; a replica without GPUs is paid as one machine.
        """
        gpus = max(gpus, 1)
        whole = self.price_on(day, gpus, billing)
        if whole is not None:
            return whole, 1
        single = self.price_on(day, 1, billing)
        return None if single is None else (single, gpus)

    def hourly_price(self, name: str, gpus: int, day: str) -> tuple[int, str] | None:
        """Return what a replica of so many GPUs costs an hour, in nano-dollars, and where that stands, or None.

        By `name` people ask for it: one that ends in `-spot` means the spot price, any other that on demand. Where
        there is only the other of both, it is that.
        """
        order = (Billing.SPOT, Billing.ON_DEMAND) if name.casefold().endswith(SPOT) else tuple(Billing)
        for billing in order:
            found = self.replica_price_on(day, gpus, billing)
            if found is not None:
                price, times = found
                kind = ", spot" if billing is Billing.SPOT else ""
                return price.nano_per_hour * times, f"{price.source}, in force from {price.effective}{kind}"
        return None


@dataclass(frozen=True, slots=True)
class Measurement:
    """What somebody measured of models on `gpus` accelerators; None where that was not measured.

    `models` are the catalog's names of the one model that was run. `measured_on` is None where the source does not say.
    Rates are thousandths of a token per second, times are thousandths of a second.
    """

    accelerator: str
    gpus: int
    models: tuple[str, ...]
    source: str
    checked_on: str
    measured_on: str | None = None
    output_milli_tokens_per_second: int | None = None
    input_milli_tokens_per_second: int | None = None
    latency_target_ms: int | None = None
    warm_up_millis: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that can be had: its name, how many accelerators it has (none: a processor), and its price."""

    name: str
    accelerator: Accelerator
    gpus: int
    price: AcceleratorPrice


@dataclass(frozen=True, slots=True)
class AcceleratorBook:
    """Every known accelerator and measurement; later measurements stand behind earlier ones."""

    accelerators: tuple[Accelerator, ...]
    measurements: tuple[Measurement, ...] = ()

    def find(self, name: str) -> Accelerator | None:
        """Return an accelerator by its slug or by a cloud's name for it, whatever the case."""
        folded = name.casefold()
        for each in self.accelerators:
            if folded in {known.casefold() for known in (each.slug, each.name, *each.also_known_as)}:
                return each
        return None

    def find_machine(self, name: str) -> tuple[Accelerator, int] | None:
        """Return an accelerator and how many of it a machine of that name has: one where the name does not say.

        A processor has none.
        """
        known = self.find(name)
        found = _MACHINE.match(name.casefold())
        if known is None and found is not None:
            known = self.find(found["kind"]) or self.find(f"{found['kind']}x")
        if known is None:
            return None
        if known.is_processor:
            return known, 0
        return known, gpus_named(name) or 1

    def machine_names(self) -> Iterator[tuple[str, Accelerator, int]]:
        """Yield the name of every machine with GPUs that has a price of any date, with what it has and how many."""
        for each in self.accelerators:
            for gpus, billing in sorted({(price.gpus, price.billing) for price in each.prices}):
                if not each.is_processor:
                    yield each.machine_name(gpus, billing), each, gpus

    def machines(self, day: str) -> Iterator[Machine]:
        """Yield every machine with a price in force on an ISO date, by accelerator and size; on demand before spot."""
        for each in self.accelerators:
            sizes = sorted({price.gpus for price in each.prices})
            for gpus, billing in product(sizes, Billing):
                price = each.price_on(day, gpus, billing)
                if price is not None:
                    yield Machine(each.machine_name(gpus, billing), each, 0 if each.is_processor else gpus, price)

    def names(self) -> tuple[str, ...]:
        """Return the slugs and the clouds' names."""
        return tuple(name for each in self.accelerators for name in (each.slug, *each.also_known_as))

    def measured(self, accelerator: Accelerator, gpus: int, model: str, day: str) -> tuple[Measurement, ...]:
        """Return what was measured of a model on such hardware until an ISO date, the latest first."""
        fitting = [
            each
            for each in self.measurements
            if each.accelerator == accelerator.slug
            and each.gpus == gpus
            and model in each.models
            and (each.measured_on or "") <= day
        ]
        return tuple(sorted(fitting, key=lambda each: each.measured_on or "", reverse=True))


def gpus_named(name: str) -> int | None:
    """Return how many accelerators a machine has by its name, None for names that do not say it."""
    found = _MACHINE.match(name.casefold())
    return None if found is None else int(found["gpus"])
