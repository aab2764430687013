"""What a question about routing asks: a request in any dialect, and the draft of a router beside it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.domain.call import Dialect
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router_draft import RouterDraft
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import show
from headrace.wire.router_json import read_draft

DIALECT, DRAFT = "dialect", "router"
DRAFT_NAME = "router:draft"
_BLOCKS = frozenset({"tool_use", "tool_result", "thinking"})
_KNOWN: Mapping[str, Dialect] = MappingProxyType({each.value: each for each in Dialect})


def take_draft(body: JsonObject) -> RouterDraft | None:
    """Take `router` out of the body and return it; the body then names the draft. Raises InvalidRequest."""
    value = body.pop(DRAFT, None)
    if value is None:
        return None
    if not is_object(value):
        raise InvalidRequest(
            f'"{DRAFT}" must be an object with policies and fallback_models, as a router is made, not {show(value)}.',
            param=DRAFT,
        )
    body["model"] = DRAFT_NAME
    try:
        return read_draft(value)
    except InvalidRequest as error:
        error.param = f"{DRAFT}.{error.param}"
        raise


def take_dialect(body: JsonObject, *, speaks_messages: bool) -> Dialect:
    """Take `dialect` out of the body and return it; without one, the dialect whose shape the body has.

    Chat completions and Messages share most of their fields: a system prompt of its own, blocks or tools that only
    Messages have, or its headers tell.
    """
    value = body.pop(DIALECT, None)
    if isinstance(value, str) and value in _KNOWN:
        return _KNOWN[value]
    if value is not None:
        known = ", ".join(f'"{each}"' for each in _KNOWN)
        raise InvalidRequest(f'"{DIALECT}" must be one of {known}, not {show(value)}.', param=DIALECT)
    if "messages" not in body and ("input" in body or "previous_response_id" in body):
        return Dialect.RESPONSES
    is_messages = (
        speaks_messages or "system" in body or _has_blocks(body.get("messages")) or _has_tools(body.get("tools"))
    )
    return Dialect.MESSAGES if is_messages else Dialect.CHAT


def _has_blocks(messages: JsonValue) -> bool:
    return any(
        each.get("type") in _BLOCKS for message in _objects(messages) for each in _objects(message.get("content"))
    )


def _has_tools(tools: JsonValue) -> bool:
    return any("input_schema" in each for each in _objects(tools))


def _objects(value: JsonValue) -> list[JsonObject]:
    return [each for each in value if is_object(each)] if isinstance(value, list) else []
