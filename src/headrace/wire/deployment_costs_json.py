"""What a deployment cost as JSON: busy and idle apart, the effective price of its tokens, the twin beside it."""

from __future__ import annotations

from headrace.domain.deployment_costs import DeploymentCosts, Twin
from headrace.domain.json_value import JsonObject
from headrace.domain.money import format_usd_per_mtok
from headrace.wire.iso_time import iso_time
from headrace.wire.money_json import amount

MICROS_PER_SECOND = 1_000_000


def deployment_costs_object(costs: DeploymentCosts) -> JsonObject:
    """Return the costs of one deployment over a span of time."""
    served = costs.served
    return {
        "deployment": costs.deployment_id,
        "name": costs.name,
        "since": iso_time(costs.since_micros),
        "until": iso_time(costs.until_micros),
        "replicas": costs.runs,
        "replica_seconds": costs.replica_micros / MICROS_PER_SECOND,
        "busy_seconds": served.share_micros / MICROS_PER_SECOND,
        "idle_seconds": costs.idle_micros / MICROS_PER_SECOND,
        "busy_share": served.share_micros / costs.replica_micros if costs.replica_micros else None,
        **amount("cost", costs.amount_nano),
        **amount("busy", served.share_nano),
        **amount("idle", costs.idle_nano),
        "requests": served.attempts,
        "input_tokens": served.input_tokens,
        "output_tokens": served.output_tokens,
        "effective_usd_per_mtok": _per_mtok(costs.pico_per_token),
        "twin": None if costs.twin is None else _twin_object(costs, costs.twin),
    }


def _twin_object(costs: DeploymentCosts, twin: Twin) -> JsonObject:
    return {
        "model": twin.model,
        "provider": twin.provider,
        "price_version": twin.price_version,
        "is_overflow": twin.is_overflow,
        **amount("cost", twin.amount_nano),
        "effective_usd_per_mtok": _per_mtok(costs.twin_pico_per_token),
        **amount("saved", costs.saved_nano),
    }


def _per_mtok(pico: int | None) -> str | None:
    return None if pico is None else format_usd_per_mtok(pico)
