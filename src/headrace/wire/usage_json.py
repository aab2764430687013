"""The rare classes of usage as the store keeps them: a JSON object of counts by class."""

from __future__ import annotations

import msgspec

from headrace.domain.usage import Quantities, UsageClass, rare
from headrace.wire.price_json import usage_class

_COUNTS = msgspec.json.Decoder(dict[str, int])


def quantities_text(quantities: Quantities) -> str:
    """Return counts as JSON."""
    return msgspec.json.encode({each.value: quantity for each, quantity in quantities}).decode()


def read_quantities(text: str) -> Quantities:
    """Return counts as they were kept."""
    counts: dict[UsageClass, int] = {usage_class(name): quantity for name, quantity in _COUNTS.decode(text).items()}
    return rare(counts)
