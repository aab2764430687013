"""The turns of a Messages conversation as chat messages: text, images, documents, tools and thinking.

A tool's results come first in a user's turn and become messages of their own; pictures among them follow in the
user's message, because a chat tool message holds text only.
"""

from __future__ import annotations

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import read_blocks
from headrace.wire.messages_turns import MessagesTurns, unsupported_block


class ChatMessages(MessagesTurns):
    """Collects the chat messages of one request."""

    document_sources = "base64 or text"

    def _add_result(self, call: str, content: JsonValue, param: str) -> list[JsonObject]:
        texts: list[JsonObject] = []
        others: list[JsonObject] = []
        for index, inner in enumerate([] if content is None else read_blocks(content, param)):
            for part in self._parts(inner, f"{param}[{index}]"):
                (texts if part["type"] == "text" else others).append(part)
        result = "\n".join(str(part["text"]) for part in texts)
        self.entries.append({"role": "tool", "tool_call_id": call, "content": result})
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
                    arguments = self._arguments(block, f"{param}[{index}]")
                    function: JsonObject = {"name": block.get("name"), "arguments": arguments}
                    calls.append({"id": block.get("id"), "type": "function", "function": function})
                case "text":
                    texts += self._parts(block, f"{param}[{index}]")
                case _:
                    advice = "An assistant's turn holds text and tool calls."
                    raise unsupported_block(block, f"{param}[{index}]", advice)
        message["content"] = _content(texts) if texts else None
        _add_thoughts(message, thoughts)
        if calls:
            message["tool_calls"] = calls
        self.entries.append(message)

    def _message(self, role: str, parts: list[JsonObject]) -> JsonObject:
        return {"role": role, "content": _content(parts)}

    def _text(self, text: JsonValue) -> JsonObject:
        return {"type": "text", "text": text}

    def _image(self, url: JsonValue) -> JsonObject:
        return {"type": "image_url", "image_url": {"url": url}}

    def _file(self, name: str, data_url: str) -> JsonObject:
        return {"type": "file", "file": {"filename": name, "file_data": data_url}}

    def _file_at(self, url: JsonValue) -> JsonObject | None:
        return None


def _content(parts: list[JsonObject]) -> JsonValue:
    """Return parts as content, one text as a plain string, which every upstream takes."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return list[JsonValue](parts)


def _add_thoughts(message: JsonObject, thoughts: list[JsonObject]) -> None:
    """Add thinking as reasoning; what is signed or sealed goes along whole, so that its maker can check it again."""
    text = "".join(str(block.get("thinking") or "") for block in thoughts)
    if text:
        message["reasoning_content"] = text
    if any(block.get("signature") or block["type"] == "redacted_thinking" for block in thoughts):
        message["thinking_blocks"] = list[JsonValue](thoughts)
