"""The service tier that a request asks for: one with a price of its own goes out, another is left out and named."""

from __future__ import annotations

from headrace.domain.json_value import JsonObject
from headrace.domain.price import PriceVersion

# What providers call the service that their price list is for; `auto` is what the operator chose at the provider.
STANDARD = frozenset({"auto", "default", "standard"})


def take_service_tier(fields: JsonObject, name: str, price: PriceVersion) -> tuple[str | None, tuple[str, ...]]:
    """Return the tier that the request goes out with, or None for the standard one, and the fields that were dropped.

    A tier that the price does not know would be billed at rates that nobody held: it is dropped.
    """
    value = fields.get(name)
    if not isinstance(value, str) or value in STANDARD:
        return None, ()
    if value in price.service_tiers:
        return value, ()
    del fields[name]
    return None, (name,)
