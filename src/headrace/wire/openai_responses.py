"""OpenAI's Responses dialect: reading the fields that we own from a request and writing the upstream's request.

Conversation state is ours, never an upstream's: an upstream is asked not to store, and sees the whole input.
Source: OpenAI API reference, "Create a model response" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from headrace.domain.call import Call, Envelope
from headrace.domain.catalog import Capability
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object
from headrace.wire.media import media_in
from headrace.wire.openai_chat import optional_bool, optional_int, required_text, show
from headrace.wire.tool_checks import check_response_tools

MAX_TOKENS = 2**31 - 1
MAX_TOP_LOGPROBS = 20
LOGPROBS_INCLUDED = "message.output_text.logprobs"
SEALED_REASONING = "reasoning.encrypted_content"
_PROMPT = ("input", "instructions", "text", "tools")
_PART_NEEDS: Mapping[str, Capability] = {
    "input_image": Capability.IMAGE_INPUT,
    "input_audio": Capability.AUDIO_INPUT,
    "input_file": Capability.FILE_INPUT,
}
_FORMAT_NEEDS: Mapping[str, Capability] = {"json_object": Capability.JSON_OBJECT, "json_schema": Capability.JSON_SCHEMA}
# Outputs of other items are their tools' own.
_WITH_PARTS = ("message", "function_call_output", "custom_tool_call_output")
# Only we know these: the state that they name was expanded before the request leaves.
_OURS = ("previous_response_id", "background")


def read_envelope(body: JsonObject, body_bytes: int) -> Envelope:
    """Return what we must understand of a Responses request; raises InvalidRequest naming the field."""
    check_types(body)
    stream = optional_bool(body, "stream")
    if body.get("stream_options") is not None and not stream:
        raise InvalidRequest('"stream_options" is only allowed with "stream": true.', param="stream_options")
    needs = _needs(body)
    return Envelope(
        model=required_text(body, "model"),
        stream=stream,
        include_usage=True,
        output_cap=optional_int(body, "max_output_tokens", 1, MAX_TOKENS),
        choices=1,
        needs=needs,
        body_bytes=body_bytes,
        media=media_in(body.get("input"), needs),
    )


def check_types(body: JsonObject) -> None:
    """Raise InvalidRequest for a field that is not of its type, work in the background and others' conversations."""
    if optional_bool(body, "background"):
        raise InvalidRequest(
            '"background" is not served: leave it out and read the answer from this call.',
            code="unsupported_field",
            param="background",
        )
    if body.get("conversation") is not None:
        raise InvalidRequest(
            '"conversation" names what a provider keeps; conversations are kept here. Continue one by '
            '"previous_response_id".',
            code="unsupported_field",
            param="conversation",
        )
    for name in ("store", "parallel_tool_calls"):
        optional_bool(body, name)
    for name in ("instructions", "previous_response_id"):
        value = body.get(name)
        if value is not None and not isinstance(value, str):
            raise InvalidRequest(f'"{name}" must be a string, not {show(value)}.', param=name)
    for name in ("text", "reasoning", "metadata", "stream_options"):
        value = body.get(name)
        if value is not None and not is_object(value):
            raise InvalidRequest(f'"{name}" must be an object, not {show(value)}.', param=name)
    for name in ("tools", "include"):
        value = body.get(name)
        if value is not None and not isinstance(value, list):
            raise InvalidRequest(f'"{name}" must be an array, not {show(value)}.', param=name)


def input_items(body: JsonObject) -> list[JsonObject]:
    """Return the input as items; a plain string is one message of the user. Raises InvalidRequest."""
    given = body.get("input")
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise InvalidRequest('"input" must be a string or a non-empty array of items.', param="input")
    for index, item in enumerate(given):
        if not is_object(item) or not isinstance(item.get("type", "message"), str):
            raise InvalidRequest(
                f'"input[{index}]" must be an object with a "type", not {show(item)}.', param=f"input[{index}]"
            )
    return cast("list[JsonObject]", given)


