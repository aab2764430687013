"""The provider behind the compatibility suite: it answers what is asked of it, in the dialect that it is asked in."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

from headrace.testing.anthropic_replies import Message, obedient_messages
from headrace.testing.obedient import obedient_answer, obedient_chat, obedient_response
from headrace.testing.openai_replies import Chat, ToolCall
from headrace.testing.script import Reply, UpstreamRequest
from tests.compatibility.probe import ASK_BOTH, ASK_WHY, PIXEL, SEEN, THOUGHT

OBJECT = '{"city":"Oslo","warm":false}'
JSON_FORMATS = frozenset({"json_schema", "json_object"})
RESULTS = frozenset({"tool", "tool_result", "function_call_output"})


def provider(request: UpstreamRequest) -> Reply:
    """Answer one request: a tool call when tools are offered, an object when a schema is, words otherwise."""
    chat = chat_for(dict(request.fields))
    if request.path.endswith("/chat/completions"):
        return obedient_chat(request, chat)
    if request.path.endswith("/responses"):
        return obedient_response(request, chat)
    if request.path.endswith("/messages"):
        stop = "tool_use" if chat.tool_calls else "end_turn"
        signature = "c2lnbmVk" if chat.reasoning else ""
        told = Message(chat.text, tool_uses=chat.tool_calls, stop_reason=stop)
        return obedient_messages(request, replace(told, thinking=chat.reasoning, signature=signature))
    return obedient_answer(request)


def chat_for(fields: dict[str, Any]) -> Chat:
    """Return what is said to these fields."""
    text = json.dumps(fields, ensure_ascii=False)
    if fields.get("tools") and not has_results(fields):
        return Chat("", tool_calls=calls_for(fields, text), finish_reason="tool_calls")
    if asks_for_an_object(fields):
        return Chat(OBJECT)
    if ASK_WHY in text:
        return Chat(reasoning=THOUGHT)
    return Chat(SEEN) if PIXEL in text else Chat()


def calls_for(fields: dict[str, Any], text: str) -> tuple[ToolCall, ...]:
    """Return calls of the first tool; a tool that is no `get_weather` is a client's way to get an object."""
    first = fields["tools"][0]
    name = str((first.get("function") or first)["name"])
    if name != "get_weather":
        return (ToolCall("call_a", name, OBJECT),)
    cities = ("Oslo", "Rome") if ASK_BOTH in text else ("Oslo",)
    return tuple(
        ToolCall(f"call_{letter}", name, json.dumps({"city": city}), piece_characters=5)
        for letter, city in zip("ab", cities, strict=False)
    )


def has_results(value: Any) -> bool:
    """Tell whether a conversation holds the result of a tool, in any dialect's shape."""
    if isinstance(value, list):
        turns = cast("list[Any]", value)
        return any(has_results(each) for each in turns)
    if not isinstance(value, dict):
        return False
    fields = cast("dict[str, Any]", value)
    inside = (fields.get(name) for name in ("messages", "input", "content"))
    return bool(RESULTS & {fields.get("role"), fields.get("type")}) or any(has_results(each) for each in inside)


def asks_for_an_object(fields: dict[str, Any]) -> bool:
    """Tell whether an answer of a schema is asked for, in any dialect's shape."""
    text: Any = fields.get("text")
    output: Any = fields.get("output_config")
    inside: tuple[Any, ...] = (text and text.get("format"), output and output.get("format"))
    places = (fields.get("response_format"), fields.get("output_format"), *inside)
    return any(bool(each) and each.get("type") in JSON_FORMATS for each in places)
