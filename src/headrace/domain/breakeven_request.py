"""What one request is: its token classes, their prices, and how long it keeps a replica busy; pure formulas."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace.domain.money import PPM

HOURS_PER_DAY = 24
REPLICA_PRICE = "gpu_usd_per_hour * machines_per_replica"


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices by the token, in pico-dollars."""

    input_pico: int
    cache_read_pico: int
    cache_write_pico: int
    output_pico: int
    reasoning_pico: int


@dataclass(frozen=True, slots=True)
class Shape:
    """The tokens of one request in classes that do not overlap."""

    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int


@dataclass(frozen=True, slots=True)
class Speed:
    """Thousandths of a token per second that one replica makes, and takes in where that is known."""

    output_milli: int | None
    input_milli: int | None = None

    @property
    def units_per_hour(self) -> int:
        """How much work a replica does in an hour when it is always busy, in the units of `work`."""
        return 3_600 * (self.output_milli or 1) * (self.input_milli or 1)

    def work(self, written: int, read: int) -> int:
        """Return the work that tokens are; cached ones are none, so `read` leaves them out."""
        writing = 0 if self.output_milli is None else written * 1_000 * (self.input_milli or 1)
        reading = 0 if self.input_milli is None else read * 1_000 * (self.output_milli or 1)
        return writing + reading


def cached_at(shape: Shape, share_ppm: int) -> Shape:
    """Return the same request with another share of its input read from the cache."""
    whole = shape.input_tokens + shape.cached_tokens
    cached = whole * share_ppm // PPM
    return replace(shape, input_tokens=whole - cached, cached_tokens=cached)


def request_pico(rates: Rates, shape: Shape) -> int:
    """Return what one request costs by the token."""
    return (
        shape.input_tokens * rates.input_pico
        + shape.cached_tokens * rates.cache_read_pico
        + shape.cache_write_tokens * rates.cache_write_pico
        + shape.output_tokens * rates.output_pico
        + shape.reasoning_tokens * rates.reasoning_pico
    )
