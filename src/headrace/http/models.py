"""The model list of the data plane, in OpenAI's shape with additive fields.

Source: OpenAI API reference, "Models" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

from headrace.domain.access import Caller
from headrace.domain.alias import Alias
from headrace.domain.catalog import Capability, Listed
from headrace.domain.dedicated import Deployment
from headrace.domain.errors import NotFound
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.names import did_you_mean
from headrace.domain.snapshot import Snapshot
from headrace.http.router_models import find_router_object, router_objects
from headrace.wire.price_json import shown_rates


def model_list(snapshot: Snapshot, caller: Caller) -> JsonObject:
    """Return what this caller can call now."""
    entries = (entry for entries in snapshot.models.values() for entry in entries[:1])
    models = [
        model_object(entry) for entry in entries if entry.availability.available and caller.may_call(entry.model.id)
    ]
    aliases = [alias_object(alias, entry) for alias, entry in callable_aliases(snapshot, caller)]
    return {"object": "list", "data": [*models, *aliases, *router_objects(snapshot, caller)]}


def callable_aliases(snapshot: Snapshot, caller: Caller) -> Iterator[tuple[Alias, Listed]]:
    """Yield aliases whose model this caller can call now; a name that is a model's id too means the model."""
    for alias in snapshot.aliases.values():
        for entry in snapshot.models.get(alias.points_to, ())[:1]:
            if alias.name not in snapshot.models and entry.availability.available and caller.may_call(entry.model.id):
                yield alias, entry


def one_model(snapshot: Snapshot, caller: Caller, model_id: str) -> JsonObject:
    """Return one model or router; a model that exists but cannot be called now says why."""
    router = find_router_object(snapshot, caller, model_id)
    if router is not None:
        return router
    entry, alias = listed_model(snapshot, caller, model_id), named_alias(snapshot, model_id)
    return model_object(entry) if alias is None else alias_object(alias, entry)


def named_alias(snapshot: Snapshot, name: str) -> Alias | None:
    """Return the alias of this name, None when it is none or the id of a model too."""
    return None if name in snapshot.models else snapshot.aliases.get(name)


def listed_model(snapshot: Snapshot, caller: Caller, model_id: str) -> Listed:
    """Return the preferred entry of a model that this caller may see, or of what an alias points at.

    Raises NotFound naming the closest.
    """
    alias = named_alias(snapshot, model_id)
    entries = snapshot.models.get(model_id if alias is None else alias.points_to)
    if entries is None or not caller.may_call(entries[0].model.id):
        names = [name for name in snapshot.models if caller.may_call(name)]
        hint = did_you_mean(model_id, names)
        raise NotFound(
            f'No model named "{model_id}". {hint or "GET /v1/models lists what this key can call."}',
            code="model_not_found",
            param="model",
        )
    return entries[0]


def alias_object(alias: Alias, entry: Listed) -> JsonObject:
    """Return an alias as the model that it points at, under its own name."""
    return {**model_object(entry), "id": alias.name, "name": alias.name, "type": "alias", **pointing(alias)}


def pointing(alias: Alias) -> JsonObject:
    """Return what an alias points at, and what is tried after that."""
    return {"points_to": alias.points_to, "fallbacks": list[JsonValue](alias.fallbacks)}


def model_object(entry: Listed) -> JsonObject:
    """Return OpenAI's model object with type, limits, capabilities, prices, availability, and how a deployment runs."""
    model, price = entry.model, entry.price
    prices: JsonObject = {} if price is None else shown_rates(price.rates_pico)
    return {
        "id": model.id,
        "object": "model",
        "created": _unix_day(model.released_on),
        "owned_by": model.owned_by,
        "type": model.kind.value,
        "name": model.display_name,
        "provider": model.provider,
        "runs_here": model.local is not None and bool(model.local.weights),
        "context_length": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "capabilities": _names(model.capabilities),
        "best_effort_capabilities": _names(model.best_effort),
        "prices_usd_per_mtok": prices.get("usd_per_mtok"),
        "prices_usd_each": prices.get("usd_each"),
        "price_version": None if price is None else price.id,
        "licence": model.licence or None,
        "available": entry.availability.available,
        "unavailable_reason": entry.availability.reason or None,
        "unavailable_fix": entry.availability.fix or None,
        **({} if model.deployment is None else {"deployment": _running(model.deployment)}),
    }


def _running(deployment: Deployment) -> JsonObject:
    wanted = deployment.wanted
    return {
        "id": deployment.id,
        "model": wanted.model,
        "status": deployment.status.value,
        "min_scale": wanted.min_scale,
        "max_scale": wanted.max_scale,
        "when_asleep": wanted.when_asleep.value,
        "overflow": None if wanted.overflow is None else wanted.overflow.model,
    }


def _names(capabilities: frozenset[Capability]) -> list[JsonValue]:
    return list[JsonValue](sorted(each.value for each in capabilities))


def _unix_day(iso_date: str) -> int:
    if not iso_date:
        return 0
    day = date.fromisoformat(iso_date)
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
