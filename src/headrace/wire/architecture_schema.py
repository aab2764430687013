"""The architecture file's form as types, and the JSON Schema made of them; reading a file is architecture_file's."""

from __future__ import annotations

import json
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import schema as json_schema

from headrace.domain.architecture import FactStatus
from headrace.wire.catalog_schema import Day, ModelId, Text, Tokens

MOST_BYTES = 1 << 52
Bytes = Annotated[int, Meta(ge=1, le=MOST_BYTES, description="A whole number of bytes.")]
Count = Annotated[int, Meta(ge=1, le=1_000_000, description="A whole number, at least 1.")]
Parameters = Annotated[int, Meta(ge=1, le=MOST_BYTES, description="How many numbers its weights are.")]
Elements = Annotated[
    int, Meta(ge=1, le=1_000_000, description="How many numbers a layer keeps of a token, in the place of heads.")
]
Names = Annotated[
    tuple[ModelId, ...], Meta(min_length=1, description="The model's names: the hub's first, then the catalogue's.")
]


class CacheTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[architectures.cache]]` table: layers that keep the same of every token.

    Either `kv_heads` and `head_dim`, for keys and values of every head, or `elements`, which no two GPUs can share.
    """

    layers: Count
    kv_heads: Count | UnsetType = UNSET
    head_dim: Count | UnsetType = UNSET
    elements: Elements | UnsetType = UNSET
    window: Tokens | UnsetType = UNSET
    tokens_per_entry: Count = 1
    element_bytes: Annotated[int, Meta(ge=1, le=8, description="Bytes of one number, 1 to 8.")] = 2


class ArchitectureTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[architectures]]` table: one model's sizes."""

    name: Text
    models: Names
    parameters: Parameters
    weight_bytes: Bytes
    hidden_size: Count
    vocabulary: Annotated[int, Meta(ge=1, le=100_000_000, description="How many tokens it knows.")]
    attention_heads: Count
    context_length: Tokens
    source: Text
    status: Annotated[FactStatus, Meta(description='"verified" or "derived".')] = FactStatus.VERIFIED
    checked_on: Day | UnsetType = UNSET
    state_bytes: Annotated[int, Meta(ge=0, le=MOST_BYTES, description="Bytes that each request keeps.")] = 0
    gated: Annotated[bool, Meta(description="true where the hub asks for a token.")] = False
    note: Text | UnsetType = UNSET
    cache: Annotated[tuple[CacheTable, ...], Meta(description="[[architectures.cache]] tables.")] = ()


class ArchitectureTables(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of architectures."""

    folder_engine: (
        Annotated[str, Meta(min_length=1, max_length=64, description="The engine that runs a folder of weights.")]
        | UnsetType
    ) = UNSET
    architectures: Annotated[tuple[ArchitectureTable, ...], Meta(description="[[architectures]] tables.")] = ()


def schema_text() -> str:
    """Return the JSON Schema of an architecture file as the text of architectures.schema.json."""
    document = json_schema(ArchitectureTables)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "Headrace architecture file"
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
