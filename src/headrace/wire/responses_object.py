"""The response object of OpenAI's Responses dialect as we write it: what the request asked for, said back.

Source: OpenAI API reference, "The response object" (read 2026-11-24).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object

MAX_ID_CHARS = 48
_NOT_ID = re.compile(r"[^A-Za-z0-9_-]")
_ECHOED: Mapping[str, JsonValue] = {
    "background": False,
    "frequency_penalty": 0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "temperature": 1,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1,
    "truncation": "disabled",
}


def id_stem(upstream_id: JsonValue) -> str:
    """Return the part of an upstream's id from which ids of this dialect are made."""
    text = upstream_id if isinstance(upstream_id, str) else ""
    stem = re.sub(r"^(chatcmpl|msg|resp|gen)[-_]", "", text)
    return _NOT_ID.sub("", stem)[:MAX_ID_CHARS] or "0"


def response_head(request: JsonObject, stem: str, created_at: int, model: str) -> JsonObject:
    """Return a response in progress without output: its identity and what the request asked for."""
    return {
        "id": f"resp_{stem}",
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "model": model,
        "output": [],
        **said_back(request),
    }


def said_back(request: JsonObject) -> JsonObject:
    """Return what a response says of its request, and of its own state as long as there is nothing to say."""
    given: JsonObject = {name: value for name, value in request.items() if value is not None}
    return {
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        **{name: given.get(name, default) for name, default in _ECHOED.items()},
        "reasoning": _reasoning(given.get("reasoning")),
        "service_tier": "default",
        "store": given.get("store") is True,
        "text": _text(given.get("text")),
        "tools": _tools(given.get("tools")),
        "usage": None,
        **({"user": given["user"]} if "user" in given else {}),
    }


def _reasoning(value: JsonValue) -> JsonObject:
    given = value if is_object(value) else {}
    return {"effort": given.get("effort"), "summary": given.get("summary")}


def _text(value: JsonValue) -> JsonObject:
    given = {name: each for name, each in value.items() if each is not None} if is_object(value) else {}
    return {**given, "format": _format(given.get("format"))}


def _format(value: JsonValue) -> JsonValue:
    if is_object(value) and value.get("type") == "json_schema":
        given = {name: each for name, each in value.items() if each is not None}
        return {"description": None, "strict": False, **given}
    return {"type": "text"} if value is None else value


def _tools(value: JsonValue) -> list[JsonValue]:
    return [_tool(tool) for tool in value] if isinstance(value, list) else []


def _tool(tool: JsonValue) -> JsonValue:
    if not is_object(tool) or tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": False, **tool}
