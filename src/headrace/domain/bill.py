"""A provider's bill as it was read, and our own books of the same time, in the figures that both have."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from headrace.domain.money import PICO_PER_NANO, divide_half_even

BillFormat: TypeAlias = Literal["openai", "anthropic", "openrouter", "generic"]
EPOCH = datetime.date(1970, 1, 1)
HOUR_MICROS = 3_600_000_000
DAY_MICROS = 24 * HOUR_MICROS


@dataclass(frozen=True, slots=True)
class Figures:
    """What was used and what it cost; None is what the source does not tell.

    Input holds cached tokens too, output those of reasoning. Cost is in pico-dollars: bills have finer amounts than
    our books.
    """

    requests: int | None = None
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_pico: int | None = None

    @property
    def cost_nano(self) -> int | None:
        """The cost in nano-dollars, rounded half to even."""
        return None if self.cost_pico is None else divide_half_even(self.cost_pico, PICO_PER_NANO)

    @property
    def tokens(self) -> int | None:
        """Input and output together, or None where neither is told."""
        told = [each for each in (self.input_tokens, self.output_tokens) if each is not None]
        return sum(told) if told else None


FIELDS = tuple(each.name for each in fields(Figures))
NOTHING = Figures()


@dataclass(frozen=True, slots=True)
class BilledLine:
    """One line of a bill: its place in the file, its day in UTC, the model as the provider names it.

    Without a model it is of the whole day. `step_pico` is the last decimal place that its amount was written with.
    """

    place: str
    day: str
    model: str
    figures: Figures
    step_pico: int = 0
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """A file as it was read; `remarks` say what was read in another way than it was written."""

    form: BillFormat
    lines: tuple[BilledLine, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BookedHour:
    """What our books have of one model in one hour: `figures` of settled attempts."""

    hour_start_micros: int
    model_id: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class BookedAttempt:
    """An attempt behind a figure; `reasons` say why it may differ from the bill, the strongest first."""

    day: str
    model_id: str
    attempt_id: str
    request_id: str
    ended_at_micros: int
    reasons: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    cost_nano: int
    upstream_request_id: str | None = None


def add_up(many: Iterable[Figures]) -> Figures:
    """Return the sum of figures; what one of them tells and another does not counts as nothing there."""
    sums: dict[str, int | None] = dict.fromkeys(FIELDS)
    for figures in many:
        for name in FIELDS:
            value: int | None = getattr(figures, name)
            if value is not None:
                sums[name] = (sums[name] or 0) + value
    return Figures(**sums)


def day_of(at_micros: int) -> str:
    """Return the ISO date of a moment, in UTC."""
    return (EPOCH + datetime.timedelta(days=at_micros // DAY_MICROS)).isoformat()


def start_of(day: str) -> int:
    """Return when a day begins in UTC, in microseconds since 1970; raises ValueError for what is no ISO date."""
    return (datetime.date.fromisoformat(day) - EPOCH).days * DAY_MICROS