def prompt_of(body: JsonObject, items: list[JsonValue]) -> JsonObject:
    """Return what of a request a model reads as its prompt, with these items in place of its input."""
    given = {name: body[name] for name in _PROMPT if body.get(name) is not None}
    return {**given, "input": items}


def item_type(item: JsonObject) -> str:
    """Return the kind of an item; a message need not say that it is one."""
    kind = item.get("type", "message")
    return kind if isinstance(kind, str) else "message"


def upstream_fields(call: Call, model_name: str, default_cap: int, capabilities: frozenset[Capability]) -> JsonObject:
    """Return the upstream's request: model and output cap rewritten, nothing stored there, our state left out.

    A reasoning model is asked for sealed reasoning, without which a later turn could not carry it.
    """
    fields = {name: value for name, value in call.body.items() if name not in _OURS}
    fields["model"] = model_name
    fields["store"] = False
    cap = call.envelope.output_cap
    fields["max_output_tokens"] = default_cap if cap is None else cap
    if Capability.REASONING in capabilities:
        include = fields.get("include")
        asked = include if isinstance(include, list) else []
        fields["include"] = asked if SEALED_REASONING in asked else [*asked, SEALED_REASONING]
    return fields


def drop_bare_reasoning(fields: JsonObject) -> tuple[str, ...]:
    """Leave out reasoning that an upstream which keeps nothing could not find, and return what was dropped."""
    given = fields.get("input")
    items = given if isinstance(given, list) else []
    kept = [item for item in items if not _is_bare_reasoning(item)]
    if len(kept) == len(items):
        return ()
    fields["input"] = kept
    return ("input.reasoning",)


def _is_bare_reasoning(item: JsonValue) -> bool:
    """Whether an item is but a reference to reasoning that the upstream did not keep."""
    return (
        is_object(item)
        and item.get("type") == "reasoning"
        and not item.get("encrypted_content")
        and not item.get("content")
    )


def _needs(body: JsonObject) -> frozenset[Capability]:
    needs: set[Capability] = set()
    if body.get("tools"):
        check_response_tools(body["tools"])
        needs.add(Capability.TOOLS)
        if body.get("tool_choice") not in (None, "auto", "none"):
            needs.add(Capability.TOOL_CHOICE)
    text = body.get("text")
    shape = text.get("format") if is_object(text) else None
    if shape is not None:
        if not is_object(shape) or not isinstance(shape.get("type"), str):
            raise InvalidRequest('"text.format" must be an object with a "type".', param="text.format")
        needs.update(need for name, need in _FORMAT_NEEDS.items() if shape["type"] == name)
    if wants_logprobs(body):
        needs.add(Capability.LOGPROBS)
    for index, item in enumerate(input_items(body)):
        needs |= _item_needs(item, index)
    return frozenset(needs)


def wants_logprobs(body: JsonObject) -> bool:
    """Whether log probabilities are asked for, by their number or by `include`."""
    include = body.get("include")
    asked = isinstance(include, list) and LOGPROBS_INCLUDED in include
    return asked or bool(optional_int(body, "top_logprobs", 0, MAX_TOP_LOGPROBS))


def _item_needs(item: JsonObject, index: int) -> set[Capability]:
    if item_type(item) == "message":
        param = f"input[{index}].content"
        if not isinstance(item.get("role"), str):
            raise InvalidRequest(f'"input[{index}]" is a message without a "role".', param=f"input[{index}].role")
        content = item.get("content")
        if not isinstance(content, str | list):
            raise InvalidRequest(f'"{param}" must be a string or an array of parts, not {show(content)}.', param=param)
    else:
        param, content = f"input[{index}].output", item.get("output")
    parts = content if isinstance(content, list) else []
    needs: set[Capability] = set()
    for part in parts:
        kind = part.get("type") if is_object(part) else None
        if not isinstance(kind, str):
            if item_type(item) not in _WITH_PARTS:
                continue
            raise InvalidRequest(f'Every part of "{param}" must be an object with a "type".', param=param)
        if kind in _PART_NEEDS:
            needs.add(_PART_NEEDS[kind])
    return needs
