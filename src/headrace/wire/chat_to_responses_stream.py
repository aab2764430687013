"""OpenAI's typed Responses stream as chat chunks, event by event; whole answers are chat_to_responses'."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.domain.errors import UpstreamProtocol
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.json_strict import encode, is_object
from headrace.wire.responses_object import id_stem
from headrace.wire.responses_usage import shown_chat_usage
from headrace.wire.sealed_reasoning import block_of_item
from headrace.wire.sse import DONE, data_frame

_SHOWN_ITEMS = ("message", "reasoning", "function_call")
_INCOMPLETE: Mapping[str, str] = {"max_output_tokens": "length", "content_filter": "content_filter"}


class ResponseEventsToChunks:
    """Turns the typed events of one response into chat chunks; `show_usage` is what the caller asked for."""

    def __init__(self, *, show_usage: bool) -> None:
        self._show_usage = show_usage
        self._head: JsonObject = {}
        self._calls: dict[str, int] = {}
        self._argued: set[str] = set()
        self._thought: set[str] = set()
        self._takers: Mapping[str, Callable[[JsonObject], bytes]] = {
            "response.created": self._start,
            "response.output_text.delta": self._text,
            "response.refusal.delta": self._refusal,
            "response.reasoning_text.delta": self._reasoning,
            "response.reasoning_summary_text.delta": self._summary,
            "response.reasoning_summary_part.added": self._summary_part,
            "response.output_item.added": self._item,
            "response.output_item.done": self._item_end,
            "response.function_call_arguments.delta": self._arguments,
            "response.function_call_arguments.done": self._whole_arguments,
            "response.completed": self._end,
            "response.incomplete": self._end,
        }

    def event(self, data: JsonObject) -> bytes:
        """Take one event; those that chat has no chunk for are silent."""
        kind = data.get("type")
        take = self._takers.get(kind) if isinstance(kind, str) else None
        return b"" if take is None else take(data)

    def finish(self) -> bytes:
        """Return the terminator."""
        return DONE

    def _start(self, data: JsonObject) -> bytes:
        response = data.get("response")
        given = response if is_object(response) else {}
        created = given.get("created_at")
        self._head = {
            "id": f"chatcmpl-{id_stem(given.get('id'))}",
            "object": "chat.completion.chunk",
            "created": int(created) if isinstance(created, int | float) else 0,
            "model": given.get("model"),
        }
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _text(self, data: JsonObject) -> bytes:
        logprobs = data.get("logprobs")
        tokens = logprobs if isinstance(logprobs, list) else []
        return self._chunk({"content": data.get("delta")}, logprobs=logprobs_object(tokens))

    def _refusal(self, data: JsonObject) -> bytes:
        return self._chunk({"refusal": data.get("delta")})

    def _reasoning(self, data: JsonObject) -> bytes:
        self._thought.add(str(data.get("item_id")))
        return self._chunk({"reasoning_content": data.get("delta")})

    def _summary(self, data: JsonObject) -> bytes:
        """A summary stands in for reasoning that is not shown, never beside it."""
        if str(data.get("item_id")) in self._thought:
            return b""
        return self._chunk({"reasoning_content": data.get("delta")})

    def _summary_part(self, data: JsonObject) -> bytes:
        index = data.get("summary_index")
        if str(data.get("item_id")) in self._thought or not isinstance(index, int) or index == 0:
            return b""
        return self._chunk({"reasoning_content": "\n\n"})

    def _item(self, data: JsonObject) -> bytes:
        item = data.get("item")
        kind = item.get("type") if is_object(item) else None
        if kind not in _SHOWN_ITEMS or not is_object(item):
            raise UpstreamProtocol(f'The upstream answered with an item of type "{kind}", which chat cannot show.')
        if kind != "function_call":
            return b""
        index = self._calls.setdefault(str(item.get("id")), len(self._calls))
        function: JsonObject = {"name": item.get("name"), "arguments": ""}
        return self._chunk(
            {"tool_calls": [{"index": index, "id": item.get("call_id"), "type": "function", "function": function}]}
        )

    def _item_end(self, data: JsonObject) -> bytes:
        item = data.get("item")
        blocks = block_of_item(item) if is_object(item) and item.get("type") == "reasoning" else []
        return self._chunk({"thinking_blocks": blocks}) if blocks else b""

    def _arguments(self, data: JsonObject) -> bytes:
        item_id = str(data.get("item_id"))
        self._argued.add(item_id)
        return self._piece(item_id, data.get("delta"))

    def _whole_arguments(self, data: JsonObject) -> bytes:
        item_id = str(data.get("item_id"))
        return b"" if item_id in self._argued else self._piece(item_id, data.get("arguments"))

    def _piece(self, item_id: str, piece: JsonValue) -> bytes:
        index = self._calls.get(item_id)
        if index is None:
            raise UpstreamProtocol("The upstream sent arguments of a tool call that it had not begun.")
        return self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})

    def _end(self, data: JsonObject) -> bytes:
        response = data.get("response")
        given = response if is_object(response) else {}
        frames = b"" if self._head else self._start(data)
        frames += self._chunk({}, finish=finish_reason(given, called=bool(self._calls)))
        usage = given.get("usage")
        if self._show_usage and is_object(usage):
            last: JsonObject = {**self._head, "choices": [], "usage": shown_chat_usage(usage)}
            if "headrace" in given:
                last["headrace"] = given["headrace"]
            frames += data_frame(encode(last))
        return frames

    def _chunk(self, delta: JsonObject, *, logprobs: JsonValue = None, finish: str | None = None) -> bytes:
        choice: JsonObject = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return data_frame(encode({**self._head, "choices": [choice]}))


def finish_reason(response: JsonObject, *, called: bool) -> str:
    """Return why a response ended, in chat's words."""
    details = response.get("incomplete_details")
    reason = details.get("reason") if is_object(details) else None
    if response.get("status") == "incomplete":
        return _INCOMPLETE.get(str(reason), "length")
    return "tool_calls" if called else "stop"


def logprobs_object(tokens: list[JsonValue]) -> JsonValue:
    """Return chat's log probabilities of some tokens, or None when there are none."""
    if not tokens:
        return None
    return {"content": [_token(token) for token in tokens], "refusal": None}


def _token(token: JsonValue) -> JsonValue:
    if not is_object(token):
        return token
    spelled = list[JsonValue](str(token.get("token")).encode())
    top = token.get("top_logprobs")
    return {"bytes": spelled, **token, "top_logprobs": [_token(each) for each in top] if isinstance(top, list) else []}
