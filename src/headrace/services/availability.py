"""Decides whether a model can be called now, and what to do when not; the provider itself is not asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headrace.domain.catalog import AVAILABLE, Availability, Listed, Model, Provider, WeightsFile
from headrace.domain.price import PriceVersion

RETIRED, NO_PRICE, NO_CREDENTIAL, NO_WEIGHTS = "retired", "no_price", "no_credential", "no_weights"
NOT_DEPLOYED = "not_deployed"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What availability depends on beside the catalog: the day, weights, where the operator's files lie.

    `unreadable` names providers whose stored credential could not be opened.
    """

    today: str
    has_weights: Callable[[WeightsFile], bool]
    catalog_folder: str = "HOME/catalog"
    unreadable: frozenset[str] = frozenset()


def list_model(model: Model, provider: Provider, around: Surroundings) -> Listed:
    """Return the model with its price in force and its availability."""
    price = model.price_on(around.today)
    return Listed(model, price, availability(model, provider, price, around))


def availability(model: Model, provider: Provider, price: PriceVersion | None, around: Surroundings) -> Availability:
    """Return the first thing that keeps the model from being called, or AVAILABLE."""
    if model.retired_on is not None and model.retired_on <= around.today:
        return Availability(
            False,
            RETIRED,
            f"It was retired on {model.retired_on}.",
            "Call another model; `headrace models` lists those that can be called.",
        )
    if model.local is not None and not model.local.weights:
        return Availability(
            False,
            NOT_DEPLOYED,
            "It runs as a deployment only, on accelerators of yours.",
            f"Run `headrace fit {model.id}`, then `headrace deploy {model.id}`.",
        )
    if price is None:
        return _no_price(model, around)
    if provider.needs_credential and not provider.credentials:
        return _no_credential(provider, around)
    if model.local is not None and not all(around.has_weights(each) for each in model.local.weights):
        size_mb = sum(each.size_bytes for each in model.local.weights) // 1_000_000
        return Availability(
            False,
            NO_WEIGHTS,
            f"Its weights ({size_mb} MB) are not on this machine yet.",
            f"Run `headrace models pull {model.id}`.",
        )
    return AVAILABLE


def _no_price(model: Model, around: Surroundings) -> Availability:
    reason = "It has no price, and what has no price is not called."
    if model.prices:
        reason = f"Its first price starts on {model.prices[0].effective}, and today is {around.today}."
    fix = f"Add a dated price under [[models.prices]] in {around.catalog_folder}/{model.provider}.toml."
    return Availability(False, NO_PRICE, reason, fix)


def _no_credential(provider: Provider, around: Surroundings) -> Availability:
    reason = f'Its provider "{provider.name}" has no key.'
    if provider.name in around.unreadable:
        reason = f'The stored key of its provider "{provider.name}" was sealed with another master key.'
    fix = f"Run `headrace providers set-key {provider.name}`"
    variable = f", or start with {provider.key_variable} set" if provider.key_variable else ""
    return Availability(False, NO_CREDENTIAL, reason, f"{fix}{variable}.")
