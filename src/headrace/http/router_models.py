"""Routers as entries of the model list: what a caller can ask for beside models and aliases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headrace.domain.access import Caller
from headrace.domain.alias import Alias
from headrace.domain.catalog import Listed, ModelKind
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router import MANAGED_ROUTER, PREFIX, names_router
from headrace.domain.snapshot import Snapshot
from headrace.services.fitness import models_of

OWNER = "headrace"


def router_objects(snapshot: Snapshot, caller: Caller) -> Iterator[JsonObject]:
    """Yield the routers that can serve this caller now, and the aliases that point at them."""
    names = [MANAGED_ROUTER, *(each.model_name for each in snapshot.routers.values())]
    for name in names:
        yield from _one(name, None, snapshot, caller)
    for alias in snapshot.aliases.values():
        if names_router(alias.points_to) and alias.name not in snapshot.models:
            yield from _one(alias.points_to, alias, snapshot, caller)


def find_router_object(snapshot: Snapshot, caller: Caller, name: str) -> JsonObject | None:
    """Return a router, or an alias that points at one, or None when there is none that can serve this caller."""
    alias = None if name in snapshot.models else snapshot.aliases.get(name)
    router = name if alias is None else alias.points_to
    return next(_one(router, alias, snapshot, caller), None) if names_router(router) else None


def _one(router: str, alias: Alias | None, snapshot: Snapshot, caller: Caller) -> Iterator[JsonObject]:
    names = (*_named(router, snapshot), *(() if alias is None else alias.fallbacks))
    models = dict.fromkeys(model for name in names for model in models_of(name, snapshot))
    # The preferred entry of each stands for it.
    entries = [each for model in models for each in snapshot.models.get(model, ())[:1] if _serves(each, caller)]
    if entries:
        yield _router_object(router, alias, entries, snapshot)


def _serves(entry: Listed, caller: Caller) -> bool:
    is_chat = entry.model.kind is ModelKind.CHAT
    return is_chat and entry.availability.available and caller.may_call(entry.model.id)


def _named(router: str, snapshot: Snapshot) -> Iterable[str]:
    """Return the models and aliases that the router may choose."""
    if router == MANAGED_ROUTER:
        return snapshot.models
    found = snapshot.routers.get(router.removeprefix(PREFIX))
    return () if found is None else sorted(found.named_models)


def _router_object(router: str, alias: Alias | None, entries: list[Listed], snapshot: Snapshot) -> JsonObject:
    """Return what the best of its models can, for a router has no window and no price of its own."""
    models = [each.model for each in entries]
    able = {each.value for model in models for each in model.capabilities}
    found, name = snapshot.routers.get(router.removeprefix(PREFIX)), router if alias is None else alias.name
    pointing: JsonObject = {}
    if alias is not None:
        pointing = {"points_to": router, "fallbacks": list[JsonValue](alias.fallbacks)}
    return {
        "id": name,
        "object": "model",
        "created": 0 if found is None else found.created_at_micros // 1_000_000,
        "owned_by": OWNER,
        "type": "router",
        "name": name,
        "provider": OWNER,
        "runs_here": all(each.local is not None for each in models),
        "context_length": max(each.context_length for each in models),
        "max_output_tokens": max(each.max_output_tokens for each in models),
        "capabilities": list[JsonValue](sorted(able)),
        "best_effort_capabilities": [],
        "prices_usd_per_mtok": None,
        "prices_usd_each": None,
        "price_version": None,
        "licence": None,
        "available": True,
        "unavailable_reason": None,
        "unavailable_fix": None,
        **pointing,
    }
