"""Receipts as JSON: every amount as integer nano-dollars beside a decimal string; reading them is the ledger's."""

from __future__ import annotations

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import format_nano, format_usd_each, format_usd_per_mtok
from headrace.domain.plan import Excluded
from headrace.domain.price import Line
from headrace.domain.receipt import AttemptRecord, Receipt
from headrace.domain.usage import Usage
from headrace.wire.decision_json import routing_object
from headrace.wire.iso_time import iso_time, iso_time_or_none
from headrace.wire.price_json import PER_MILLION, shown_rates, usage_class, variants_object

MICROS_PER_SECOND = 1_000_000


def receipt_object(receipt: Receipt) -> JsonObject:
    """Return the whole receipt: the request, what its plan left out, its attempts in order and the sums over them."""
    return {
        **_request_fields(receipt),
        **_routing(receipt),
        "excluded": [_excluded_object(each) for each in receipt.excluded],
        "attempts": [attempt_object(each) for each in receipt.attempts],
        **_sums(receipt),
    }


def receipt_summary(receipt: Receipt) -> JsonObject:
    """Return the receipt as one entry of a list: `attempts` is only their number."""
    return {**_request_fields(receipt), "attempts": len(receipt.attempts), **_sums(receipt)}


def attempt_object(attempt: AttemptRecord) -> JsonObject:
    """Return one attempt with its timing, usage, price version and ledger lines."""
    return {
        "id": attempt.attempt_id,
        "turn": attempt.turn_index,
        "index": attempt.attempt_index,
        "state": attempt.state,
        "model": attempt.model_id,
        "provider": attempt.provider,
        "deployment": attempt.deployment,
        "identity": attempt.identity,
        "ending": attempt.ending,
        "error_code": attempt.error_code,
        "upstream_status": attempt.upstream_status,
        "upstream_request_id": attempt.upstream_request_id,
        "held_at": iso_time(attempt.held_at_micros),
        "first_event_at": iso_time_or_none(attempt.first_event_at_micros),
        "ended_at": iso_time_or_none(attempt.ended_at_micros),
        "first_event_seconds": _seconds_since(attempt.held_at_micros, attempt.first_event_at_micros),
        "duration_seconds": _seconds_since(attempt.held_at_micros, attempt.ended_at_micros),
        "delivered_bytes": attempt.delivered_bytes,
        "possible_upstream_spend": attempt.possible_spend,
        **_amount("bound", attempt.bound_nano),
        "scopes": list[JsonValue](attempt.scopes),
        "usage": None if attempt.usage is None else usage_object(attempt.usage),
        "price": _price_object(attempt),
        "lines": [_line_object(each) for each in attempt.lines],
        **_amount("cost", attempt.cost_nano),
        **_amount("charge", attempt.charge_nano),
        **_replica(attempt),
    }


def usage_object(usage: Usage) -> JsonObject:
    """Return tokens by class, no token counted in two, and units; classes beyond the six only where there are any."""
    more: JsonObject = {each.value: quantity for each, quantity in usage.more}
    return {
        "input_fresh": usage.input_fresh,
        "input_cache_read": usage.input_cache_read,
        "input_cache_write_5m": usage.input_cache_write_5m,
        "input_cache_write_1h": usage.input_cache_write_1h,
        "output_text": usage.output_text,
        "output_reasoning": usage.output_reasoning,
        **more,
        "estimated": usage.estimated,
        "source": usage.source,
        "anomaly": usage.anomaly,
    }


def _request_fields(receipt: Receipt) -> JsonObject:
    return {
        "id": receipt.request_id,
        "object": "request",
        "status": receipt.status,
        "created_at": iso_time(receipt.received_at_micros),
        "operation": receipt.operation,
        "stream": receipt.stream,
        "key": {"id": receipt.key_id, "name": receipt.key_name},
        "account": receipt.account,
        "requested_model": receipt.requested_model,
        "served_by": receipt.served_by,
        "route": receipt.route,
    }


def _routing(receipt: Receipt) -> JsonObject:
    if receipt.decision is None:
        return {}
    return {"routing": routing_object(receipt.decision, receipt.cost_nano if receipt.served_by else None)}


def _excluded_object(excluded: Excluded) -> JsonObject:
    return {
        "model": excluded.model_id,
        "provider": excluded.provider or None,
        "code": excluded.code,
        "reason": excluded.reason,
    }


def _sums(receipt: Receipt) -> JsonObject:
    return {
        **_amount("cost", receipt.cost_nano),
        **_amount("charge", sum(each.charge_nano for each in receipt.attempts)),
    }


def _replica(attempt: AttemptRecord) -> JsonObject:
    """The share of a replica: paid with the replica's seconds, so it is in no sum of the receipt."""
    if attempt.share_micros is None:
        return {}
    seconds = attempt.share_micros / MICROS_PER_SECOND
    return {"replica": {"seconds": seconds, **_amount("share", attempt.share_nano or 0)}}


def _price_object(attempt: AttemptRecord) -> JsonObject:
    rates = {usage_class(name): pico for name, pico in attempt.rates_pico.items()}
    price: JsonObject = {"version": attempt.price_version, "source": attempt.price_source, **shown_rates(rates)}
    return price if attempt.variants is None else {**price, "variants": variants_object(attempt.variants)}


def _line_object(line: Line) -> JsonObject:
    return {
        "kind": line.kind,
        "quantity": line.quantity,
        **_line_price(line),
        **_amount("cost", line.cost_nano),
        **_amount("charge", line.charge_nano),
    }


def _line_price(line: Line) -> JsonObject:
    if usage_class(line.kind) in PER_MILLION:
        return {"price_usd_per_mtok": format_usd_per_mtok(line.price_pico)}
    return {"price_usd_each": format_usd_each(line.price_pico)}


def _amount(name: str, nano: int) -> JsonObject:
    return {f"{name}_nano_usd": nano, f"{name}_usd": format_nano(nano)}


def _seconds_since(begin_micros: int, end_micros: int | None) -> float | None:
    return None if end_micros is None else (end_micros - begin_micros) / MICROS_PER_SECOND
