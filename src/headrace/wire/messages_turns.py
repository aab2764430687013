"""Reading the turns of a Messages conversation for an upstream that speaks one of OpenAI's dialects.

How parts and messages look there is the subclass's: messages_to_chat_content's and messages_to_responses_items'.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import read_blocks
from headrace.wire.dialect_fields import left_of
from headrace.wire.json_strict import encode, is_object
from headrace.wire.openai_chat import show

_BLOCK_FIELDS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type", "text"}),
    "image": frozenset({"type", "source"}),
    "document": frozenset({"type", "source", "title", "context"}),
    "search_result": frozenset({"type", "source", "title", "content"}),
    "tool_use": frozenset({"type", "id", "name", "input"}),
    "tool_result": frozenset({"type", "tool_use_id", "content"}),
}
_NEUTRAL: Mapping[str, JsonValue] = {"is_error": False, "citations": {"enabled": False}, "caller": {"type": "direct"}}
_SOURCE_FIELDS = ("type", "media_type", "data", "url", "content")


class MessagesTurns(ABC):
    """Collects the upstream's messages of one request, and the fields of its blocks that have no place there."""

    document_sources: str

    def __init__(self) -> None:
        self.entries: list[JsonValue] = []
        self.dropped: list[str] = []
        self._called: set[str] = set()

    def read(self, system: JsonValue, turns: list[JsonObject]) -> None:
        """Take the system prompt and every turn; raises InvalidRequest naming the block that cannot be expressed."""
        if system is not None:
            self._take_system(system, "system")
        for index, message in enumerate(turns):
            content, param = message.get("content"), f"messages[{index}].content"
            self.dropped += left_of(message, ("role", "content"), "messages")
            match message.get("role"):
                case "assistant":
                    self._take_assistant(read_blocks(content, param), param)
                case "system":
                    self._take_system(content, param)
                case _:
                    self._take_user(read_blocks(content, param), param)

    @abstractmethod
    def _take_assistant(self, blocks: list[JsonObject], param: str) -> None: ...

    @abstractmethod
    def _add_result(self, call: str, content: JsonValue, param: str) -> list[JsonObject]:
        """Add the result of a tool's call and return the parts that must follow in the user's message."""

    @abstractmethod
    def _message(self, role: str, parts: list[JsonObject]) -> JsonObject: ...

    @abstractmethod
    def _text(self, text: JsonValue) -> JsonObject: ...

    @abstractmethod
    def _image(self, url: JsonValue) -> JsonObject: ...

    @abstractmethod
    def _file(self, name: str, data_url: str) -> JsonObject: ...

    @abstractmethod
    def _file_at(self, url: JsonValue) -> JsonObject | None:
        """Return a file that the upstream fetches itself, None when it fetches none."""

    def _take_system(self, content: JsonValue, param: str) -> None:
        parts: list[JsonObject] = []
        for index, block in enumerate(read_blocks(content, param)):
            if block["type"] != "text":
                raise unsupported_block(block, f"{param}[{index}]", "A system prompt is text.")
            parts += self._parts(block, f"{param}[{index}]")
        if parts:
            self.entries.append(self._message("system", parts))

    def _take_user(self, blocks: list[JsonObject], param: str) -> None:
        parts: list[JsonObject] = []
        for index, block in enumerate(blocks):
            place = f"{param}[{index}]"
            parts += self._take_result(block, place) if block["type"] == "tool_result" else self._parts(block, place)
        if parts:
            self.entries.append(self._message("user", parts))

    def _take_result(self, block: JsonObject, param: str) -> list[JsonObject]:
        self._note_extras(block)
        call = block.get("tool_use_id")
        if not isinstance(call, str) or call not in self._called:
            raise InvalidRequest(
                f'"{param}" is the result of the tool use {show(call)}, which no turn before it has made.',
                code="orphan_tool_result",
                param=f"{param}.tool_use_id",
            )
        return self._add_result(call, block.get("content"), f"{param}.content")

    def _arguments(self, block: JsonObject, param: str) -> str:
        """Note a tool's use and return its arguments as JSON text; raises InvalidRequest when they are no object."""
        self._note_extras(block)
        arguments = block.get("input")
        if not is_object(arguments):
            raise InvalidRequest(f'"{param}.input" must be an object, not {show(arguments)}.', param=f"{param}.input")
        self._called.add(str(block.get("id")))
        return encode(arguments).decode()

    def _parts(self, block: JsonObject, param: str) -> list[JsonObject]:
        self._note_extras(block)
        match block["type"]:
            case "text":
                return [self._text(block.get("text"))]
            case "image":
                return [self._image(_image_url(block, param))]
            case "document":
                return self._document(block, param)
            case "search_result":
                inner = read_blocks(block.get("content"), f"{param}.content")
                head = self._text(f"{block.get('title')}\n{block.get('source')}")
                return [head, *(part for each in inner for part in self._parts(each, f"{param}.content"))]
            case _:
                raise unsupported_block(block, param, "Send its content as text.")

    def _document(self, block: JsonObject, param: str) -> list[JsonObject]:
        given, title, context = block.get("source"), block.get("title"), block.get("context")
        source = given if is_object(given) else {}
        labels = [label for label in (title, context) if isinstance(label, str)]
        head = [self._text(context)] if isinstance(context, str) else []
        match source.get("type"):
            case "base64":
                name = title if isinstance(title, str) else "document.pdf"
                return [*head, self._file(name, _data_url(source))]
            case "text":
                return [self._text("\n".join([*labels, str(source.get("data"))]))]
            case "content":
                place = f"{param}.source.content"
                inner = read_blocks(source.get("content"), place)
                parts = [self._text(label) for label in labels]
                return [*parts, *(part for each in inner for part in self._parts(each, place))]
            case kind:
                file = self._file_at(source.get("url")) if kind == "url" else None
                if file is not None:
                    return [*head, file]
        raise InvalidRequest(
            f'"{param}.source" of type {show(kind)} cannot be given to this model; send a document as '
            f"{self.document_sources}.",
            code="unsupported_field",
            param=f"{param}.source",
        )

    def _note_extras(self, block: JsonObject) -> None:
        known = _BLOCK_FIELDS.get(str(block["type"]), frozenset())
        for name, value in block.items():
            if name in known or value is None or _NEUTRAL.get(name) == value:
                continue
            self.dropped.append("cache_control" if name == "cache_control" else f"{block['type']}.{name}")
        self.dropped += left_of(block.get("source"), _SOURCE_FIELDS, f"{block['type']}.source")


def unsupported_block(block: JsonObject, param: str, advice: str) -> InvalidRequest:
    """Return the refusal of a block that has no place where it stands."""
    return InvalidRequest(
        f'"{param}" is a block of type {show(block["type"])}, which cannot be given to this model. {advice}',
        code="unsupported_field",
        param=param,
    )


def _image_url(block: JsonObject, param: str) -> JsonValue:
    source = block.get("source")
    kind = source.get("type") if is_object(source) else None
    if is_object(source) and kind == "base64":
        return _data_url(source)
    if is_object(source) and kind == "url":
        return source.get("url")
    raise InvalidRequest(
        f'"{param}.source" of type {show(kind)} cannot be given to this model; send the image as base64 or by url.',
        code="unsupported_field",
        param=f"{param}.source",
    )


def _data_url(source: JsonObject) -> str:
    return f"data:{source.get('media_type')};base64,{source.get('data')}"
