"""What becomes of each field of a request that is translated: exactly one fate, as data beside each pair."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object


class Fate(StrEnum):
    """What happens to a field: its meaning is served, the request is refused, or it is left out and named."""

    TRANSLATED = "translated"
    REFUSED = "refused"
    DROPPED = "dropped"


def judge_fields(body: JsonObject, fates: Mapping[str, Fate], neutral: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return the fields that are dropped; raises InvalidRequest for the first one that is refused.

    A field that is null, or has the value under its name in `neutral`, asks for nothing and is not named. A field
    that is in no table is dropped and named.
    """
    dropped: list[str] = []
    for name, value in body.items():
        fate = fates.get(name, Fate.DROPPED)
        if fate is Fate.TRANSLATED or value is None or (name in neutral and neutral[name] == value):
            continue
        if fate is Fate.REFUSED:
            raise InvalidRequest(
                f'"{name}" cannot be served by this model: its provider has no such field. Leave it out.',
                code="unsupported_field",
                param=name,
            )
        dropped.append(name)
    return tuple(dropped)


def left_of(value: JsonValue, served: Collection[str], kind: str) -> list[str]:
    """Return what no translation reads of an object inside a request, each as `kind.member`; null asks for nothing."""
    if not is_object(value):
        return []
    return [f"{kind}.{name}" for name, given in value.items() if name not in served and given is not None]
