"""A call as it was understood: the fields that we own, beside the body that we do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from headrace.domain.access import Caller
from headrace.domain.catalog import Capability
from headrace.domain.json_value import JsonValue
from headrace.domain.router import RoutingPreference
from headrace.domain.usage import Quantities


class Operation(StrEnum):
    """What the caller asks for."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    COMPLETIONS = "completions"
    RERANK = "rerank"
    IMAGES = "images"
    SPEECH = "speech"


class Dialect(StrEnum):
    """The format of a request and its reply on the wire."""

    CHAT = "chat"
    MESSAGES = "messages"
    RESPONSES = "responses"


@dataclass(frozen=True, slots=True)
class Media:
    """How many images, pieces of audio and files a prompt has; `inline_bytes` of the body are their own bytes."""

    images: int = 0
    audios: int = 0
    files: int = 0
    inline_bytes: int = 0


NO_MEDIA = Media()


@dataclass(frozen=True, slots=True)
class Envelope:
    """The fields of a request body that we own or must understand.

    `output_cap` is the caller's cap, or None. `body_bytes` bounds the prompt: a byte-level tokenizer cannot make
    more tokens than bytes, but for `media`. `choices` is OpenAI's `n`. `units` are the most that the call can use of
    what is priced by the piece. `prompt_tokens` is how many one choice has, where they were counted.
    `predicted_tokens` bounds what is billed as output beside the cap: a prediction that the answer does not follow.
    """

    model: str
    stream: bool
    include_usage: bool
    output_cap: int | None
    choices: int
    needs: frozenset[Capability]
    body_bytes: int
    media: Media = NO_MEDIA
    units: Quantities = ()
    prompt_tokens: int | None = None
    predicted_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One request of an identified caller; `body` is the validated body with everything the caller sent.

    `fallbacks` are the names that the caller lists after the model; `may_substitute` is False when only the model
    that was asked for may answer. `passed_headers` are those that an upstream of the same dialect is told. `origin` is
    the call as it came, where this one is its translation. `affinity` names the session at a router, `none` where the
    caller wants none; `switch_spend_ppm` is how much a session may spend on leaving warm caches, in parts per million
    of what staying costs. `routing_preference` is what the managed router is asked for. All three are None where the
    caller says nothing.
    """

    request_id: str
    operation: Operation
    caller: Caller
    envelope: Envelope
    body: Mapping[str, JsonValue]
    received_at_micros: int
    dialect: Dialect = Dialect.CHAT
    tags: tuple[str, ...] = field(default=())
    fallbacks: tuple[str, ...] = ()
    may_substitute: bool = True
    passed_headers: tuple[tuple[str, str], ...] = ()
    origin: Call | None = None
    affinity: str | None = None
    switch_spend_ppm: int | None = None
    routing_preference: RoutingPreference | None = None
