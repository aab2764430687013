"""Typed events read back and judged by the official SDK's own types."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def read_events(frames: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream, each named by its type; an event that the SDK's types refuse fails the test."""
    events: list[dict[str, Any]] = []
    for frame in frames.decode().split("\n\n")[:-1]:
        name, data = frame.split("\n")
        event: dict[str, Any] = msgspec.json.decode(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        judge(EVENTS.validate_python(event, strict=False), event)
        events.append(event)
    numbers = [event["sequence_number"] for event in events]
    assert numbers == sorted(set(numbers))
    return events


def judge(model: Any, given: Any) -> None:
    """Fail for a null where the SDK's types say that a member is absent or set."""
    kind = cast("type[BaseModel]", type(model))
    assert kind.model_validate(given, strict=True)


def read_response(body: Any) -> Response:
    """Return a response as the SDK sees it, judged strictly."""
    return Response.model_validate(body, strict=True)


def types_of(events: Sequence[dict[str, Any]]) -> list[str]:
    """Return the types of events without their common prefix."""
    return [event["type"].removeprefix("response.") for event in events]
