"""The form that a request asks its answer's text to have, and what is wrong with a text that has not.

A schema that need not be kept to (OpenAI's `strict` left out or false) asks for JSON only; Messages has no other than
strict ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from headrace.domain.call import Call, Dialect, Operation
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import output_schema
from headrace.wire.json_schema import schema_problem
from headrace.wire.json_strict import decode_trusted, is_object

_FORMS = ("json_object", "json_schema")


@dataclass(frozen=True, slots=True)
class Shape:
    """JSON, of a schema where there is one."""

    schema: JsonObject | None = None

    def problem(self, text: str) -> str | None:
        """Return what is wrong with a text, or None when it has the form."""
        try:
            value = decode_trusted(text.encode())
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return f"it is not JSON: {error}"
        return None if self.schema is None else schema_problem(value, self.schema)


def asked_shape(call: Call) -> Shape | None:
    """Return the form that a caller asks for in its own dialect, or None where any text will do."""
    if call.operation is not Operation.CHAT:
        return None
    body = call.body
    if call.dialect is Dialect.MESSAGES:
        found = output_schema(dict(body)) if "output_config" in body or "output_format" in body else None
        return None if found is None else Shape(_object(found[1].get("schema")))
    if call.dialect is Dialect.RESPONSES:
        text = body.get("text")
        form = text.get("format") if is_object(text) else None
        return _openai_shape(form, form)
    form = body.get("response_format")
    return _openai_shape(form, form.get("json_schema") if is_object(form) else None)


def _openai_shape(form: JsonValue, holder: JsonValue) -> Shape | None:
    if not is_object(form) or form.get("type") not in _FORMS:
        return None
    is_strict = form["type"] == "json_schema" and is_object(holder) and holder.get("strict") is True
    return Shape(_object(holder.get("schema")) if is_strict and is_object(holder) else None)


def _object(value: JsonValue) -> JsonObject | None:
    return value if is_object(value) else None
