"""Responses, whole or as typed events, as Messages: content blocks in their order, stop reasons and usage.

Source: OpenAI API reference, "The response object" and "Streaming events"; Anthropic API reference, "Streaming
messages" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.domain.errors import UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import is_object
from headrace.wire.messages_writer import BlockWriter, tool_use, written_usage
from headrace.wire.responses_object import id_stem
from headrace.wire.responses_usage import read_usage
from headrace.wire.sealed_reasoning import block_of_item

INCOMPLETE: Mapping[str, str] = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}
_SHOWN_ITEMS = ("message", "reasoning", "function_call")


def message_of_response(body: JsonObject) -> JsonObject:
    """Return a response as a message; raises UpstreamProtocol for an item that Messages cannot show."""
    blocks: list[JsonObject] = []
    is_refusal = False
    is_cut = body.get("status") == "incomplete"
    output = body.get("output")
    for item in output if isinstance(output, list) else ():
        if not is_object(item):
            continue
        match _shown_type(item):
            case "message":
                parts = [_part_block(part) for part in _objects(item.get("content"))]
                blocks += [block for block in parts if block["text"]]
                is_refusal = is_refusal or any(part.get("refusal") for part in _objects(item.get("content")))
            case "reasoning":
                blocks += _thought(item)
            case _:
                blocks.append(_tool_use(item, is_cut=is_cut))
    called = any(block["type"] == "tool_use" for block in blocks)
    return {
        **_head(body),
        "content": list[JsonValue](blocks),
        "stop_reason": stop_reason(body, called=called, refused=is_refusal),
        "stop_sequence": None,
        "usage": _usage(body.get("usage")),
    }


def stop_reason(response: JsonObject, *, called: bool, refused: bool) -> str:
    """Return why a response ended, in the words of Messages."""
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        return INCOMPLETE.get(str(details.get("reason")), "max_tokens") if is_object(details) else "max_tokens"
    if refused:
        return "refusal"
    return "tool_use" if called else "end_turn"


class MessagesFromResponse:
    """Turns the typed events of one response into Messages events.

    One content block is open at a time, so the events of an item wait while an earlier item is open.
    """

    def __init__(self) -> None:
        self._writer = BlockWriter()
        self._item: JsonValue = None
        self._waiting: dict[int, list[JsonObject]] = {}
        self._has_pieces = False
        self._has_calls = False
        self._is_refusal = False
        self._response: JsonObject = {}
        self._takers: Mapping[str, Callable[[JsonObject], bytes]] = {
            "response.output_item.added": self._begin_item,
            "response.output_item.done": self._end_item,
            "response.content_part.done": lambda _: self._writer.close() if self._writer.open == "text" else b"",
            "response.output_text.delta": self._text,
            "response.refusal.delta": self._refusal,
            "response.reasoning_text.delta": self._reasoning,
            "response.reasoning_summary_text.delta": self._summary,
            "response.reasoning_summary_part.added": self._summary_part,
            "response.function_call_arguments.delta": lambda data: self._arguments(data.get("delta")),
        }

    def event(self, data: JsonObject) -> bytes:
        """Take one event and return what it becomes; raises UpstreamProtocol for what Messages cannot show."""
        response = data.get("response")
        if is_object(response):
            self._response = response
            return b"" if self._writer.is_started else self._writer.start(_head(response))
        index = data.get("output_index")
        if isinstance(index, int) and self._item not in (None, index):
            self._waiting.setdefault(index, []).append(data)
            return b""
        return self._take(data)

    def finish(self) -> bytes:
        """Return the end of the open block, the stop reason with the usage, and the end of the message."""
        out = b"" if self._writer.is_started else self._writer.start(_head(self._response))
        out += self._leave_item()
        reason = stop_reason(self._response, called=self._has_calls, refused=self._is_refusal)
        return out + self._writer.finish(
            reason, None, _usage(self._response.get("usage")), self._response.get("headrace")
        )

    def _take(self, data: JsonObject) -> bytes:
        kind = data.get("type")
        take = self._takers.get(kind) if isinstance(kind, str) else None
        return b"" if take is None else take(data)

    def _begin_item(self, data: JsonObject) -> bytes:
        item = data.get("item")
        if not is_object(item):
            return b""
        self._item = data.get("output_index")
        self._has_pieces = False
        if _shown_type(item) != "function_call":
            return b""
        self._has_calls = True
        use: JsonObject = {"type": "tool_use", "id": item.get("call_id"), "name": item.get("name"), "input": {}}
        return self._writer.begin("tool_use", use)

    def _end_item(self, data: JsonObject) -> bytes:
        given = data.get("item")
        item = given if is_object(given) else {}
        out = b""
        if item.get("type") == "reasoning":
            out = self._seal(item)
        elif item.get("type") == "function_call" and not self._has_pieces:
            out = self._arguments(item.get("arguments"))
        return out + self._leave_item()

    def _leave_item(self) -> bytes:
        out, self._item = self._writer.close(), None
        while self._waiting and self._item is None:
            for data in self._waiting.pop(next(iter(self._waiting))):
                out += self._take(data)
            if self._item is not None and self._is_over:
                out += self._leave_item()
        return out

    @property
    def _is_over(self) -> bool:
        return self._response.get("status") in ("completed", "incomplete")

    def _seal(self, item: JsonObject) -> bytes:
        sealed = block_of_item(item)
        if not sealed or not is_object(sealed[0]):
            return b""
        if self._writer.open == "thinking":
            return self._writer.add({"type": "signature_delta", "signature": sealed[0]["data"]})
        return self._writer.begin("redacted_thinking", sealed[0])

    def _text(self, data: JsonObject) -> bytes:
        return self._writer.write("text", {"type": "text_delta", "text": data.get("delta")})

    def _refusal(self, data: JsonObject) -> bytes:
        self._is_refusal = True
        return self._text(data)

    def _reasoning(self, data: JsonObject) -> bytes:
        self._has_pieces = True
        return self._thinking(data.get("delta"))

    def _summary(self, data: JsonObject) -> bytes:
        """A summary stands in for reasoning that is not shown, never beside it."""
        return b"" if self._has_pieces else self._thinking(data.get("delta"))

    def _summary_part(self, data: JsonObject) -> bytes:
        return b"" if self._has_pieces or not data.get("summary_index") else self._thinking("\n\n")

    def _thinking(self, text: JsonValue) -> bytes:
        return self._writer.write("thinking", {"type": "thinking_delta", "thinking": text})

    def _arguments(self, piece: JsonValue) -> bytes:
        if self._writer.open != "tool_use":
            raise UpstreamProtocol("The upstream sent arguments of a tool call that it had not begun.")
        if not piece:
            return b""
        self._has_pieces = True
        return self._writer.add({"type": "input_json_delta", "partial_json": piece})


def _head(response: JsonObject) -> JsonObject:
    return {
        "id": f"msg_{id_stem(response.get('id'))}",
        "type": "message",
        "role": "assistant",
        "model": response.get("model"),
    }


def _shown_type(item: JsonObject) -> str:
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in _SHOWN_ITEMS:
        raise UpstreamProtocol(f'The upstream answered with an item of type "{kind}", which Messages cannot show.')
    return kind


def _objects(values: JsonValue) -> list[JsonObject]:
    return [value for value in values if is_object(value)] if isinstance(values, list) else []


def _part_block(part: JsonObject) -> JsonObject:
    return {"type": "text", "text": part.get("refusal") or part.get("text") or ""}


def _thought(item: JsonObject) -> list[JsonObject]:
    """Return a reasoning item as a block: its text signed by its seal, or the seal alone."""
    texts = [str(part["text"]) for part in _objects(item.get("content")) if part.get("text")]
    if texts:
        thinking = "".join(texts)
    else:
        thinking = "\n\n".join(str(part["text"]) for part in _objects(item.get("summary")) if part.get("text"))
    sealed = [block for block in block_of_item(item) if is_object(block)]
    if not thinking:
        return sealed
    return [{"type": "thinking", "thinking": thinking, "signature": sealed[0]["data"] if sealed else ""}]


def _tool_use(item: JsonObject, *, is_cut: bool) -> JsonObject:
    return tool_use(item.get("call_id"), item.get("name"), item.get("arguments"), is_cut=is_cut)


def _usage(block: JsonValue) -> JsonObject:
    return written_usage(read_usage(block), block)
