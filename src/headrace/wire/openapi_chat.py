"""Shapes of chat completions, text completions and embeddings in the published description.

A request shows the fields that are read here; all others pass on to the provider. Types here only describe.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

ModelName = Annotated[str, Meta(min_length=1, max_length=256, description="A model's id or an alias.")]
ModelNames = Annotated[
    list[ModelName], Meta(min_length=1, max_length=8, description="What to try after `model`, in order.")
]
Cap = Annotated[int, Meta(ge=1, le=2**31 - 1, description="The most tokens that the answer may have.")]
Choices = Annotated[int, Meta(ge=1, le=128, description="How many answers to make.")]
Texts = Annotated[
    Any,
    Meta(
        description="A text, several texts, one text's tokens, or several texts' tokens.",
        extra_json_schema={
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "maxItems": 256, "items": {"type": "string"}},
                {"type": "array", "minItems": 1, "items": {"type": "integer"}},
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 256,
                    "items": {"type": "array", "items": {"type": "integer"}},
                },
            ]
        },
    ),
]
Vector = Annotated[
    Any,
    Meta(
        description="Numbers, or with the encoding base64 their bytes.",
        extra_json_schema={"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]},
    ),
]


class StreamOptions(Struct, kw_only=True):
    """Whether a stream ends with its usage; only with `stream: true`."""

    include_usage: bool | None = None


class ContentPart(Struct, kw_only=True):
    """A part of a message's content; its other fields go by its type."""

    type: str


class ChatMessage(Struct, kw_only=True):
    """One message of the conversation."""

    role: str
    content: str | list[ContentPart] | None = None


class ResponseFormat(Struct, kw_only=True):
    """The format that the answer must have."""

    type: str


class ChatRequest(Struct, kw_only=True):
    """A conversation to answer; fields that are not listed pass on to the provider."""

    model: ModelName
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    models: ModelNames | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: Cap | None = None
    max_tokens: Cap | None = None
    n: Choices | None = None
    tools: list[dict[str, Any]] | None = None
    functions: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None


class ChatUsage(Struct, kw_only=True):
    """Tokens as the dialect counts them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(Struct, kw_only=True):
    """The answer as a message."""

    role: str
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class ChatChoice(Struct, kw_only=True):
    """One answer and why it ended."""

    index: int
    message: AnswerMessage
    finish_reason: str | None


class ChatCompletion(Struct, kw_only=True):
    """A whole answer; what it cost stands in the headers."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage | UnsetType = UNSET


class CompletionRequest(Struct, kw_only=True):
    """A text to continue; fields that are not listed pass on to the provider. `best_of` may only equal `n`."""

    model: ModelName
    prompt: Texts
    models: ModelNames | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Cap | None = None
    n: Choices | None = None
    best_of: Choices | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class CompletionChoice(Struct, kw_only=True):
    """One continuation and why it ended."""

    text: str
    index: int | UnsetType = UNSET
    finish_reason: str | None = None


class Completion(Struct, kw_only=True):
    """A whole continuation; what it cost stands in the headers."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: ChatUsage | UnsetType = UNSET


class EmbeddingRequest(Struct, kw_only=True):
    """Texts to turn into vectors; fields that are not listed pass on to the provider."""

    model: ModelName
    input: Texts
    models: ModelNames | None = None
    encoding_format: Literal["float", "base64"] | None = None


class EmbeddingVector(Struct, kw_only=True):
    """The vector of one text."""

    object: Literal["embedding"]
    index: int
    embedding: Vector


class EmbeddingUsage(Struct, kw_only=True):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Struct, kw_only=True):
    """The vectors in the order of the texts."""

    object: Literal["list"]
    data: list[EmbeddingVector]
    model: str
    usage: EmbeddingUsage
