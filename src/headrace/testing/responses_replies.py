"""Ready-made replies in OpenAI's Responses dialect, whole or as typed events; chooses and sends nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import msgspec

from headrace.testing.openai_replies import CREATED_UNIX_SECONDS, Chat, ToolCall, stream_reply, words
from headrace.testing.script import Frame, Reply

_REASONS: Mapping[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
_FAILURE: Mapping[str, object] = {"code": "server_error", "message": "The server is overloaded."}


def response_reply(chat: Chat | str = "Hello from the fake upstream.") -> Reply:
    """A response in one piece; the whole body is one frame, billed when all of it is written."""
    chat = Chat(chat) if isinstance(chat, str) else chat
    body = _response(chat, _ended(chat), _output(chat), _usage(chat))
    frame = Frame(msgspec.json.encode(body), chat.completion_tokens)
    return Reply(headers={"content-type": "application/json"}, frames=(frame,), prompt_tokens=chat.prompt_tokens)


def response_stream(chat: Chat | str = "Hello from the fake upstream.") -> Reply:
    """A streamed response: one delta per word or argument piece, then the event that carries all of it.

    `error_at_frame` replaces that frame and all after it by `response.failed`; `done=False` leaves the last one out.
    """
    chat = Chat(chat) if isinstance(chat, str) else chat
    events = [*_events(chat)]
    if chat.error_at_frame is not None:
        failed = {**_response(chat, "failed", [], None), "error": dict(_FAILURE)}
        events = [*events[: chat.error_at_frame], ("response.failed", {"response": failed}, 0)]
    elif not chat.done:
        events = events[:-1]
    frames = [
        Frame(_frame({"type": kind, "sequence_number": number, **fields}), tokens)
        for number, (kind, fields, tokens) in enumerate(events)
    ]
    return stream_reply(frames, prompt_tokens=chat.prompt_tokens)


def limited(chat: Chat, cap: int | None) -> Chat:
    """The same answer cut at that many words, as an upstream with an output cap gives it."""
    spoken = words(chat.text)
    if cap is None or cap >= len(spoken):
        return chat
    return replace(chat, text="".join(spoken[:cap]), finish_reason="length")


def _events(chat: Chat) -> Iterator[tuple[str, dict[str, object], int]]:
    begun: dict[str, object] = {"response": _response(chat, "in_progress", [], None)}
    yield "response.created", begun, 0
    yield "response.in_progress", begun, 0
    for index, item in enumerate(_output(chat)):
        match item["type"]:
            case "function_call":
                yield from _call_events(index, item, chat.tool_calls[index - bool(chat.reasoning)])
            case "reasoning":
                yield from _part_events(index, item, "response.reasoning_text", chat.reasoning)
            case _:
                yield from _part_events(index, item, "response.output_text", chat.text)
    ended = _ended(chat)
    yield f"response.{ended}", {"response": _response(chat, ended, _output(chat), _usage(chat))}, 0


def _part_events(
    index: int, item: dict[str, object], kind: str, text: str
) -> Iterator[tuple[str, dict[str, object], int]]:
    place: dict[str, object] = {"output_index": index, "item_id": item["id"], "content_index": 0}
    more: dict[str, object] = {"logprobs": []} if kind.endswith("output_text") else {}
    part = _text_part(text) if more else {"type": "reasoning_text", "text": text}
    empty = {**part, "text": ""}
    yield "response.output_item.added", {"output_index": index, "item": {**item, "content": []}}, 0
    yield "response.content_part.added", {**place, "part": empty}, 0
    for word in words(text):
        yield f"{kind}.delta", {**place, "delta": word, **more}, 1
    yield f"{kind}.done", {**place, "text": text, **more}, 0
    yield "response.content_part.done", {**place, "part": part}, 0
    yield "response.output_item.done", {"output_index": index, "item": item}, 0


def _call_events(index: int, item: dict[str, object], call: ToolCall) -> Iterator[tuple[str, dict[str, object], int]]:
    place: dict[str, object] = {"output_index": index, "item_id": item["id"]}
    begun = {**item, "arguments": "", "status": "in_progress"}
    yield "response.output_item.added", {"output_index": index, "item": begun}, 0
    for piece in call.pieces:
        yield "response.function_call_arguments.delta", {**place, "delta": piece}, 1
    yield "response.function_call_arguments.done", {**place, "name": call.name, "arguments": call.arguments}, 0
    yield "response.output_item.done", {"output_index": index, "item": item}, 0


def _output(chat: Chat) -> list[dict[str, object]]:
    items: list[dict[str, object]] = []
    if chat.reasoning:
        content = [{"type": "reasoning_text", "text": chat.reasoning}]
        items.append({"type": "reasoning", "id": f"rs_{chat.id}", "summary": [], "content": content})
    if chat.text and not chat.tool_calls:
        status = _ended(chat)
        message: dict[str, object] = {"type": "message", "id": f"msg_{chat.id}", "role": "assistant", "status": status}
        items.append({**message, "content": [_text_part(chat.text)]})
    for call in chat.tool_calls:
        items.append(
            {
                "type": "function_call",
                "id": f"fc_{call.id}",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
                "status": "completed",
            }
        )
    return items


def _text_part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _ended(chat: Chat) -> str:
    return "incomplete" if chat.finish_reason in _REASONS else "completed"


def _usage(chat: Chat) -> Mapping[str, object] | None:
    if chat.usage in {"absent", "null"}:
        return None
    if chat.reported is not None:
        return chat.reported
    prompt, completion = (0, 0) if chat.usage == "zero" else (chat.prompt_tokens, chat.completion_tokens)
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": len(words(chat.reasoning))},
        "total_tokens": prompt + completion,
    }


def _response(
    chat: Chat, status: str, output: list[dict[str, object]], usage: Mapping[str, object] | None
) -> dict[str, object]:
    reason = _REASONS.get(chat.finish_reason or "") if status == "incomplete" else None
    return {
        "id": f"resp_{chat.id}",
        "object": "response",
        "created_at": CREATED_UNIX_SECONDS,
        "status": status,
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": None,
        "metadata": {},
        "model": chat.model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage,
    }


def _frame(event: Mapping[str, object]) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + msgspec.json.encode(event) + b"\n\n"
