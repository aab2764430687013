"""Shapes of reranking, images and speech in the published description.

A request shows the fields that are read here; all others pass on to the provider. Types here only describe.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.wire.openapi_chat import ModelName, ModelNames

TextOrObject = Annotated[
    Any, Meta(extra_json_schema={"anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "minProperties": 1}]})
]
Document = Annotated[Any, Meta(extra_json_schema={"anyOf": [{"type": "string"}, {"type": "object"}]})]


class RerankRequest(Struct, kw_only=True):
    """Documents to order by a query; fields that are not listed pass on to the provider."""

    model: ModelName
    query: TextOrObject
    documents: Annotated[list[Document], Meta(min_length=1, max_length=10_000)]
    models: ModelNames | None = None
    top_n: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class RerankResult(Struct, kw_only=True):
    """One document by its place in the request."""

    index: int
    relevance_score: float


class Ranking(Struct, kw_only=True):
    """The documents, the most relevant first, as the provider gave them."""

    results: list[RerankResult]


class ImageRequest(Struct, kw_only=True):
    """Images to make; fields that are not listed pass on to the provider. `stream` may not be true."""

    model: ModelName
    prompt: Annotated[str, Meta(min_length=1)]
    models: ModelNames | None = None
    n: Annotated[int, Meta(ge=1, le=10)] | None = None
    stream: bool | None = None


class Image(Struct, kw_only=True):
    """One image, by its bytes or by its address."""

    b64_json: str | UnsetType | None = UNSET
    url: str | UnsetType | None = UNSET


class Images(Struct, kw_only=True):
    """The images as the provider gave them."""

    created: int
    data: list[Image]


class SpeechRequest(Struct, kw_only=True):
    """A text to speak; fields that are not listed pass on to the provider."""

    model: ModelName
    input: Annotated[str, Meta(min_length=1, max_length=16_384)]
    models: ModelNames | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None
    stream_format: Literal["audio"] | None = None
