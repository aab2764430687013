"""The turns of a Messages conversation as chat messages: text, images, documents, tools and thinking.

A tool's results come first in a user's turn and become messages of their own; pictures among them follow in the
user's message, because a chat tool message holds text only.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import read_blocks
from headrace.wire.json_strict import encode, is_object
from headrace.wire.openai_chat import show

_BLOCK_FIELDS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type", "text"}),
    "image": frozenset({"type", "source"}),
    "document": frozenset({"type", "source", "title", "context"}),
    "search_result": frozenset({"type", "source", "title", "content"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "tool_use": frozenset({"type", "id", "name", "input", "caller", "toolset_name"}),
    "tool_result": frozenset({"type", "tool_use_id", "content"}),
}
_NEUTRAL: Mapping[str, JsonValue] = {"is_error": False, "citations": {"enabled": False}}


class ChatMessages:
    """Collects the chat messages of one request, and the fields of its blocks that chat has no place for."""

    def __init__(self) -> None:
        self.chat: list[JsonValue] = []
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
            self.chat.append({"role": "system", "content": _content(parts)})

    def _take_user(self, blocks: list[JsonObject], param: str) -> None:
        parts: list[JsonObject] = []
        for index, block in enumerate(blocks):
            place = f"{param}[{index}]"
            if block["type"] == "tool_result":
                parts += self._take_result(block, place)
            else:
                parts += self._parts(block, place)
        if parts:
            self.chat.append({"role": "user", "content": _content(parts)})

    def _take_result(self, block: JsonObject, param: str) -> list[JsonObject]:
        """Take a tool's result and return what of it must follow in the user's message."""
        self._note_extras(block)
        call = block.get("tool_use_id")
        if not isinstance(call, str) or call not in self._called:
            raise InvalidRequest(
                f'"{param}" is the result of the tool use {show(call)}, which no turn before it has made.',
                code="orphan_tool_result",
                param=f"{param}.tool_use_id",
            )
        texts: list[JsonObject] = []
        others: list[JsonObject] = []
        content = block.get("content")
        for index, inner in enumerate([] if content is None else read_blocks(content, f"{param}.content")):
            for part in self._parts(inner, f"{param}.content[{index}]"):
                (texts if part["type"] == "text" else others).append(part)
        result = "\n".join(str(part["text"]) for part in texts)
        self.chat.append({"role": "tool", "tool_call_id": call, "content": result})
        return others

    def _take_assistant(self, blocks: list[JsonObject], param: str) -> None:
        message: JsonObject = {"role": "assistant"}
        texts: list[JsonObject] = []
        thoughts: list[JsonObject] = []
        calls: list[JsonValue] = []
        for index, block in enumerate(blocks):
            match block["type"]:
                case "thinking" | "redacted_thinking":
                    thoughts.append(block)
                case "tool_use":
                    self._note_extras(block)
                    calls.append(_tool_call(block, f"{param}[{index}]"))
                    self._called.add(str(block.get("id")))
                case "text":
                    texts += self._parts(block, f"{param}[{index}]")
                case _:
                    raise _unsupported(block, f"{param}[{index}]", "An assistant's turn holds text and tool calls.")
        message["content"] = _content(texts) if texts else None
        _add_thoughts(message, thoughts)
        if calls:
            message["tool_calls"] = calls
        self.chat.append(message)

    def _parts(self, block: JsonObject, param: str) -> list[JsonObject]:
        self._note_extras(block)
        match block["type"]:
            case "text":
                return [{"type": "text", "text": block.get("text")}]
            case "image":
                return [_image(block, param)]
            case "document":
                return self._document(block, param)
            case "search_result":
                head: JsonObject = {"type": "text", "text": f"{block.get('title')}\n{block.get('source')}"}
                inner = read_blocks(block.get("content"), f"{param}.content")
                return [head, *(part for each in inner for part in self._parts(each, param))]
            case _:
                raise _unsupported(block, param, "Send its content as text.")

    def _document(self, block: JsonObject, param: str) -> list[JsonObject]:
        source, title, context = block.get("source"), block.get("title"), block.get("context")
        labels = [label for label in (title, context) if isinstance(label, str)]
        kind = source.get("type") if is_object(source) else None
        if is_object(source) and kind == "base64":
            file: JsonObject = {
                "filename": title if isinstance(title, str) else "document.pdf",
                "file_data": f"data:{source.get('media_type')};base64,{source.get('data')}",
            }
            head: list[JsonObject] = [{"type": "text", "text": context}] if isinstance(context, str) else []
            return [*head, {"type": "file", "file": file}]
        if is_object(source) and kind == "text":
            return [{"type": "text", "text": "\n".join([*labels, str(source.get("data"))])}]
        if is_object(source) and kind == "content":
            inner = read_blocks(source.get("content"), f"{param}.source.content")
            parts: list[JsonObject] = [{"type": "text", "text": label} for label in labels]
            return [*parts, *(part for each in inner for part in self._parts(each, f"{param}.source.content"))]
        raise InvalidRequest(
            f'"{param}.source" of type {show(kind)} cannot be given to this model; send a document as base64 or text.',
            code="unsupported_field",
            param=f"{param}.source",
        )

    def _note_extras(self, block: JsonObject) -> None:
        known = _BLOCK_FIELDS.get(str(block["type"]), frozenset())
        for name, value in block.items():
            if name in known or value is None or _NEUTRAL.get(name) == value:
                continue
            self.dropped.append("cache_control" if name == "cache_control" else f"{block['type']}.{name}")


def _content(parts: list[JsonObject]) -> JsonValue:
    """Return parts as content, one text as a plain string, which every upstream takes."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return list[JsonValue](parts)


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
    return {"type": "image_url", "image_url": {"url": url}}


def _tool_call(block: JsonObject, param: str) -> JsonObject:
    arguments = block.get("input")
    if not is_object(arguments):
        raise InvalidRequest(f'"{param}.input" must be an object, not {show(arguments)}.', param=f"{param}.input")
    function: JsonObject = {"name": block.get("name"), "arguments": encode(arguments).decode()}
    return {"id": block.get("id"), "type": "function", "function": function}


def _add_thoughts(message: JsonObject, thoughts: list[JsonObject]) -> None:
    """Add thinking as reasoning; what is signed or sealed goes along whole, so that its maker can check it again."""
    text = "".join(str(block.get("thinking") or "") for block in thoughts)
    if text:
        message["reasoning_content"] = text
    if any(block.get("signature") or block["type"] == "redacted_thinking" for block in thoughts):
        message["thinking_blocks"] = list[JsonValue](thoughts)


def _unsupported(block: JsonObject, param: str, advice: str) -> InvalidRequest:
    return InvalidRequest(
        f'"{param}" is a block of type {show(block["type"])}, which cannot be given to this model. {advice}',
        code="unsupported_field",
        param=param,
    )
