"""Messages, whole or streamed, as responses and typed events: items in their order, reasons for an end, and usage.

Source: Anthropic API reference, "Messages" and "Streaming messages"; OpenAI API reference, "The response object" and
"Streaming events" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.errors import UpstreamProtocol
from headrace.domain.json_value import JsonObject
from headrace.wire.chat_to_messages_reply import chat_usage
from headrace.wire.json_strict import encode
from headrace.wire.messages_events import MessagesEvents
from headrace.wire.responses_object import id_stem
from headrace.wire.responses_usage import responses_usage
from headrace.wire.responses_writer import ResponseWriter
from headrace.wire.sealed_reasoning import seal_blocks

INCOMPLETE: Mapping[str, str] = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "refusal": "content_filter",
}
_SHOWN_BLOCKS = ("text", "thinking", "redacted_thinking", "tool_use")


def response_of_message(body: JsonObject, request: JsonObject, created_unix_seconds: int) -> JsonObject:
    """Return a message as a response; raises UpstreamProtocol for a block that responses cannot show."""
    translator = ResponseFromMessages(request, created_unix_seconds)
    translator.event({"type": "message_start", "message": body})
    content = body.get("content")
    for index, block in enumerate(content if isinstance(content, list) else ()):
        translator.event({"type": "content_block_start", "index": index, "content_block": block})
        translator.event({"type": "content_block_stop", "index": index})
    translator.event({"type": "message_delta", "delta": {"stop_reason": body.get("stop_reason")}})
    translator.finish()
    return translator.response


class ResponseFromMessages(MessagesEvents):
    """Turns the events of one Messages stream into the typed events of one response."""

    def __init__(self, request: JsonObject, created_unix_seconds: int) -> None:
        super().__init__()
        self._writer = ResponseWriter(request)
        self._created = created_unix_seconds
        self._index = 0

    @property
    def response(self) -> JsonObject:
        """The response as far as it was written."""
        return self._writer.response

    def finish(self) -> bytes:
        """Return the end of the response, incomplete when the model stopped short or would not answer."""
        frames = b"" if self._writer.started else self._start({})
        usage = None if self._usage is None else responses_usage(chat_usage(self._usage))
        more: JsonObject = {} if self._money is None else {"headrace": self._money}
        return frames + self._writer.end(INCOMPLETE.get(str(self._stop_reason)), usage, more)

    def _start(self, message: JsonObject) -> bytes:
        model = message.get("model")
        return self._writer.start(id_stem(message.get("id")), self._created, model if isinstance(model, str) else "")

    def _open(self) -> bytes:
        kind = self._block.get("type")
        if kind not in _SHOWN_BLOCKS:
            raise UpstreamProtocol(f'The upstream answered with a block of type "{kind}", which cannot be shown here.')
        text, thinking = self._block.get("text"), self._block.get("thinking")
        if kind == "text" and isinstance(text, str) and text:
            return self._writer.text(text)
        if kind == "thinking" and isinstance(thinking, str) and thinking:
            return self._writer.reasoning(thinking)
        if kind != "tool_use":
            return b""
        self._index += 1
        return self._writer.tool_call(self._index, str(self._block.get("id")), str(self._block.get("name")))

    def _delta(self, delta: JsonObject) -> bytes:
        text, thinking, piece = (delta.get(name) for name in ("text", "thinking", "partial_json"))
        match delta.get("type"):
            case "text_delta" if isinstance(text, str) and text:
                return self._writer.text(text)
            case "thinking_delta" if isinstance(thinking, str) and thinking:
                self._extend("thinking", thinking)
                return self._writer.reasoning(thinking)
            case "signature_delta":
                self._extend("signature", delta.get("signature"))
            case "input_json_delta" if isinstance(piece, str) and piece and self._block.get("type") == "tool_use":
                self._has_arguments = True
                return self._writer.arguments(self._index, piece)
            case _:
                pass
        return b""

    def _close(self, block: JsonObject) -> bytes:
        if block.get("signature") or block.get("type") == "redacted_thinking":
            return self._writer.seal_reasoning(seal_blocks([block]))
        if block.get("type") != "tool_use" or self._has_arguments:
            return b""
        partial = block.get("partial_json")
        said = partial if isinstance(partial, str) else encode(block.get("input") or {}).decode()
        return self._writer.arguments(self._index, said)
