"""OpenAI chat completions: reading the fields that we own from a request and writing the upstream's request.

Source: OpenAI API reference, "Create chat completion" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from headrace.domain.call import Call, Envelope
from headrace.domain.catalog import Capability
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Quantities
from headrace.wire.json_strict import encode, is_object
from headrace.wire.media import media_in
from headrace.wire.tool_checks import check_chat_results, check_chat_tools

MAX_CHOICES = 128
MAX_NAME_CHARS = 256
CAP_FIELDS = ("max_completion_tokens", "max_tokens")
OTHER_CAPS = ("n_predict", "n_cmpl")
_PART_NEEDS: Mapping[str, Capability] = {
    "image_url": Capability.IMAGE_INPUT,
    "input_audio": Capability.AUDIO_INPUT,
    "file": Capability.FILE_INPUT,
}
_FORMAT_NEEDS: Mapping[str, Capability] = {"json_object": Capability.JSON_OBJECT, "json_schema": Capability.JSON_SCHEMA}


def read_envelope(body: JsonObject, body_bytes: int) -> Envelope:
    """Return what we must understand of a chat request; raises InvalidRequest naming the field that is wrong."""
    stream = optional_bool(body, "stream")
    needs = _needs(body, _messages(body))
    return Envelope(
        model=required_text(body, "model"),
        stream=stream,
        include_usage=include_usage(body, stream),
        output_cap=_output_cap(body),
        choices=optional_int(body, "n", 1, MAX_CHOICES) or 1,
        needs=needs,
        body_bytes=body_bytes,
        media=media_in(body.get("messages"), needs),
        predicted_tokens=_predicted_tokens(body),
    )


def upstream_fields(call: Call, model_name: str, default_cap: int, cap_field: str) -> JsonObject:
    """Return a copy of the caller's body with the owned fields rewritten: model, output cap, usage in streams.

    The cap goes out under the one name that the upstream heeds: a cap that it ignores would be no bound.
    """
    fields = {name: value for name, value in call.body.items() if name not in CAP_FIELDS}
    fields["model"] = model_name
    cap = call.envelope.output_cap
    fields[cap_field] = default_cap if cap is None else cap
    if call.envelope.stream:
        options = fields.get("stream_options")
        fields["stream_options"] = {**(options if is_object(options) else {}), "include_usage": True}
    return fields


def upstream_body(call: Call, model_name: str, default_cap: int, cap_field: str) -> bytes:
    """Return the upstream's request body as JSON."""
    return encode(upstream_fields(call, model_name, default_cap, cap_field))


def whole_envelope(body: JsonObject, body_bytes: int, choices: int = 1, units: Quantities = ()) -> Envelope:
    """Return the envelope of an operation that is neither streamed nor capped and needs nothing of its model."""
    return Envelope(
        model=required_text(body, "model"),
        stream=False,
        include_usage=False,
        output_cap=None,
        choices=choices,
        needs=frozenset(),
        body_bytes=body_bytes,
        units=units,
    )


def required_text(body: JsonObject, name: str) -> str:
    """Return a required non-empty string field."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f'"{name}" must be a non-empty string, not {show(value)}.', param=name)
    if len(value) > MAX_NAME_CHARS:
        raise InvalidRequest(f'"{name}" is longer than {MAX_NAME_CHARS} characters: {show(value)}.', param=name)
    return value


def optional_bool(body: JsonObject, name: str) -> bool:
    """Return a boolean field; absent and null are false."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidRequest(f'"{name}" must be true or false, not {show(value)}.', param=name)
    return value


