"""The turns of a Messages conversation as input items of the Responses dialect, each block in its place.

A tool's results come first in a user's turn and become items of their own, pictures and files among them included.
Fields beside the turns are messages_to_responses'.
"""

from __future__ import annotations

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.anthropic_messages import read_blocks
from headrace.wire.messages_turns import MessagesTurns, unsupported_block
from headrace.wire.sealed_reasoning import items_of_blocks


class ResponseItems(MessagesTurns):
    """Collects the input items of one request."""

    document_sources = "base64, text or by url"

    def _add_result(self, call: str, content: JsonValue, param: str) -> list[JsonObject]:
        output: JsonValue = "" if content is None else content
        if isinstance(output, list):
            given = enumerate(read_blocks(output, param))
            output = [part for index, each in given for part in self._parts(each, f"{param}[{index}]")]
        self.entries.append({"type": "function_call_output", "call_id": call, "output": output})
        return []

    def _take_assistant(self, blocks: list[JsonObject], param: str) -> None:
        said: list[JsonValue] = []
        for index, block in enumerate(blocks):
            if block["type"] == "text":
                self._note_extras(block)
                if not said:
                    self.entries.append({"type": "message", "role": "assistant", "content": said})
                said.append({"type": "output_text", "text": block.get("text"), "annotations": []})
                continue
            said = []
            match block["type"]:
                case "thinking" | "redacted_thinking":
                    self._take_thought(block)
                case "tool_use":
                    arguments = self._arguments(block, f"{param}[{index}]")
                    head: JsonObject = {"type": "function_call", "call_id": block.get("id"), "name": block.get("name")}
                    self.entries.append({**head, "arguments": arguments})
                case _:
                    advice = "An assistant's turn holds text and tool calls."
                    raise unsupported_block(block, f"{param}[{index}]", advice)

    def _take_thought(self, block: JsonObject) -> None:
        """Take reasoning that this dialect has sealed; what somebody else has signed means nothing to it."""
        found = items_of_blocks([{"data": block.get("signature") or block.get("data")}])
        self.entries += found
        if not found:
            self.dropped.append(f"messages.{block['type']}")

    def _message(self, role: str, parts: list[JsonObject]) -> JsonObject:
        return {"type": "message", "role": role, "content": list[JsonValue](parts)}

    def _text(self, text: JsonValue) -> JsonObject:
        return {"type": "input_text", "text": text}

    def _image(self, url: JsonValue) -> JsonObject:
        return {"type": "input_image", "image_url": url, "detail": "auto"}

    def _file(self, name: str, data_url: str) -> JsonObject:
        return {"type": "input_file", "filename": name, "file_data": data_url}

    def _file_at(self, url: JsonValue) -> JsonObject | None:
        return {"type": "input_file", "file_url": url}
