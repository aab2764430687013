"""Input items of the Responses dialect as the turns of a Messages conversation, each item in its place.

Messages wants the results of tools at the beginning of the user's turn that follows, so a tool's outputs and the
user's own message after them become one turn. Fields beside the input are responses_to_messages'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object
from headrace.wire.messages_blocks import CacheMarks, content_blocks, document_source, image_block, read_arguments
from headrace.wire.openai_chat import show
from headrace.wire.openai_responses import input_items, item_type
from headrace.wire.responses_input import item_text, left_of_item, left_of_part, no_place
from headrace.wire.sealed_reasoning import open_blocks

_ROLES = ("user", "assistant", "system", "developer")
_TEXT_PARTS: Mapping[str, str] = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "refusal": "refusal",
}


class MessageTurnsOfItems:
    """Collects the system prompt and the turns of one request, and what Messages has no place for."""

    def __init__(self) -> None:
        self.system: list[JsonValue] = []
        self.messages: list[JsonValue] = []
        self.dropped: list[str] = []
        self._called: set[str] = set()
        self._marks = CacheMarks()
        self._takers: Mapping[str, Callable[[JsonObject, str], None]] = {
            "message": self._take_message,
            "function_call": self._take_call,
            "function_call_output": self._take_output,
            "reasoning": self._take_reasoning,
        }

    def read(self, body: JsonObject) -> None:
        """Take the instructions and every item; raises InvalidRequest naming what cannot be expressed."""
        instructions = body.get("instructions")
        if isinstance(instructions, str) and instructions:
            self.system.append({"type": "text", "text": instructions})
        for index, item in enumerate(input_items(body)):
            param, kind = f"input[{index}]", item_type(item)
            if kind not in self._takers:
                raise InvalidRequest(
                    f'"{param}" is an item of type "{kind}", which this model\'s provider cannot take.',
                    code="unsupported_field",
                    param=f"{param}.type",
                )
            self.dropped += left_of_item(item, kind)
            self._takers[kind](item, param)
        self.dropped += self._marks.surplus()

    def _add(self, role: str, blocks: list[JsonValue]) -> None:
        last = self.messages[-1] if self.messages else None
        content = last.get("content") if is_object(last) and last["role"] == role else None
        if isinstance(content, list):
            content += blocks
        elif blocks:
            self.messages.append({"role": role, "content": blocks})

    def _take_message(self, item: JsonObject, param: str) -> None:
        role = item.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise InvalidRequest(
                f'"{param}.role" must be one of {", ".join(_ROLES)}, not {show(role)}.', param=f"{param}.role"
            )
        blocks = content_blocks(item.get("content"), f"{param}.content", self._block)
        if role in ("user", "assistant"):
            self._add(role, blocks)
        elif any(is_object(block) and block["type"] != "text" for block in blocks):
            raise InvalidRequest(
                f'"{param}.content" must be text for this model.', code="unsupported_field", param=f"{param}.content"
            )
        elif self.messages:
            self._add("system", blocks)
        else:
            self.system += blocks

    def _take_call(self, item: JsonObject, param: str) -> None:
        call_id, name, text = (item_text(item, each, param) for each in ("call_id", "name", "arguments"))
        arguments = read_arguments(text)
        if arguments is None:
            raise InvalidRequest(
                f'"{param}.arguments" must be a JSON object in a string, not {show(text)}.', param=f"{param}.arguments"
            )
        self._called.add(call_id)
        self._add("assistant", [{"type": "tool_use", "id": call_id, "name": name, "input": arguments}])

    def _take_output(self, item: JsonObject, param: str) -> None:
        call_id = item_text(item, "call_id", param)
        if call_id not in self._called:
            raise InvalidRequest(
                f'"{param}" answers the call "{call_id[:80]}", which no "function_call" before it has made.',
                code="orphan_tool_result",
                param=f"{param}.call_id",
            )
        output = item.get("output")
        content = output if isinstance(output, str) else content_blocks(output, f"{param}.output", self._block)
        self._add("user", [{"type": "tool_result", "tool_use_id": call_id, "content": content}])

    def _take_reasoning(self, item: JsonObject, param: str) -> None:
        """Take thinking as its maker signed it; what has no seal of ours would be refused there, so it is left out."""
        blocks = open_blocks(item.get("encrypted_content"))
        kept = [block for block in blocks if is_object(block) and (block.get("signature") or block.get("data"))]
        if kept:
            self._add("assistant", list[JsonValue](kept))
        elif item.get("encrypted_content"):
            self.dropped.append("input.encrypted_content")
        elif item.get("content") or item.get("summary"):
            self.dropped.append("input.reasoning")

    def _block(self, part: JsonValue, param: str) -> JsonObject:
        kind = part.get("type") if is_object(part) else None
        block: JsonObject
        if is_object(part) and isinstance(kind, str) and kind in _TEXT_PARTS:
            block = {"type": "text", "text": item_text(part, _TEXT_PARTS[kind], param)}
        elif is_object(part) and kind == "input_image":
            block = self._image(part, param)
        elif is_object(part) and kind == "input_file":
            block = self._document(part, param)
        else:
            raise InvalidRequest(
                f'"{param}" is a part of type {show(kind)}, which this model\'s provider cannot take.',
                code="unsupported_field",
                param=f"{param}.type",
            )
        self.dropped += left_of_part(part, str(kind))
        self.dropped += self._marks.mark(block, part)
        return block

    def _image(self, part: JsonObject, param: str) -> JsonObject:
        if part.get("file_id") is not None:
            raise no_place(f"{param}.file_id", 'Send the picture as "image_url", a data URL if need be.')
        if part.get("detail") not in (None, "auto"):
            self.dropped.append("input_image.detail")
        return image_block(item_text(part, "image_url", param))

    def _document(self, part: JsonObject, param: str) -> JsonObject:
        if part.get("file_id") is not None:
            raise no_place(f"{param}.file_id", 'Send the file as "file_data" (a data: URL) or "file_url".')
        if part.get("detail") not in (None, "auto"):
            self.dropped.append("input_file.detail")
        block: JsonObject = {"type": "document", "source": self._source(part, param)}
        if isinstance(part.get("filename"), str):
            block["title"] = part["filename"]
        return block

    def _source(self, part: JsonObject, param: str) -> JsonObject:
        url, data = part.get("file_url"), part.get("file_data")
        source = document_source(data, f"{param}.file_data")
        if source is None and not isinstance(url, str):
            raise no_place(f"{param}.file_data", 'Send the file as a data: URL, or by "file_url".')
        if url is not None and data is not None:
            self.dropped.append("input_file.file_data" if source is None else "input_file.file_url")
        return source or {"type": "url", "url": url}
