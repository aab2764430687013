"""Which routes are hot, and what the description says of each; serving them is inference.py's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from headrace.domain.call import Dialect, Envelope, Operation
from headrace.domain.json_value import JsonObject
from headrace.wire import (
    anthropic_messages,
    images,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
    rerank,
    speech,
)
from headrace.wire.openapi import EVENTS, JSON, Entry
from headrace.wire.openapi_chat import (
    ChatCompletion,
    ChatRequest,
    Completion,
    CompletionRequest,
    EmbeddingList,
    EmbeddingRequest,
)
from headrace.wire.openapi_messages import Message, MessagesRequest
from headrace.wire.openapi_passthrough import ImageRequest, Images, Ranking, RerankRequest, SpeechRequest
from headrace.wire.openapi_responses import Response, ResponseRequest
from headrace.wire.rate_headers import ANTHROPIC_NAMES, NAMES

ReadEnvelope: TypeAlias = Callable[[JsonObject, int], Envelope]


@dataclass(frozen=True, slots=True)
class HotRoute:
    """One hot route: its path, its operation and the reader of its envelope."""

    path: str
    operation: Operation
    read_envelope: ReadEnvelope
    dialect: Dialect = Dialect.CHAT
    entry: Entry | None = None


FAILS = (402, 403, 404, 409, 422, 429, 502, 504)
SENDS = (
    "x-headrace-model",
    "x-headrace-provider",
    "x-headrace-attempts",
    "x-headrace-dropped",
    "x-headrace-cost-usd",
    "x-headrace-cost-nano-usd",
    "x-headrace-clamped",
    "idempotency-replayed",
    "x-headrace-cache",
    "x-headrace-cache-source",
    "x-model-router-selected-route",
    "x-headrace-router",
    "x-headrace-route-score",
    "x-headrace-route-basis",
    "x-headrace-session",
    *NAMES,
)
READS = (
    "idempotency-key",
    "x-headrace-fallback",
    "x-headrace-tags",
    "cache-control",
    "x-model-affinity",
    "x-routing-max-switch-spend-pct",
)


def _entry(does: str, gives: Any, takes: Any, media: tuple[str, ...] = (JSON,)) -> Entry:
    return Entry(does, gives, takes, fails=FAILS, media=media, sends=SENDS, reads=READS)


CHAT_ENTRY = _entry("Answers a conversation, streamed or whole", ChatCompletion, ChatRequest, (JSON, EVENTS))
MESSAGES_ENTRY = replace(
    _entry("Answers in Anthropic's Messages dialect", Message, MessagesRequest, (JSON, EVENTS)),
    sends=(*SENDS, *ANTHROPIC_NAMES),
    reads=(*READS, "anthropic-version", "anthropic-beta"),
)
RESPONSES_ENTRY = _entry("Answers in the Responses dialect", Response, ResponseRequest, (JSON, EVENTS))
EMBEDDINGS_ENTRY = _entry("Turns texts into vectors", EmbeddingList, EmbeddingRequest)
COMPLETIONS_ENTRY = _entry("Continues a text", Completion, CompletionRequest, (JSON, EVENTS))
RERANK_ENTRY = _entry("Orders documents by a query", Ranking, RerankRequest)
IMAGES_ENTRY = _entry("Makes images", Images, ImageRequest)
SPEECH_ENTRY = _entry("Speaks a text", (), SpeechRequest, tuple(speech.CONTENT_TYPES.values()))
HOT_ROUTES = (
    HotRoute("/v1/chat/completions", Operation.CHAT, openai_chat.read_envelope, entry=CHAT_ENTRY),
    HotRoute("/v1/messages", Operation.CHAT, anthropic_messages.read_envelope, Dialect.MESSAGES, MESSAGES_ENTRY),
    HotRoute("/v1/responses", Operation.CHAT, openai_responses.read_envelope, Dialect.RESPONSES, RESPONSES_ENTRY),
    HotRoute("/v1/embeddings", Operation.EMBEDDINGS, openai_embeddings.read_envelope, entry=EMBEDDINGS_ENTRY),
    HotRoute("/v1/completions", Operation.COMPLETIONS, openai_completions.read_envelope, entry=COMPLETIONS_ENTRY),
    HotRoute("/v1/rerank", Operation.RERANK, rerank.read_envelope, entry=RERANK_ENTRY),
    HotRoute("/v1/images/generations", Operation.IMAGES, images.read_envelope, entry=IMAGES_ENTRY),
    HotRoute("/v1/audio/speech", Operation.SPEECH, speech.read_envelope, entry=SPEECH_ENTRY),
)
