"""Shapes of break-even in the published description; reading is breakeven_body's, writing breakeven_json's."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from headrace.domain.accelerator import Billing
from headrace.domain.breakeven_question import Form
from headrace.domain.breakeven_traffic import Never
from headrace.wire.openapi_control import Time

Count = Annotated[int, Meta(ge=0)] | None
Decimal = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?$")] | Annotated[int, Meta(ge=0)] | None
Word = str | None


class BreakevenBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A question; the form decides which fields mean something. Decimals stand in quotes."""

    form: Form | None = None
    model: Word = None
    provider: Word = None
    gpu: Word = None
    gpus: Count = None
    billing: Billing | None = None
    on: Annotated[str, Meta(description="The ISO date whose prices are meant; today without it.")] | None = None
    gpu_usd_per_hour: Decimal = None
    requests_per_hour: Count = None
    tokens_per_request: Count = None
    input_usd_per_mtok: Decimal = None
    cache_read_usd_per_mtok: Decimal = None
    cache_write_usd_per_mtok: Decimal = None
    output_usd_per_mtok: Decimal = None
    reasoning_usd_per_mtok: Decimal = None
    input_tokens: Count = None
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    output_tokens: Count = None
    reasoning_tokens: Count = None
    batch_share_percent: Decimal = None
    batch_price_percent: Decimal = None
    active_hours_per_day: Count = None
    off_peak_hours: Count = None
    off_peak_price_percent: Decimal = None
    tokens_per_second: Decimal = None
    input_tokens_per_second: Decimal = None
    latency_target_ms: Count = None
    throughput_source: Word = None
    utilisation_percent: Decimal = None
    min_replicas: Count = None
    spare_replicas: Count = None
    warm_up_seconds: Decimal = None
    sleep_after_minutes: Count = None
    stand_in: Word = None
    quality_note: Word = None
    days: Count = None


class BreakevenFigure(Struct, kw_only=True):
    """One number: an input with its source, or a result with its formula over other figures."""

    name: str
    value: int | str | None
    unit: str
    source: str | None
    formula: str | None
    exact: Annotated[str, Meta(description="The fraction behind a rounded value.")] | None


class BreakevenVariation(Struct, kw_only=True):
    """The outcome with one input changed."""

    input: str
    change: str
    dedicated_wins: bool
    serverless_nano_usd: int
    serverless_usd: str
    dedicated_nano_usd: int
    dedicated_usd: str
    break_even_requests_per_hour: int | None
    always_wins_from_requests_per_hour: int | None


class BreakevenHour(Struct, kw_only=True):
    """One hour of the ledger as both ways cost it."""

    hour_start: Time
    requests: int
    replicas: int
    serverless_nano_usd: int
    serverless_usd: str
    dedicated_nano_usd: int
    dedicated_usd: str


class BreakevenReport(Struct, kw_only=True):
    """The answer: per hour in the simple form, per day in the full one, for all hours from the ledger."""

    form: Form
    answer: str
    dedicated_wins: bool
    serverless_nano_usd: int
    serverless_usd: str
    dedicated_nano_usd: int
    dedicated_usd: str
    break_even_requests_per_hour: int | None
    always_wins_from_requests_per_hour: int | None
    reason: Never | None
    inputs: list[BreakevenFigure]
    figures: list[BreakevenFigure]
    sensitivity: list[BreakevenVariation]
    notes: list[str]
    hours: list[BreakevenHour]
