"""The turns of a Messages conversation as input items of the Responses dialect, each block in its place.

A tool's results come first in a user's turn and become items of their own, pictures and files among them included.
Fields beside the turns are messages_to_responses'.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import read_blocks
from headrace.wire.json_strict import encode, is_object
from headrace.wire.openai_chat import show
from headrace.wire.sealed_reasoning import items_of_blocks

_BLOCK_FIELDS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type", "text"}),
    "image": frozenset({"type", "source"}),
    "document": frozenset({"type", "source", "title", "context"}),
    "search_result": frozenset({"type", "source", "title", "content"}),
    "tool_use": frozenset({"type", "id", "name", "input", "caller", "toolset_name"}),
    "tool_result": frozenset({"type", "tool_use_id", "content"}),
}
_NEUTRAL: Mapping[str, JsonValue] = {"is_error": False, "citations": {"enabled": False}}


class ResponseItems:
    """Collects the input items of one request, and the fields of its blocks that items have no place for."""

    def __init__(self) -> None:
        self.items: list[JsonValue] = []
        self.dropped: list[str] = []
        self._called: set[str] = set()

    def read(self, system: JsonValue, turns: list[JsonObject]) -> None:
        """Take the system prompt and every turn; raises InvalidRequest naming the block that cannot be expressed."""
        if system is not None:
            self._take_system(system, "system")
        for index, message in enumerate(turns):
            content, param = message.get("content"), f"messages[{index}].content"
            match message.get("role"):
                case "assistant":
                    self._take_assistant(read_blocks(content, param), param)
                case "system":
                    self._take_system(content, param)
                case _:
                    self._take_user(read_blocks(content, param), param)

    def _take_system(self, content: JsonValue, param: str) -> None:
        parts: list[JsonObject] = []
        for index, block in enumerate(read_blocks(content, param)):
            if block["type"] != "text":
                raise _unsupported(block, f"{param}[{index}]", "A system prompt is text.")
            parts += self._parts(block, f"{param}[{index}]")
        if parts:
            self.items.append({"type": "message", "role": "system", "content": list[JsonValue](parts)})

    def _take_user(self, blocks: list[JsonObject], param: str) -> None:
        parts: list[JsonObject] = []
        for index, block in enumerate(blocks):
            if block["type"] == "tool_result":
                self._take_result(block, f"{param}[{index}]")
            else:
                parts += self._parts(block, f"{param}[{index}]")
        if parts:
            self.items.append({"type": "message", "role": "user", "content": list[JsonValue](parts)})

    def _take_result(self, block: JsonObject, param: str) -> None:
        self._note_extras(block)
        call, content = block.get("tool_use_id"), block.get("content")
        if not isinstance(call, str) or call not in self._called:
            raise InvalidRequest(
                f'"{param}" is the result of the tool use {show(call)}, which no turn before it has made.',
                code="orphan_tool_result",
                param=f"{param}.tool_use_id",
            )
        output: JsonValue = "" if content is None else content
        if isinstance(output, list):
            given = enumerate(read_blocks(output, f"{param}.content"))
            output = [part for index, each in given for part in self._parts(each, f"{param}.content[{index}]")]
        self.items.append({"type": "function_call_output", "call_id": call, "output": output})

    def _take_assistant(self, blocks: list[JsonObject], param: str) -> None:
        said: list[JsonValue] = []
        for index, block in enumerate(blocks):
            if block["type"] == "text":
                self._note_extras(block)
                if not said:
                    self.items.append({"type": "message", "role": "assistant", "content": said})
                said.append({"type": "output_text", "text": block.get("text"), "annotations": []})
                continue
            said = []
            match block["type"]:
                case "thinking" | "redacted_thinking":
                    self._take_thought(block)
                case "tool_use":
                    self._take_call(block, f"{param}[{index}]")
                case _:
                    raise _unsupported(block, f"{param}[{index}]", "An assistant's turn holds text and tool calls.")

    def _take_thought(self, block: JsonObject) -> None:
        """Take reasoning that this dialect has sealed; what somebody else has signed means nothing to it."""
        found = items_of_blocks([{"data": block.get("signature") or block.get("data")}])
        self.items += found
        if not found:
            self.dropped.append(f"messages.{block['type']}")

    def _take_call(self, block: JsonObject, param: str) -> None:
        self._note_extras(block)
        arguments, call = block.get("input"), block.get("id")
        if not is_object(arguments):
            raise InvalidRequest(f'"{param}.input" must be an object, not {show(arguments)}.', param=f"{param}.input")
        self._called.add(str(call))
        self.items.append(
            {
                "type": "function_call",
                "call_id": call,
                "name": block.get("name"),
                "arguments": encode(arguments).decode(),
            }
        )

    def _parts(self, block: JsonObject, param: str) -> list[JsonObject]:
        self._note_extras(block)
        match block["type"]:
            case "text":
                return [_text(block.get("text"))]
            case "image":
                return [_image(block, param)]
            case "document":
                return self._document(block, param)
            case "search_result":
                inner = read_blocks(block.get("content"), f"{param}.content")
                head = _text(f"{block.get('title')}\n{block.get('source')}")
                return [head, *(part for each in inner for part in self._parts(each, f"{param}.content"))]
            case _:
                raise _unsupported(block, param, "Send its content as text.")

    def _document(self, block: JsonObject, param: str) -> list[JsonObject]:
        source, title, context = block.get("source"), block.get("title"), block.get("context")
        labels = [label for label in (title, context) if isinstance(label, str)]
        head: list[JsonObject] = [_text(context)] if isinstance(context, str) else []
        kind = source.get("type") if is_object(source) else None
        if is_object(source) and kind == "base64":
            name = title if isinstance(title, str) else "document.pdf"
            data = f"data:{source.get('media_type')};base64,{source.get('data')}"
            return [*head, {"type": "input_file", "filename": name, "file_data": data}]
        if is_object(source) and kind == "url":
            return [*head, {"type": "input_file", "file_url": source.get("url")}]
        if is_object(source) and kind == "text":
            return [_text("\n".join([*labels, str(source.get("data"))]))]
        if is_object(source) and kind == "content":
            place = f"{param}.source.content"
            inner = read_blocks(source.get("content"), place)
            return [*(_text(label) for label in labels), *(part for each in inner for part in self._parts(each, place))]
        raise InvalidRequest(
            f'"{param}.source" of type {show(kind)} cannot be given to this model; send a document as base64, text or '
            "by url.",
            code="unsupported_field",
            param=f"{param}.source",
        )

    def _note_extras(self, block: JsonObject) -> None:
        known = _BLOCK_FIELDS.get(str(block["type"]), frozenset())
        for name, value in block.items():
            if name in known or value is None or _NEUTRAL.get(name) == value:
                continue
            self.dropped.append("cache_control" if name == "cache_control" else f"{block['type']}.{name}")


def _text(text: JsonValue) -> JsonObject:
    return {"type": "input_text", "text": text}


def _image(block: JsonObject, param: str) -> JsonObject:
    source = block.get("source")
    kind = source.get("type") if is_object(source) else None
    if is_object(source) and kind == "base64":
        url: JsonValue = f"data:{source.get('media_type')};base64,{source.get('data')}"
    elif is_object(source) and kind == "url":
        url = source.get("url")
    else:
        raise InvalidRequest(
            f'"{param}.source" of type {show(kind)} cannot be given to this model; send the image as base64 or by url.',
            code="unsupported_field",
            param=f"{param}.source",
        )
    return {"type": "input_image", "image_url": url, "detail": "auto"}


def _unsupported(block: JsonObject, param: str, advice: str) -> InvalidRequest:
    return InvalidRequest(
        f'"{param}" is a block of type {show(block["type"])}, which cannot be given to this model. {advice}',
        code="unsupported_field",
        param=param,
    )
