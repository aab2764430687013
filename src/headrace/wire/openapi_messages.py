"""Shapes of Messages in the published description, as Anthropic has them.

A request shows the fields that are read here; all others pass on or are named as dropped. Types here only describe.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from headrace.wire.openapi_chat import ModelName, ModelNames


class MessagesBlock(Struct, kw_only=True):
    """A block of content; its other fields go by its type."""

    type: str


class MessagesTurn(Struct, kw_only=True):
    """One turn of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[MessagesBlock]


class MessagesChoice(Struct, kw_only=True):
    """How tools are chosen, or how the model thinks; the other fields go by the type."""

    type: str


class CountRequest(Struct, kw_only=True):
    """A prompt to count; fields that are not listed count as text of the prompt."""

    model: ModelName
    messages: Annotated[list[MessagesTurn], Meta(min_length=1)]
    tools: list[dict[str, Any]] | None = None
    tool_choice: MessagesChoice | None = None
    thinking: MessagesChoice | None = None
    output_config: dict[str, Any] | None = None


class MessagesRequest(CountRequest, kw_only=True):
    """A conversation to answer; fields that are not listed pass on or are named as dropped."""

    max_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1, description="The most tokens that the answer may have.")]
    models: ModelNames | None = None
    stream: bool | None = None


class MessagesUsage(Struct, kw_only=True):
    """Tokens as the dialect counts them."""

    input_tokens: int
    output_tokens: int


class Message(Struct, kw_only=True):
    """A whole answer; what it cost stands in the headers."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    content: list[MessagesBlock]
    model: str
    stop_reason: str | None
    stop_sequence: str | None
    usage: MessagesUsage


class TokenCount(Struct, kw_only=True):
    """About how many tokens the prompt has."""

    input_tokens: int
    estimated: bool
