"""What a request asks of the managed router, in `routing_preference`; what comes of it is managed's.

Source: https://docs.digitalocean.com/products/inference/how-to/use-inference-router (name and values; read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject
from headrace.domain.router import RoutingPreference
from headrace.wire.openai_chat import show

FIELD = "routing_preference"
_KNOWN: Mapping[str, RoutingPreference] = MappingProxyType({each.value: each for each in RoutingPreference})


def take_preference(body: JsonObject) -> RoutingPreference | None:
    """Take `routing_preference` out of the body, which no upstream understands as ours; raises InvalidRequest."""
    value = body.pop(FIELD, None)
    if value is None:
        return None
    if isinstance(value, str) and value in _KNOWN:
        return _KNOWN[value]
    known = ", ".join(f'"{each}"' for each in _KNOWN)
    raise InvalidRequest(f'"{FIELD}" must be one of {known}, not {show(value)}.', param=FIELD)
