"""A break-even question as it is asked: names not looked up yet, None for what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from headrace.domain.accelerator import Billing
from headrace.domain.money import PPM


class Form(StrEnum):
    """How much of the truth is asked for: three variables, a whole day, or the hours of the ledger."""

    SIMPLE = "simple"
    FULL = "full"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question. Prices of tokens are pico-dollars, of a replica's hour nano-dollars, speeds thousandths per second.

    `on` is the ISO date whose prices are meant. `gpu_usd_per_hour` is of one replica with all its GPUs.
    """

    form: Form = Form.SIMPLE
    model: str | None = None
    provider: str | None = None
    gpu: str | None = None
    gpus: int = 1
    billing: Billing = Billing.ON_DEMAND
    on: str | None = None
    gpu_usd_per_hour: int | None = None
    requests_per_hour: int | None = None
    tokens_per_request: int | None = None
    input_usd_per_mtok: int | None = None
    cache_read_usd_per_mtok: int | None = None
    cache_write_usd_per_mtok: int | None = None
    output_usd_per_mtok: int | None = None
    reasoning_usd_per_mtok: int | None = None
    input_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int | None = None
    reasoning_tokens: int = 0
    batch_share_percent: int = 0
    batch_price_percent: int = PPM // 2
    off_peak_hours: int = 0
    off_peak_price_percent: int = PPM
    active_hours_per_day: int = 24
    tokens_per_second: int | None = None
    input_tokens_per_second: int | None = None
    latency_target_ms: int | None = None
    throughput_source: str | None = None
    utilisation_percent: int = PPM
    min_replicas: int = 1
    spare_replicas: int = 0
    warm_up_seconds: int | None = None
    sleep_after_minutes: int | None = None
    stand_in: str | None = None
    quality_note: str | None = None
    days: int = 7