def optional_int(body: JsonObject, name: str, least: int, most: int) -> int | None:
    """Return an integer field within its range, or None when it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidRequest(f'"{name}" must be an integer from {least} to {most}, not {show(value)}.', param=name)
    return value


def show(value: JsonValue) -> str:
    """Return a value short enough for an error message."""
    text = encode(value).decode("utf-8", "replace")
    return text if len(text) <= 60 else text[:57] + "…"


def _messages(body: JsonObject) -> list[JsonObject]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest('"messages" must be a non-empty array of messages.', param="messages")
    for index, message in enumerate(messages):
        if not is_object(message) or not isinstance(message.get("role"), str):
            raise InvalidRequest(
                f'"messages[{index}]" must be an object with a "role", not {show(message)}.', param=f"messages[{index}]"
            )
    return cast("list[JsonObject]", messages)


def _output_cap(body: JsonObject) -> int | None:
    for other in OTHER_CAPS:
        if body.get(other) is not None:
            raise InvalidRequest(f'"{other}" would pass by the output cap; send "max_tokens" or "n".', param=other)
    caps = {name: optional_int(body, name, 1, 2**31 - 1) for name in CAP_FIELDS}
    given = {cap for cap in caps.values() if cap is not None}
    if len(given) > 1:
        raise InvalidRequest(
            '"max_tokens" and "max_completion_tokens" differ; send one of them.', param="max_completion_tokens"
        )
    return given.pop() if given else None


def _predicted_tokens(body: JsonObject) -> int:
    """Return the most tokens of a prediction: what the answer does not follow of it is billed as output all the same.

    Source: OpenAI API reference, "Chat completion object", rejected_prediction_tokens (read 2026-11-24).
    """
    prediction = body.get("prediction")
    if prediction is None:
        return 0
    if not is_object(prediction):
        raise InvalidRequest(f'"prediction" must be an object, not {show(prediction)}.', param="prediction")
    return len(encode(prediction.get("content")))


def include_usage(body: JsonObject, stream: bool) -> bool:
    """Return whether the caller of a stream asked for usage; raises InvalidRequest without a stream."""
    options = body.get("stream_options")
    if options is None:
        return False
    if not is_object(options):
        raise InvalidRequest(f'"stream_options" must be an object, not {show(options)}.', param="stream_options")
    if not stream:
        raise InvalidRequest('"stream_options" is only allowed with "stream": true.', param="stream_options")
    return optional_bool(options, "include_usage")


def _needs(body: JsonObject, messages: list[JsonObject]) -> frozenset[Capability]:
    needs: set[Capability] = set()
    check_chat_results(messages)
    tools = _array(body, "tools")
    check_chat_tools(tools)
    if tools or _array(body, "functions"):
        needs.add(Capability.TOOLS)
        if body.get("tool_choice") not in (None, "auto", "none"):
            needs.add(Capability.TOOL_CHOICE)
    response_format = body.get("response_format")
    if response_format is not None:
        if not is_object(response_format) or not isinstance(response_format.get("type"), str):
            raise InvalidRequest('"response_format" must be an object with a "type".', param="response_format")
        needs.update(_need for name, _need in _FORMAT_NEEDS.items() if response_format["type"] == name)
    if optional_bool(body, "logprobs"):
        needs.add(Capability.LOGPROBS)
    if (optional_int(body, "n", 1, MAX_CHOICES) or 1) > 1:
        needs.add(Capability.MULTIPLE_CHOICES)
    for index, message in enumerate(messages):
        needs |= _content_needs(message.get("content"), f"messages[{index}].content")
    return frozenset(needs)


def _content_needs(content: JsonValue, param: str) -> set[Capability]:
    if content is None or isinstance(content, str):
        return set()
    if not isinstance(content, list):
        raise InvalidRequest(f'"{param}" must be a string or an array of parts, not {show(content)}.', param=param)
    kinds: set[str] = set()
    for part in content:
        kind = part.get("type") if is_object(part) else None
        if not isinstance(kind, str):
            raise InvalidRequest(f'Every part of "{param}" must be an object with a "type".', param=param)
        kinds.add(kind)
    return {need for name, need in _PART_NEEDS.items() if name in kinds}


def _array(body: JsonObject, name: str) -> list[JsonValue]:
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest(f'"{name}" must be an array, not {show(value)}.', param=name)
    return value
