"""Accelerators with their dated prices per hour, and what was measured of a model on one; all of it is data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    """One kind of GPU. `also_known_as` are names that a cloud has for it."""

    slug: str
    name: str
    maker: str
    memory_gb: int
    prices: tuple[AcceleratorPrice, ...]
    also_known_as: tuple[str, ...] = ()

    def price_on(self, day: str, gpus: int, billing: Billing) -> AcceleratorPrice | None:
        """Return the price in force on an ISO date for exactly that many GPUs, or None when there is none."""
        dated = [each for each in self.prices if (each.gpus, each.billing) == (gpus, billing)]
        in_force = [each for each in dated if each.effective <= day]
        return max(in_force, key=lambda each: each.effective) if in_force else None

    def replica_price_on(self, day: str, gpus: int, billing: Billing) -> tuple[AcceleratorPrice, int] | None:
        """Return a price and how many times it is paid for a replica of so many GPUs, or None.

        A machine of exactly that size goes before several of one GPU.
        """
        whole = self.price_on(day, gpus, billing)
        if whole is not None:
            return whole, 1
        single = self.price_on(day, 1, billing)
        return None if single is None else (single, gpus)


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
