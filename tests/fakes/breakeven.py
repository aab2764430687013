"""What a break-even question is answered from, in memory: accelerators, hours of usage, work done in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from headrace.domain.accelerator import Accelerator, AcceleratorBook, AcceleratorPrice, Billing, Measurement
from headrace.domain.usage_hour import UsageHour

P = ParamSpec("P")
T = TypeVar("T")
CHECKED = "2026-11-24"


def a_gpu_price(
    effective: str, nano_per_hour: int, gpus: int = 1, billing: Billing = Billing.ON_DEMAND
) -> AcceleratorPrice:
    return AcceleratorPrice(effective, gpus, nano_per_hour, billing, "https://example.com/gpus", CHECKED)


BIG = Accelerator(
    "big",
    "BIG",
    "Acme",
    192,
    (
        a_gpu_price("2026-05-13", 1_990_000_000),
        a_gpu_price("2026-08-01", 2_590_000_000),
        a_gpu_price("2026-08-01", 20_700_000_000, gpus=8),
        a_gpu_price("2026-08-01", 1_000_000_000, billing=Billing.SPOT),
    ),
    ("gpu-big-1",),
)
SMALL = Accelerator("small", "SMALL", "Acme", 20, (a_gpu_price("2026-08-01", 760_000_000),))


@dataclass(slots=True)
class MemoryAccelerators:
    """Accelerators that a test gives; a failure is raised when they are read."""

    book: AcceleratorBook = field(default_factory=lambda: AcceleratorBook((BIG, SMALL)))
    failure: Exception | None = None

    def read(self) -> AcceleratorBook:
        if self.failure is not None:
            raise self.failure
        return self.book

    def measure(self, measurement: Measurement) -> None:
        self.book = AcceleratorBook(self.book.accelerators, (*self.book.measurements, measurement))


@dataclass(slots=True)
class MemoryUsageHours:
    """Hours that a test gives, and the ranges that were asked for."""

    usage: list[UsageHour] = field(default_factory=list[UsageHour])
    asked: list[tuple[int, int, str | None]] = field(default_factory=list[tuple[int, int, str | None]])

    async def hours(self, since_micros: int, until_micros: int, model_id: str | None) -> tuple[UsageHour, ...]:
        self.asked.append((since_micros, until_micros, model_id))
        return tuple(
            each
            for each in self.usage
            if since_micros <= each.hour_start_micros < until_micros and model_id in (None, each.model_id)
        )


class InPlace:
    """Does the work where it is asked for."""

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return work(*args, **kwargs)


def a_usage_hour(
    hour_start_micros: int,
    requests: int = 10,
    *,
    model_id: str = "one",
    provider: str = "acme",
    cost_nano: int = 1_000_000_000,
    output: int = 500,
) -> UsageHour:
    """Return an hour of requests with 1,000 input tokens (100 of them cached) and so many output tokens each."""
    return UsageHour(
        hour_start_micros=hour_start_micros,
        model_id=model_id,
        provider=provider,
        requests=requests,
        input_fresh=900 * requests,
        input_cache_read=100 * requests,
        input_cache_write=0,
        output_text=output * requests,
        output_reasoning=0,
        cost_nano=cost_nano,
        charge_nano=2 * cost_nano,
        busy_micros=1_000_000 * requests,
    )
