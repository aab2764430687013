"""A provider's departures from OpenAI's chat request, applied to a copy of it; what they are is the catalog's data."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.catalog import Model, Quirks
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import CAP_FIELDS, show

_DEFAULTS: Mapping[str, JsonValue] = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "logit_bias": {},
}


def model_path(template: str, upstream_name: str) -> str:
    """Return a path with the model's name where the template wants it."""
    return template.replace("{model}", upstream_name)


def bend_request(fields: JsonObject, model: Model, quirks: Quirks) -> tuple[str, ...]:
    """Change the fields to what the provider takes and return the names of those that were dropped.

    Raises InvalidRequest naming a field that the model or the provider refuses. A refused field with its default
    value is left out: it means the same.
    """
    for name in sorted(quirks.refused_fields | model.refused_fields):
        _refuse(fields, name, model.id)
    dropped = [name for name in sorted(quirks.dropped_fields) if fields.pop(name, None) is not None]
    if quirks.dropped_message_fields:
        dropped += _drop_of_messages(fields, quirks.dropped_message_fields)
    if quirks.usage_unasked:
        options = fields.pop("stream_options", None)
        if is_object(options) and options.keys() - {"include_usage"}:
            dropped.append("stream_options")
    if quirks.cap_field is not None:
        _name_cap(fields, quirks.cap_field)
    for ours, theirs in quirks.renamed_fields.items():
        if ours in fields:
            fields[theirs] = fields.pop(ours)
    return tuple(dropped)


def _drop_of_messages(fields: JsonObject, names: frozenset[str]) -> list[str]:
    """Leave fields out of every message; the caller's own messages stay as they are."""
    messages = fields.get("messages")
    given = messages if isinstance(messages, list) else []
    if not any(is_object(each) and not names.isdisjoint(each) for each in given):
        return []
    said = {name for each in given if is_object(each) for name in names if each.get(name) is not None}
    fields["messages"] = [_without(each, names) for each in given]
    return [f"messages.{name}" for name in sorted(said)]


def _without(message: JsonValue, names: frozenset[str]) -> JsonValue:
    return {name: value for name, value in message.items() if name not in names} if is_object(message) else message


def _refuse(fields: JsonObject, name: str, model_id: str) -> None:
    value = fields.pop(name, None)
    if value is None:
        return
    default = _DEFAULTS.get(name)
    if default is None or value != default or isinstance(value, bool) is not isinstance(default, bool):
        only = "" if default is None else f" with another value than {show(default)}"
        raise InvalidRequest(
            f'"{model_id}" does not take "{name}"{only}; leave it out.', code="unsupported_by_model", param=name
        )


def _name_cap(fields: JsonObject, cap_field: str) -> None:
    caps = [fields.pop(name, None) for name in CAP_FIELDS]
    given = next((cap for cap in caps if cap is not None), None)
    if given is not None:
        fields[cap_field] = given
