"""The forms of a task's and a router's file as types, and the JSON Schemas made of them; reading is preset_file's."""

from __future__ import annotations

import json
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import schema as json_schema

from headrace.domain.router import Preference
from headrace.wire.catalog_schema import ModelId

Slug = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="Its name in requests, which is the file's name: lower-case letters, digits, hyphens.",
    ),
]
Line = Annotated[
    str,
    Meta(min_length=1, max_length=200, pattern=r"\S", description="A short text in quotes, at most 200 characters."),
]
Words = Annotated[
    str, Meta(min_length=1, max_length=4000, pattern=r"\S", description="Text in quotes, at most 4,000 characters.")
]
Examples = Annotated[
    tuple[Words, ...],
    Meta(max_length=50, description="A list of at most 50 prompts, each at most 4,000 characters."),
]
Pool = Annotated[
    tuple[ModelId, ...],
    Meta(min_length=1, max_length=50, description='Names of 1 to 50 models or aliases in order, like ["gpt-5.4"].'),
]
Tags = Annotated[tuple[Slug, ...], Meta(description='Words in lower case in a list, like ["code"].')]
Prefer = Annotated[Preference, Meta(description='"none" (the order of the list), "cheapest" or "fastest".')]


class TaskTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task's file; one with a shipped task's slug gives only the keys that differ."""

    slug: Slug
    name: Line | UnsetType = UNSET
    category: Line | UnsetType = UNSET
    description: Words | UnsetType = UNSET
    examples: Examples | UnsetType = UNSET
    models: Pool | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    prefer: Prefer | UnsetType = UNSET


class PolicyTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[policies]]` table: a task, and its pool and preference where they are not the task's own."""

    task_slug: Annotated[str, Meta(min_length=1, description="The slug of a task.")]
    models: Pool | UnsetType = UNSET
    prefer: Prefer | UnsetType = UNSET


class RouterTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A router's file; one with a shipped router's slug gives only the keys that differ."""

    slug: Slug
    display_name: Line | UnsetType = UNSET
    short_description: Line | UnsetType = UNSET
    long_description: Words | UnsetType = UNSET
    policies: (
        Annotated[
            tuple[PolicyTable, ...],
            Meta(min_length=1, max_length=200, description="1 to 200 [[policies]] tables, one for each task."),
        ]
        | UnsetType
    ) = UNSET
    fallback_models: Pool | UnsetType = UNSET


def task_schema_text() -> str:
    """Return the JSON Schema of a task's file as the text of task.schema.json."""
    return _schema_text(TaskTable, "Headrace task file")


def router_schema_text() -> str:
    """Return the JSON Schema of a router's file as the text of router.schema.json."""
    return _schema_text(RouterTable, "Headrace router file")


def _schema_text(kind: type[Struct], title: str) -> str:
    document = json_schema(kind)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = title
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
