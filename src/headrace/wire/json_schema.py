"""Whether a JSON value keeps to a schema, as far as we judge: what we do not judge is taken as kept to.

Judged are types, enum, const, properties, required, additionalProperties, items, prefixItems, lengths, ranges, anyOf,
oneOf, allOf and local references. Patterns and formats are not: a caller's pattern may take for ever.
Source: JSON Schema 2020-12, "Validation" (read 2026-11-28).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeGuard

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import encode, is_object

MOST_STEPS = 20_000
MOST_DEPTH = 100
_SHOWN_CHARS = 80


def schema_problem(value: JsonValue, schema: JsonValue) -> str | None:
    """Return the first place where a value does not keep to a schema, or None; gives up after so much work."""
    judge = _Judge(schema)
    try:
        return judge.problem(value, schema, "$")
    except _TooLong:
        return None


class _TooLong(Exception):
    """Judging took more steps than it may, or went deeper."""


class _Judge:
    """Judges one value; `root` is where local references lead."""

    def __init__(self, root: JsonValue) -> None:
        self._root = root
        self._steps = self._depth = 0

    def problem(self, value: JsonValue, schema: JsonValue, place: str) -> str | None:
        """Return what is wrong at a place or below it."""
        self._steps += 1
        self._depth += 1
        if self._steps > MOST_STEPS or self._depth > MOST_DEPTH:
            raise _TooLong
        found = self._problem(value, schema, place)
        self._depth -= 1
        return found

    def _problem(self, value: JsonValue, schema: JsonValue, place: str) -> str | None:
        if schema is False:
            return f"{place} is not allowed"
        if not is_object(schema):
            return None
        reference = schema.get("$ref")
        if isinstance(reference, str):
            found = self.problem(value, self._referred(reference), place)
            if found is not None:
                return found
        return (
            self._of_value(value, schema, place)
            or self._of_parts(value, schema, place)
            or self._of_choices(value, schema, place)
        )

    def _referred(self, reference: str) -> JsonValue:
        """Return what a local reference names; one that leads nowhere is judged as nothing."""
        found = self._root
        for step in reference.removeprefix("#").split("/")[1:] if reference.startswith("#") else ["?"]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if is_object(found) else None
        return found

    def _of_value(self, value: JsonValue, schema: JsonObject, place: str) -> str | None:
        kinds = schema.get("type")
        allowed = kinds if isinstance(kinds, list) else [kinds]
        if kinds is not None and not any(_is_kind(value, kind) for kind in allowed):
            return f"{place} is {_shown(value)}, not of the type {_shown(kinds)}"
        options = schema.get("enum")
        if isinstance(options, list) and not any(_same(value, each) for each in options):
            return f"{place} is {_shown(value)}, none of those in its enum"
        if "const" in schema and not _same(value, schema["const"]):
            return f"{place} is {_shown(value)}, not {_shown(schema['const'])}"
        for name, (measure, is_kept) in _RANGES.items():
            limit, size = schema.get(name), measure(value)
            if size is not None and _is_number(limit) and not is_kept(size, limit):
                return f'{place} is {_shown(value)}, against "{name}": {_shown(limit)}'
        return None

    def _of_parts(self, value: JsonValue, schema: JsonObject, place: str) -> str | None:
        if isinstance(value, list):
            return self._of_items(value, schema, place)
        return self._of_members(value, schema, place) if is_object(value) else None

    def _of_items(self, value: list[JsonValue], schema: JsonObject, place: str) -> str | None:
        first = schema.get("prefixItems")
        kinds = first if isinstance(first, list) else []
        rest = schema.get("items")
        for index, item in enumerate(value):
            found = self.problem(item, kinds[index] if index < len(kinds) else rest, f"{place}[{index}]")
            if found is not None:
                return found
        return None

    def _of_members(self, value: JsonObject, schema: JsonObject, place: str) -> str | None:
        given, needed = schema.get("properties"), schema.get("required")
        kinds: Mapping[str, JsonValue] = given if is_object(given) else {}
        for name in needed if isinstance(needed, list) else ():
            if isinstance(name, str) and name not in value:
                return f'{place} has no "{name[:_SHOWN_CHARS]}"'
        others = None if "patternProperties" in schema else schema.get("additionalProperties")
        for name, member in value.items():
            found = self.problem(member, kinds.get(name, others), f"{place}.{name[:_SHOWN_CHARS]}")
            if found is not None:
                return found
        return None

    def _of_choices(self, value: JsonValue, schema: JsonObject, place: str) -> str | None:
        for name, most in (("anyOf", None), ("oneOf", 1), ("allOf", None)):
            choices = schema.get(name)
            if not isinstance(choices, list) or not choices:
                continue
            found = [self.problem(value, choice, place) for choice in choices]
            kept = found.count(None)
            if name == "allOf" and kept < len(found):
                return next(each for each in found if each is not None)
            if not kept or (most is not None and kept > most):
                return f'{place} is {_shown(value)}, which keeps to {kept} of its "{name}"'
        return None


def _is_number(value: JsonValue) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_kind(value: JsonValue, kind: JsonValue) -> bool:
    match kind:
        case "object":
            return is_object(value)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "number":
            return _is_number(value)
        case "integer":
            return _is_number(value) and (isinstance(value, int) or value.is_integer())
        case _:
            return True


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two values are the same JSON: true is not 1, and 1.0 is."""
    if _is_number(one) and _is_number(other):
        return one == other
    return type(one) is type(other) and one == other


def _characters(value: JsonValue) -> int | None:
    return len(value) if isinstance(value, str) else None


def _items(value: JsonValue) -> int | None:
    return len(value) if isinstance(value, list) else None


def _members(value: JsonValue) -> int | None:
    return len(value) if is_object(value) else None


def _amount(value: JsonValue) -> int | float | None:
    return value if _is_number(value) else None


def _shown(value: JsonValue) -> str:
    text = encode(value).decode("utf-8", "replace")
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


_Measure = Callable[[JsonValue], "int | float | None"]
_Keeps = Callable[["int | float", "int | float"], bool]
_RANGES: Mapping[str, tuple[_Measure, _Keeps]] = {
    "minLength": (_characters, lambda size, limit: size >= limit),
    "maxLength": (_characters, lambda size, limit: size <= limit),
    "minItems": (_items, lambda size, limit: size >= limit),
    "maxItems": (_items, lambda size, limit: size <= limit),
    "minProperties": (_members, lambda size, limit: size >= limit),
    "maxProperties": (_members, lambda size, limit: size <= limit),
    "minimum": (_amount, lambda size, limit: size >= limit),
    "maximum": (_amount, lambda size, limit: size <= limit),
    "exclusiveMinimum": (_amount, lambda size, limit: size > limit),
    "exclusiveMaximum": (_amount, lambda size, limit: size < limit),
}
