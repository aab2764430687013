"""The model list of the data plane, in OpenAI's shape with additive fields.

Source: OpenAI API reference, "Models" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

from headrace.domain.access import Caller
from headrace.domain.alias import Alias
from headrace.domain.catalog import Capability, Listed
from headrace.domain.errors import NotFound
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import format_usd_per_mtok
from headrace.domain.names import did_you_mean
from headrace.domain.snapshot import Snapshot


def model_list(snapshot: Snapshot, caller: Caller) -> JsonObject:
    """Return what this caller can call now."""
    entries = (entry for entries in snapshot.models.values() for entry in entries[:1])
    models = [
        model_object(entry) for entry in entries if entry.availability.available and caller.may_call(entry.model.id)
    ]
    return {"object": "list", "data": [*models, *_alias_objects(snapshot, caller)]}


def one_model(snapshot: Snapshot, caller: Caller, model_id: str) -> JsonObject:
    """Return one model; one that exists but cannot be called now says why."""
    entry = listed_model(snapshot, caller, model_id)
    alias = snapshot.aliases.get(model_id)
    return model_object(entry) if alias is None or entry.model.id == model_id else alias_object(alias, entry)


def listed_model(snapshot: Snapshot, caller: Caller, model_id: str) -> Listed:
    """Return the preferred entry of a model that this caller may see, or of what an alias points at.

    Raises NotFound naming the closest.
    """
    alias = snapshot.aliases.get(model_id)
    entries = snapshot.models.get(
        alias.points_to if alias is not None and model_id not in snapshot.models else model_id
    )
    if entries is None or not caller.may_call(entries[0].model.id):
        names = [name for name in snapshot.models if caller.may_call(name)]
        hint = did_you_mean(model_id, names)
        raise NotFound(
            f'No model named "{model_id}".{f" {hint}" if hint else ""}', code="model_not_found", param="model"
        )
    return entries[0]


def alias_object(alias: Alias, entry: Listed) -> JsonObject:
    """Return an alias as the model that it points at, under its own name."""
    fallbacks: list[JsonValue] = list(alias.fallbacks)
    return {
        **model_object(entry),
        "id": alias.name,
        "name": alias.name,
        "type": "alias",
        "points_to": alias.points_to,
        "fallbacks": fallbacks,
    }


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


def _alias_objects(snapshot: Snapshot, caller: Caller) -> Iterator[JsonObject]:
    """Aliases whose model this caller can call now; a name that is a model's id too means the model."""
    for alias in snapshot.aliases.values():
        entries = snapshot.models.get(alias.points_to, ())
        for entry in entries[:1]:
            if alias.name not in snapshot.models and entry.availability.available and caller.may_call(entry.model.id):
                yield alias_object(alias, entry)


def _names(capabilities: frozenset[Capability]) -> list[JsonValue]:
    return list[JsonValue](sorted(each.value for each in capabilities))


def _unix_day(iso_date: str) -> int:
    if not iso_date:
        return 0
    day = date.fromisoformat(iso_date)
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
