"""The messages of a chat as the turns of a Messages conversation: text, images, files, tools and reasoning.

Messages wants the results of tools at the beginning of the user's turn that follows, so a tool's messages and the
user's own after them become one turn.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.dialect_fields import left_of
from headrace.wire.json_strict import is_object
from headrace.wire.messages_blocks import (
    BREAKPOINT,
    CacheMarks,
    content_blocks,
    document_source,
    image_block,
    read_arguments,
)
from headrace.wire.openai_chat import show

_MESSAGE_FIELDS: Mapping[str, frozenset[str]] = {
    "system": frozenset({"role", "content"}),
    "developer": frozenset({"role", "content"}),
    "user": frozenset({"role", "content"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
    "assistant": frozenset(
        {"role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning", "thinking_blocks"}
    ),
}
_REFUSED_FIELDS = ("audio", "function_call")
_PART_FIELDS: Mapping[str, frozenset[str]] = {
    kind: frozenset({"type", kind, "cache_control", BREAKPOINT}) for kind in ("text", "refusal", "image_url", "file")
}


class MessageTurns:
    """Collects the system prompt and the turns of one request, and the fields that Messages has no place for."""

    def __init__(self) -> None:
        self.system: list[JsonValue] = []
        self.messages: list[JsonValue] = []
        self.dropped: list[str] = []
        self._called: set[str] = set()
        self._marks = CacheMarks()

    def read(self, body: JsonObject) -> None:
        """Take every message; raises InvalidRequest naming what cannot be expressed."""
        messages = body.get("messages")
        for index, message in enumerate(messages if isinstance(messages, list) else ()):
            param = f"messages[{index}]"
            if not is_object(message):
                raise InvalidRequest(f'"{param}" must be an object, not {show(message)}.', param=param)
            self._take(message, param)
        self.dropped += self._marks.surplus()

    def _take(self, message: JsonObject, param: str) -> None:
        role = message.get("role")
        if not isinstance(role, str) or role not in _MESSAGE_FIELDS:
            raise InvalidRequest(
                f'"{param}.role" must be one of {", ".join(_MESSAGE_FIELDS)}, not {show(role)}.', param=f"{param}.role"
            )
        self._judge(message, role, param)
        if role in ("system", "developer"):
            self._take_system(message, param)
        elif role == "tool":
            self._add("user", [self._result(message, param)])
        elif role == "user":
            self._add("user", self._blocks(message.get("content"), f"{param}.content"))
        else:
            self._add("assistant", self._assistant(message, param))

    def _judge(self, message: JsonObject, role: str, param: str) -> None:
        for name, value in message.items():
            if value is None or name in _MESSAGE_FIELDS[role] or (name == "annotations" and not value):
                continue
            if name in _REFUSED_FIELDS:
                raise InvalidRequest(
                    f'"{param}.{name}" cannot be given to this model. Leave it out.',
                    code="unsupported_field",
                    param=f"{param}.{name}",
                )
            self.dropped.append(f"messages.{name}")

    def _take_system(self, message: JsonObject, param: str) -> None:
        blocks = self._blocks(message.get("content"), f"{param}.content")
        if any(not is_object(block) or block["type"] != "text" for block in blocks):
            raise InvalidRequest(f'"{param}.content" must be text.', param=f"{param}.content")
        if self.messages:
            self._add("system", blocks)
        else:
            self.system += blocks

    def _add(self, role: str, blocks: list[JsonValue]) -> None:
        last = self.messages[-1] if self.messages else None
        content = last.get("content") if is_object(last) and last["role"] == role else None
        if isinstance(content, list):
            content += blocks
        elif blocks:
            self.messages.append({"role": role, "content": blocks})

    def _result(self, message: JsonObject, param: str) -> JsonObject:
        call, content = message.get("tool_call_id"), message.get("content")
        if not isinstance(call, str) or call not in self._called:
            raise InvalidRequest(
                f'"{param}" is the result of the tool call {show(call)}, which no message before it has made.',
                code="orphan_tool_result",
                param=f"{param}.tool_call_id",
            )
        if not isinstance(content, str):
            content = self._blocks(content, f"{param}.content")
        return {"type": "tool_result", "tool_use_id": call, "content": content}

    def _assistant(self, message: JsonObject, param: str) -> list[JsonValue]:
        blocks = self._thoughts(message)
        blocks += self._blocks(message.get("content"), f"{param}.content")
        if message.get("refusal"):
            blocks.append({"type": "text", "text": message["refusal"]})
        calls = message.get("tool_calls")
        for index, call in enumerate(calls if isinstance(calls, list) else ()):
            use = self._tool_use(call, f"{param}.tool_calls[{index}]")
            self._called.add(str(use["id"]))
            blocks.append(use)
        return blocks

    def _thoughts(self, message: JsonObject) -> list[JsonValue]:
        """Return the thinking as its maker signed it; what has no signature is refused there, so it is left out."""
        sealed = message.get("thinking_blocks")
        if isinstance(sealed, list) and sealed:
            kept = [block for block in sealed if is_object(block) and (block.get("signature") or block.get("data"))]
            self.dropped += ["messages.thinking_blocks"] if len(kept) < len(sealed) else []
            return list[JsonValue](kept)
        if message.get("reasoning_content") or message.get("reasoning"):
            self.dropped.append("messages.reasoning_content")
        return []

    def _blocks(self, content: JsonValue, param: str) -> list[JsonValue]:
        return [] if content is None else content_blocks(content, param, self._block)

    def _block(self, part: JsonValue, param: str) -> JsonObject:
        kind = part.get("type") if is_object(part) else None
        block: JsonObject
        if is_object(part) and kind in ("text", "refusal"):
            block = {"type": "text", "text": part.get(str(kind))}
        elif is_object(part) and kind == "image_url":
            block = self._image(part.get("image_url"), param)
        elif is_object(part) and kind == "file":
            block = self._document(part.get("file"), param)
        else:
            raise InvalidRequest(
                f'"{param}" of type {show(kind)} cannot be given to this model.',
                code="unsupported_field",
                param=f"{param}.type",
            )
        self.dropped += left_of(part, _PART_FIELDS[str(kind)], str(kind))
        if part.get("cache_control") is not None:
            block["cache_control"] = part["cache_control"]
        else:
            self.dropped += self._marks.mark(block, part)
        return block

    def _image(self, image: JsonValue, param: str) -> JsonObject:
        url = image.get("url") if is_object(image) else None
        if not is_object(image) or not isinstance(url, str):
            raise InvalidRequest(f'"{param}.image_url" must be an object with a "url".', param=f"{param}.image_url")
        if image.get("detail") not in (None, "auto"):
            self.dropped.append("image_url.detail")
        self.dropped += left_of(image, ("url", "detail"), "image_url")
        return image_block(url)

    def _document(self, file: JsonValue, param: str) -> JsonObject:
        source = document_source(file.get("file_data"), f"{param}.file.file_data") if is_object(file) else None
        if not is_object(file) or source is None:
            raise InvalidRequest(
                f'"{param}.file" must bring its content as "file_data" (a data: URL) for this model.',
                code="unsupported_field",
                param=f"{param}.file",
            )
        self.dropped += left_of(file, ("file_data", "filename"), "file")
        block: JsonObject = {"type": "document", "source": source}
        if isinstance(file.get("filename"), str):
            block["title"] = file["filename"]
        return block

    def _tool_use(self, call: JsonValue, param: str) -> JsonObject:
        function = call.get("function") if is_object(call) else None
        if not is_object(call) or not is_object(function):
            raise InvalidRequest(
                f'"{param}" must be a call of a function for this model.', code="unsupported_field", param=param
            )
        text = function.get("arguments")
        arguments = read_arguments(text)
        if arguments is None:
            raise InvalidRequest(
                f'"{param}.function.arguments" must be a JSON object in a string, not {show(text)}.',
                param=f"{param}.function.arguments",
            )
        self.dropped += left_of(call, ("id", "type", "function"), "tool_calls")
        self.dropped += left_of(function, ("name", "arguments"), "tool_calls.function")
        return {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": arguments}
