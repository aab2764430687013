"""Items of a conversation as the list of a response's input shows them: with every field that the types demand.

Source: OpenAI API reference, "List input items" (read 2026-11-28), and the schema of Open Responses of 2026-04-24.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object

_PREFIXES: Mapping[str, str] = {"message": "msg", "reasoning": "rs", "function_call": "fc"}
_WITH_STATUS = frozenset({"message", "function_call", "function_call_output"})


def listed_item(item: JsonValue, index: int) -> JsonObject:
    """Return an item with an id, a type and a status, and a message's content in parts."""
    given = item if is_object(item) else {}
    kind = str(given.get("type", "message"))
    listed: JsonObject = {"id": f"{_PREFIXES.get(kind, 'item')}_input_{index}", "type": kind, **given}
    if kind in _WITH_STATUS and listed.get("status") is None:
        listed["status"] = "completed"
    if kind == "message":
        listed["content"] = _parts(listed.get("content"), is_output=listed.get("role") == "assistant")
    elif isinstance(listed.get("output"), list):
        listed["output"] = _parts(listed["output"], is_output=False)
    return listed


def _parts(content: JsonValue, *, is_output: bool) -> JsonValue:
    if isinstance(content, str):
        content = [{"type": "output_text" if is_output else "input_text", "text": content}]
    return [_part(each) for each in content] if isinstance(content, list) else content


def _part(part: JsonValue) -> JsonValue:
    if not is_object(part):
        return part
    match part.get("type"):
        case "output_text":
            return {"annotations": [], "logprobs": [], **part}
        case "input_image":
            return {"detail": "auto", **part}
        case _:
            return part
