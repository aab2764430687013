"""Shapes of the Responses dialect in the published description.

A request shows the fields that are read here; all others pass on or are named as dropped. Types here only describe.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.wire.openapi_chat import Cap, ModelName, ModelNames

Input = Annotated[
    Any,
    Meta(
        description="A text, or items: messages, calls of tools and their results, references to items that are kept.",
        extra_json_schema={
            "anyOf": [
                {"type": "string"},
                {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "object", "properties": {"type": {"type": "string", "default": "message"}}},
                },
            ]
        },
    ),
]


class ResponseRequest(Struct, kw_only=True):
    """A conversation to answer; fields that are not listed pass on or are named as dropped."""

    model: ModelName
    input: Input
    models: ModelNames | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_output_tokens: Cap | None = None
    store: bool | None = None
    background: Annotated[bool, Meta(description="Nothing runs in the background: true is refused.")] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    parallel_tool_calls: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    include: list[str] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class ResponseUsage(Struct, kw_only=True):
    """Tokens as the dialect counts them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class ResponseItem(Struct, kw_only=True):
    """One item; its other fields go by its type."""

    type: str
    id: str | UnsetType = UNSET


class Response(Struct, kw_only=True):
    """A whole answer; what it cost stands in the headers."""

    id: str
    object: Literal["response"]
    created_at: float
    status: Literal["completed", "incomplete", "failed", "in_progress", "cancelled", "queued"]
    model: str
    output: list[ResponseItem]
    usage: ResponseUsage | None
    store: bool | UnsetType = UNSET


class ResponseQuery(Struct, kw_only=True):
    """A kept response is returned whole: `true` is refused."""

    stream: Literal["false", "true"] = "false"


class ResponseDeleted(Struct, kw_only=True):
    """The response is forgotten."""

    id: str
    object: Literal["response"]
    deleted: bool


class InputCountRequest(Struct, kw_only=True):
    """A prompt to count; fields that are not listed count nothing."""

    input: Input
    model: ModelName | None = None
    previous_response_id: str | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    text: dict[str, Any] | None = None


class InputCount(Struct, kw_only=True):
    """About how many tokens the prompt has."""

    object: Literal["response.input_tokens"]
    input_tokens: int
    estimated: bool


class InputItemsQuery(Struct, kw_only=True):
    """Which items are shown."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    after: str | UnsetType = UNSET
    order: Literal["desc", "asc"] = "desc"


class InputItems(Struct, kw_only=True):
    """A page of what a response answered."""

    object: Literal["list"]
    data: list[ResponseItem]
    first_id: str
    last_id: str
    has_more: bool
