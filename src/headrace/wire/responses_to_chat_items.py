"""Input items of the Responses dialect as chat messages; fields beside the input are responses_to_chat's.

Calls, reasoning and text of one assistant turn are several items here and one message in chat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object
from headrace.wire.openai_chat import show
from headrace.wire.openai_responses import input_items, item_type
from headrace.wire.responses_input import item_text, left_of_item, left_of_part, no_place
from headrace.wire.sealed_reasoning import open_blocks

_ROLES: Mapping[str, str] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}


def chat_messages(body: JsonObject) -> tuple[list[JsonValue], tuple[str, ...]]:
    """Return the messages of a request and what was dropped of its items; raises InvalidRequest naming the item."""
    writer = _MessageWriter()
    instructions = body.get("instructions")
    if isinstance(instructions, str) and instructions:
        writer.messages.append({"role": "system", "content": instructions})
    for index, item in enumerate(input_items(body)):
        writer.add(item, f"input[{index}]")
    writer.close_turn()
    return list[JsonValue](writer.messages), tuple(sorted(writer.dropped))


class _MessageWriter:
    """Gathers items into messages; `_turn` is the assistant's message that is not closed yet."""

    def __init__(self) -> None:
        self.messages: list[JsonObject] = []
        self.dropped: set[str] = set()
        self._turn: JsonObject | None = None
        self._calls: set[str] = set()

    def add(self, item: JsonObject, param: str) -> None:
        """Add one item; raises InvalidRequest for a kind that chat has no place for."""
        add: Mapping[str, Callable[[JsonObject, str], None]] = {
            "message": self._add_message,
            "function_call": self._add_call,
            "function_call_output": self._add_output,
            "reasoning": self._add_reasoning,
        }
        kind = item_type(item)
        if kind not in add:
            raise InvalidRequest(
                f'"{param}" is an item of type "{kind}", which this model\'s provider cannot take.',
                code="unsupported_field",
                param=f"{param}.type",
            )
        self.dropped.update(left_of_item(item, kind))
        add[kind](item, param)

    def close_turn(self) -> None:
        """Close the assistant's message, if one is open."""
        if self._turn is not None and len(self._turn) > 1:
            self.messages.append({"content": None, **self._turn} if "tool_calls" in self._turn else self._turn)
        self._turn = None

    def _add_message(self, item: JsonObject, param: str) -> None:
        role = item.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise InvalidRequest(
                f'"{param}.role" must be one of {", ".join(_ROLES)}, not {show(role)}.', param=f"{param}.role"
            )
        content = self._content(item.get("content"), f"{param}.content", is_answer=role == "assistant")
        if role != "assistant":
            self.close_turn()
            self.messages.append({"role": _ROLES[role], "content": content})
            return
        if self._turn is not None and ("content" in self._turn or "tool_calls" in self._turn):
            self.close_turn()
        self._assistant()["content"] = content

    def _add_call(self, item: JsonObject, param: str) -> None:
        call_id, name, arguments = (item_text(item, each, param) for each in ("call_id", "name", "arguments"))
        self._calls.add(call_id)
        turn = self._assistant()
        before = turn.get("tool_calls")
        call: JsonObject = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        turn["tool_calls"] = [*(before if isinstance(before, list) else []), call]

    def _add_output(self, item: JsonObject, param: str) -> None:
        call_id = item_text(item, "call_id", param)
        if call_id not in self._calls:
            raise InvalidRequest(
                f'"{param}" answers the call "{call_id[:80]}", which no "function_call" before it has made.',
                code="orphan_tool_result",
                param=f"{param}.call_id",
            )
        self.close_turn()
        output = self._content(item.get("output"), f"{param}.output", is_answer=False)
        if isinstance(output, list) and any(is_object(part) and part.get("type") != "text" for part in output):
            raise InvalidRequest(
                f'"{param}.output" may hold text only for this model: its provider takes no other tool results.',
                code="unsupported_field",
                param=f"{param}.output",
            )
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": output})

    def _add_reasoning(self, item: JsonObject, param: str) -> None:
        thoughts = _joined(item.get("content")) or _joined(item.get("summary"))
        blocks = open_blocks(item.get("encrypted_content"))
        if item.get("encrypted_content") and not blocks:
            self.dropped.add("input.encrypted_content")
        if not thoughts and not blocks:
            return
        if self._turn is not None and "tool_calls" not in self._turn and "content" in self._turn:
            self.close_turn()
        turn = self._assistant()
        if thoughts:
            before = turn.get("reasoning_content")
            turn["reasoning_content"] = f"{before}\n\n{thoughts}" if isinstance(before, str) else thoughts
        if blocks:
            earlier = turn.get("thinking_blocks")
            turn["thinking_blocks"] = [*(earlier if isinstance(earlier, list) else []), *blocks]

    def _assistant(self) -> JsonObject:
        if self._turn is None:
            self._turn = {"role": "assistant"}
        return self._turn

    def _content(self, value: JsonValue, param: str, *, is_answer: bool) -> JsonValue:
        if isinstance(value, str):
            return value
        if not isinstance(value, list):
            raise InvalidRequest(f'"{param}" must be a string or an array of parts, not {show(value)}.', param=param)
        parts = [self._part(part, f"{param}[{index}]") for index, part in enumerate(value)]
        if is_answer and all(part.keys() == {"type", "text"} for part in parts):
            return "".join(str(part["text"]) for part in parts)
        return list[JsonValue](parts)

    def _part(self, part: JsonValue, param: str) -> JsonObject:
        kind = part.get("type") if is_object(part) else None
        write = _PARTS.get(kind) if isinstance(kind, str) else None
        if write is None or not is_object(part):
            raise InvalidRequest(
                f'"{param}" is a part of type "{kind}", which this model\'s provider cannot take.',
                code="unsupported_field",
                param=f"{param}.type",
            )
        self.dropped.update(left_of_part(part, str(kind)))
        if kind == "input_file" and part.get("detail") not in (None, "auto"):
            self.dropped.add("input_file.detail")
        written = write(part, param)
        mark = part.get("prompt_cache_breakpoint")
        return written if mark is None else {**written, "prompt_cache_breakpoint": mark}


