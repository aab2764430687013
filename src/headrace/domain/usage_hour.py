"""What one model at one provider served in one hour; reading it from the ledger is a driver's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UsageHour:
    """The settled attempts of one hour, of one model at one provider.

    `requests` are settled attempts, each in the hour in which it ended. Cost is what the operator owed upstream,
    charge what keys were billed, both at the prices that were booked. `busy_micros` is the sum of durations.
    """

    hour_start_micros: int
    model_id: str
    provider: str
    requests: int
    input_fresh: int
    input_cache_read: int
    input_cache_write: int
    output_text: int
    output_reasoning: int
    cost_nano: int
    charge_nano: int
    busy_micros: int
