"""Anthropic's Messages: reading the fields that we own from a request and writing the upstream's request.

Source: Anthropic API reference, "Create a message" and "Count tokens in a message" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from headrace.domain.call import Call, Envelope
from headrace.domain.catalog import Capability
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import Quantities, UnitClass
from headrace.wire.json_strict import is_object
from headrace.wire.media import TEXT_SOURCES, media_in
from headrace.wire.openai_chat import optional_bool, optional_int, required_text, show
from headrace.wire.tool_checks import check_message_results, check_message_tools

MAX_CAP = 2**31 - 1
SEARCH_TOOL = "web_search_"
# Held where the caller sets no max_uses: the provider sets no limit then. More is booked in full and flagged.
MOST_SEARCHES = 20
NOT_PROMPT = ("model", "max_tokens", "stream", "metadata")
_ROLES = ("user", "assistant", "system")


def read_envelope(body: JsonObject, body_bytes: int) -> Envelope:
    """Return what we must understand of a Messages request; raises InvalidRequest naming the field that is wrong."""
    if body.get("max_tokens") is None:
        raise InvalidRequest('"max_tokens" is required: how many tokens the answer may have.', param="max_tokens")
    return read_translated_envelope(body, body_bytes)


def read_translated_envelope(body: JsonObject, body_bytes: int) -> Envelope:
    """Return the same of a request that another dialect became: it may have no cap yet."""
    needs = _needs(body, read_messages(body))
    return Envelope(
        model=required_text(body, "model"),
        stream=optional_bool(body, "stream"),
        include_usage=True,
        output_cap=optional_int(body, "max_tokens", 0, MAX_CAP),
        choices=1,
        needs=needs,
        body_bytes=body_bytes,
        media=media_in(body.get("messages"), needs),
        units=_searches(body.get("tools")),
    )


def read_messages(body: JsonObject) -> list[JsonObject]:
    """Return the messages, each an object with a role and content; raises InvalidRequest naming the one that is not."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest('"messages" must be a non-empty array of messages.', param="messages")
    for index, message in enumerate(messages):
        param = f"messages[{index}]"
        if not is_object(message) or message.get("role") not in _ROLES:
            raise InvalidRequest(
                f'"{param}" must be an object with the "role" user or assistant, not {show(message)}.', param=param
            )
        read_blocks(message.get("content"), f"{param}.content")
    return cast("list[JsonObject]", messages)


def read_blocks(content: JsonValue, param: str) -> list[JsonObject]:
    """Return content as blocks, a string as one text block; raises InvalidRequest naming what is neither."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise InvalidRequest(f'"{param}" must be a string or an array of blocks, not {show(content)}.', param=param)
    for index, block in enumerate(content):
        if not is_object(block) or not isinstance(block.get("type"), str):
            raise InvalidRequest(
                f'"{param}[{index}]" must be an object with a "type", not {show(block)}.', param=f"{param}[{index}]"
            )
    return cast("list[JsonObject]", content)


def output_schema(body: JsonObject) -> tuple[str, JsonObject] | None:
    """Return the format that the answer must have and the name of its field, or None when none is asked for."""
    config = body.get("output_config")
    if config is not None and not is_object(config):
        raise InvalidRequest(f'"output_config" must be an object, not {show(config)}.', param="output_config")
    name, given = "output_format", body.get("output_format")
    if is_object(config) and config.get("format") is not None:
        name, given = "output_config.format", config["format"]
    if given is None:
        return None
    if not is_object(given) or given.get("type") != "json_schema" or not is_object(given.get("schema")):
        raise InvalidRequest(
            f'"{name}" must be an object with the "type" json_schema and a "schema", not {show(given)}.', param=name
        )
    return name, given


def upstream_fields(call: Call, model_name: str, default_cap: int) -> JsonObject:
    """Return the upstream's request: the caller's body with the model renamed and the output cap that holds for it."""
    fields = dict(call.body)
    fields["model"] = model_name
    cap = call.envelope.output_cap
    fields["max_tokens"] = default_cap if cap is None else cap
    return fields


def prompt_of(body: JsonObject) -> JsonObject:
    """Return what of a request a model reads as its prompt."""
    return {name: value for name, value in body.items() if name not in NOT_PROMPT}


def _needs(body: JsonObject, messages: list[JsonObject]) -> frozenset[Capability]:
    needs: set[Capability] = set()
    tools = body.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise InvalidRequest(f'"tools" must be an array, not {show(tools)}.', param="tools")
    if tools:
        check_message_tools(tools)
        needs.add(Capability.TOOLS)
        choice = _typed(body, "tool_choice")
        if choice is not None and choice not in ("auto", "none"):
            needs.add(Capability.TOOL_CHOICE)
    if output_schema(body) is not None:
        needs.add(Capability.JSON_SCHEMA)
    if _typed(body, "thinking") == "enabled":
        needs.add(Capability.REASONING)
    for index, message in enumerate(messages):
        needs.update(_content_needs(message.get("content"), f"messages[{index}].content"))
    check_message_results(messages)
    return frozenset(needs)


def _searches(tools: JsonValue) -> Quantities:
    """Return how often the upstream may search the web by itself."""
    given = tools if isinstance(tools, list) else []
    searching = [each for each in given if is_object(each) and str(each.get("type")).startswith(SEARCH_TOOL)]
    if not searching:
        return ()
    uses = [each.get("max_uses") for each in searching]
    most = sum(use if isinstance(use, int) and use > 0 else MOST_SEARCHES for use in uses)
    return ((UnitClass.SEARCH, most),)


def _typed(body: JsonObject, name: str) -> str | None:
    """Return the type of an object field, or None when it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    kind = value.get("type") if is_object(value) else None
    if not isinstance(kind, str):
        raise InvalidRequest(f'"{name}" must be an object with a "type", not {show(value)}.', param=name)
    return kind


def _content_needs(content: JsonValue, param: str) -> Iterator[Capability]:
    if isinstance(content, str):
        return
    for index, block in enumerate(read_blocks(content, param)):
        match block.get("type"):
            case "image":
                yield Capability.IMAGE_INPUT
            case "document":
                source = block.get("source")
                if not is_object(source) or source.get("type") not in TEXT_SOURCES:
                    yield Capability.FILE_INPUT
            case "tool_result" if block.get("content") is not None:
                yield from _content_needs(block.get("content"), f"{param}[{index}].content")
            case _:
                pass