def _text_part(part: JsonObject, param: str) -> JsonObject:
    return {"type": "text", "text": item_text(part, "text", param)}


def _refusal_part(part: JsonObject, param: str) -> JsonObject:
    return {"type": "refusal", "refusal": item_text(part, "refusal", param)}


def _image_part(part: JsonObject, param: str) -> JsonObject:
    if part.get("file_id") is not None:
        raise no_place(f"{param}.file_id", 'Send the picture as "image_url", a data URL if need be.')
    image: JsonObject = {"url": item_text(part, "image_url", param)}
    if part.get("detail") is not None:
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _file_part(part: JsonObject, param: str) -> JsonObject:
    if part.get("file_url") is not None:
        raise no_place(f"{param}.file_url", 'Send the file as "file_data".')
    names = ("file_data", "file_id", "filename")
    return {"type": "file", "file": {name: part[name] for name in names if part.get(name) is not None}}


def _audio_part(part: JsonObject, param: str) -> JsonObject:
    return {"type": "input_audio", "input_audio": part.get("input_audio")}


_PARTS: Mapping[str, Callable[[JsonObject, str], JsonObject]] = {
    "input_text": _text_part,
    "output_text": _text_part,
    "text": _text_part,
    "refusal": _refusal_part,
    "input_image": _image_part,
    "input_file": _file_part,
    "input_audio": _audio_part,
}


def _joined(parts: JsonValue) -> str:
    texts = [part.get("text") for part in parts if is_object(part)] if isinstance(parts, list) else []
    return "\n\n".join(text for text in texts if isinstance(text, str) and text)
