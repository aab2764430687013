"""Chat messages as input items of the Responses dialect; fields beside the messages are chat_to_responses'."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.dialect_fields import left_of
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import show
from headrace.wire.sealed_reasoning import items_of_blocks

_ROLES = ("user", "system", "developer")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking_blocks")
_MESSAGE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "assistant": ("role", "content", "refusal", "tool_calls", *_THOUGHTS),
    "tool": ("role", "content", "tool_call_id"),
}
_PART_FIELDS: Mapping[str, tuple[str, ...]] = {
    "image_url": ("url", "detail"),
    "file": ("file_data", "file_id", "filename"),
}


def response_items(body: JsonObject) -> tuple[list[JsonValue], tuple[str, ...]]:
    """Return the input items of a chat request and what was dropped; raises InvalidRequest naming the message."""
    items: list[JsonValue] = []
    dropped: set[str] = set()
    called: set[str] = set()
    messages = body.get("messages")
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        param = f"messages[{index}]"
        if not is_object(message):
            raise InvalidRequest(f'"{param}" must be an object, not {show(message)}.', param=param)
        items += _items(message, param, called, dropped)
    return items, tuple(sorted(dropped))


def _items(message: JsonObject, param: str, called: set[str], dropped: set[str]) -> list[JsonObject]:
    role = message.get("role")
    left = left_of(message, _MESSAGE_FIELDS.get(str(role), ("role", "content")), "messages")
    dropped.update(name for name in left if name != "messages.annotations" or message["annotations"])
    if role == "assistant":
        return _answer(message, param, called, dropped)
    if role == "tool":
        return [_tool_result(message, param, called, dropped)]
    if role not in _ROLES:
        raise InvalidRequest(
            f'"{param}.role" must be one of {", ".join(_ROLES)}, assistant, tool, not {show(role)}.',
            code="unsupported_field" if role == "function" else None,
            param=f"{param}.role",
        )
    content = _content(message.get("content"), f"{param}.content", dropped)
    return [{"type": "message", "role": role, "content": content}]


def _answer(message: JsonObject, param: str, called: set[str], dropped: set[str]) -> list[JsonObject]:
    for name in ("audio", "function_call"):
        if message.get(name) is not None:
            raise _no_place(f"{param}.{name}")
    items = items_of_blocks(message.get("thinking_blocks"))
    if not items:
        # Reasoning without the provider's own seal means nothing to it.
        dropped.update(f"messages.{name}" for name in _THOUGHTS if message.get(name))
    parts = _answer_parts(message, f"{param}.content", dropped)
    if parts:
        items.append({"type": "message", "role": "assistant", "content": parts})
    calls = message.get("tool_calls")
    for index, call in enumerate(calls if isinstance(calls, list) else ()):
        items.append(_call(call, f"{param}.tool_calls[{index}]", called, dropped))
    return items


def _answer_parts(message: JsonObject, param: str, dropped: set[str]) -> list[JsonValue]:
    content, refusal = message.get("content"), message.get("refusal")
    given = content if isinstance(content, list) else []
    parts: list[JsonValue] = []
    if isinstance(content, str) and content:
        parts.append({"type": "output_text", "text": content, "annotations": []})
    for index, part in enumerate(given):
        kind = part.get("type") if is_object(part) else None
        if is_object(part) and kind == "text":
            parts.append({"type": "output_text", "text": part.get("text"), "annotations": []})
        elif is_object(part) and kind == "refusal":
            parts.append({"type": "refusal", "refusal": part.get("refusal")})
        else:
            raise _no_place(f"{param}[{index}].type")
        dropped.update(left_of(part, ("type", str(kind)), str(kind)))
    if isinstance(refusal, str) and refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    return parts


def _call(call: JsonValue, param: str, called: set[str], dropped: set[str]) -> JsonObject:
    function = call.get("function") if is_object(call) else None
    if not is_object(call) or not is_object(function):
        raise _no_place(f"{param}.type")
    call_id = call.get("id")
    if not isinstance(call_id, str) or not call_id:
        raise InvalidRequest(f'"{param}.id" must be a non-empty string.', param=f"{param}.id")
    called.add(call_id)
    dropped.update(left_of(call, ("id", "type", "function"), "tool_calls"))
    dropped.update(left_of(function, ("name", "arguments"), "tool_calls.function"))
    return {
        "type": "function_call",
        "call_id": call_id,
        "name": function.get("name"),
        "arguments": function.get("arguments"),
    }


def _tool_result(message: JsonObject, param: str, called: set[str], dropped: set[str]) -> JsonObject:
    call_id = message.get("tool_call_id")
    if not isinstance(call_id, str) or call_id not in called:
        raise InvalidRequest(
            f'"{param}" answers the call {show(call_id)}, which no message before it has made.',
            code="orphan_tool_result",
            param=f"{param}.tool_call_id",
        )
    return {
        "type": "function_call_output",
        "call_id": call_id,
        "output": _content(message.get("content"), f"{param}.content", dropped),
    }


def _content(value: JsonValue, param: str, dropped: set[str]) -> JsonValue:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise InvalidRequest(f'"{param}" must be a string or an array of parts, not {show(value)}.', param=param)
    return [_part(part, f"{param}[{index}]", dropped) for index, part in enumerate(value)]


def _part(part: JsonValue, param: str, dropped: set[str]) -> JsonObject:
    kind = str(part.get("type")) if is_object(part) else ""
    write = _PARTS.get(kind)
    if write is None or not is_object(part):
        raise _no_place(f"{param}.type")
    written = write(part, param)
    dropped.update(left_of(part, ("type", kind, "prompt_cache_breakpoint"), kind))
    if kind in _PART_FIELDS:
        dropped.update(left_of(part.get(kind), _PART_FIELDS[kind], kind))
    mark = part.get("prompt_cache_breakpoint")
    return written if mark is None else {**written, "prompt_cache_breakpoint": mark}


def _text_part(part: JsonObject, param: str) -> JsonObject:
    return {"type": "input_text", "text": part.get("text")}


def _image_part(part: JsonObject, param: str) -> JsonObject:
    image = part.get("image_url")
    if not is_object(image) or not isinstance(image.get("url"), str):
        raise InvalidRequest(f'"{param}.image_url" must be an object with a "url".', param=f"{param}.image_url")
    return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail") or "auto"}


def _file_part(part: JsonObject, param: str) -> JsonObject:
    file = part.get("file")
    given = file if is_object(file) else {}
    names = ("file_data", "file_id", "filename")
    return {"type": "input_file", **{name: given[name] for name in names if given.get(name) is not None}}


def _audio_part(part: JsonObject, param: str) -> JsonObject:
    return {"type": "input_audio", "input_audio": part.get("input_audio")}


_PARTS: Mapping[str, Callable[[JsonObject, str], JsonObject]] = {
    "text": _text_part,
    "image_url": _image_part,
    "file": _file_part,
    "input_audio": _audio_part,
}


def _no_place(param: str) -> InvalidRequest:
    return InvalidRequest(
        f'"{param}" cannot be served by this model: its provider has no such field.',
        code="unsupported_field",
        param=param,
    )
