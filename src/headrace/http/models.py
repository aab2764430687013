"""The model list of the data plane, in OpenAI's shape with additive fields.

Source: OpenAI API reference, "Models" (read 2026-11-24).
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from headrace.domain.access import Caller
from headrace.domain.catalog import Capability, Listed
from headrace.domain.errors import NotFound
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import format_usd_per_mtok
from headrace.domain.names import did_you_mean
from headrace.domain.snapshot import Snapshot


def model_list(snapshot: Snapshot, caller: Caller) -> JsonObject:
    """Return what this caller can call now."""
    entries = (entry for entries in snapshot.models.values() for entry in entries[:1])
    return {
        "object": "list",
        "data": [
            model_object(entry) for entry in entries if entry.availability.available and caller.may_call(entry.model.id)
        ],
    }


def one_model(snapshot: Snapshot, caller: Caller, model_id: str) -> JsonObject:
    """Return one model; one that exists but cannot be called now says why."""
    entries = snapshot.models.get(model_id)
    if entries is None or not caller.may_call(model_id):
        names = [name for name in snapshot.models if caller.may_call(name)]
        hint = did_you_mean(model_id, names)
        raise NotFound(
            f'No model named "{model_id}".{f" {hint}" if hint else ""}', code="model_not_found", param="model"
        )
    return model_object(entries[0])


def model_object(entry: Listed) -> JsonObject:
    """Return OpenAI's model object with type, limits, capabilities, prices and availability."""
    model, price = entry.model, entry.price
    prices: JsonObject | None = None
    if price is not None:
        prices = {name.value: format_usd_per_mtok(pico) for name, pico in price.rates_pico.items()}
    return {
        "id": model.id,
        "object": "model",
        "created": _unix_day(model.released_on),
        "owned_by": model.owned_by,
        "type": model.kind.value,
        "name": model.display_name,
        "provider": model.provider,
        "context_length": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "capabilities": _names(model.capabilities),
        "best_effort_capabilities": _names(model.best_effort),
        "prices_usd_per_mtok": prices,
        "price_version": None if price is None else price.id,
        "licence": model.licence or None,
        "available": entry.availability.available,
        "unavailable_reason": entry.availability.reason or None,
        "unavailable_fix": entry.availability.fix or None,
    }


def _names(capabilities: frozenset[Capability]) -> list[JsonValue]:
    return list[JsonValue](sorted(each.value for each in capabilities))


def _unix_day(iso_date: str) -> int:
    if not iso_date:
        return 0
    day = date.fromisoformat(iso_date)
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
