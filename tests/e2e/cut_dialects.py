"""What a caller of each dialect sends and must see when its stream is cut; written from the dialects' documents.

Sources: OpenAI API reference, "Streaming" of chat and "Streaming events" of Responses; Anthropic API reference,
"Streaming messages" (all read 2026-11-24).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.e2e.cut_recordings import Dialect

Event: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Spoken:
    """One dialect as a caller sees it.

    Shapes: `never_broken` are bytes that only a complete answer holds; `code_of` reads the code of an error event;
    `is_end` judges the last payload of a stream.
    """

    path: str
    request: Callable[[str, str, bool], Event]
    is_end: Callable[[str], bool]
    code_of: Callable[[Event], Any]
    body_code_of: Callable[[Event], Any]
    never_broken: tuple[bytes, ...]


def payloads_of(stream: bytes) -> list[str]:
    """The data of each event of a stream of whole frames; a torn last frame is an AssertionError."""
    *frames, rest = stream.decode().replace("\r\n", "\n").split("\n\n")
    assert rest == "", f"a torn frame left: {rest!r}"
    data = [[line[5:].strip(" ") for line in frame.split("\n") if line.startswith("data:")] for frame in frames]
    return ["\n".join(lines) for lines in data if lines]


def cost_shown(events: Sequence[Event]) -> int | None:
    """The cost that a complete answer tells, wherever its dialect has a place for it."""
    holders: list[Event] = [*events, *(each["response"] for each in events if each.get("response"))]
    costs: list[int] = [each["headrace"]["cost_nano_usd"] for each in holders if each.get("headrace")]
    assert len(costs) <= 1, f"the cost is told {len(costs)} times"
    return costs[0] if costs else None


def _chat_request(model: str, prompt: str, asks_for_usage: bool) -> Event:
    body: Event = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True}
    return {**body, "stream_options": {"include_usage": True}} if asks_for_usage else body


def _messages_request(model: str, prompt: str, _asks_for_usage: bool) -> Event:
    return {"model": model, "max_tokens": 999, "messages": [{"role": "user", "content": prompt}], "stream": True}


def _responses_request(model: str, prompt: str, asks_for_usage: bool) -> Event:
    return {"model": model, "input": prompt, "stream": True, "store": asks_for_usage}


def _has_type(*types: str) -> Callable[[str], bool]:
    return lambda payload: json.loads(payload).get("type") in types


def _nested_code(event: Event) -> Any:
    return event["error"]["code"]


def _named_error_code(event: Event) -> Any:
    assert event["type"] == "error"
    return event["error"]["code"]


def _numbered_error_code(event: Event) -> Any:
    assert event["type"] == "error"
    assert isinstance(event["sequence_number"], int)
    return event["code"]


SPOKEN: Mapping[Dialect, Spoken] = {
    "chat": Spoken(
        path="/v1/chat/completions",
        request=_chat_request,
        is_end=lambda payload: payload == "[DONE]",
        code_of=_nested_code,
        body_code_of=_nested_code,
        never_broken=(b"[DONE]", b'"finish_reason":"'),
    ),
    "messages": Spoken(
        path="/v1/messages",
        request=_messages_request,
        is_end=_has_type("message_stop"),
        code_of=_named_error_code,
        body_code_of=_named_error_code,
        never_broken=(b"message_stop", b"message_delta", b'"stop_reason":"'),
    ),
    "responses": Spoken(
        path="/v1/responses",
        request=_responses_request,
        is_end=_has_type("response.completed", "response.incomplete"),
        code_of=_numbered_error_code,
        body_code_of=_nested_code,
        never_broken=(b"[DONE]", b"response.completed", b"response.incomplete"),
    ),
}
