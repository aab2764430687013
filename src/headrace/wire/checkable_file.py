"""Reads the file of checkable prompts, naming what is wrong with it; checking an answer is the domain's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from headrace.domain.checkable import Check, Checkable, faults
from headrace.domain.finding import Finding, config_invalid
from headrace.wire.converter import Converter
from headrace.wire.toml_form import TomlFile, read_toml

Id = Annotated[
    str,
    Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="The prompt's name: lower-case letters, digits, hyphens."),
]
Kind = Annotated[
    str,
    Meta(pattern=r"^[a-z][a-z_]{0,30}$", description="What is asked, like word_problem: lower case, underscores."),
]
Prompt = Annotated[
    str, Meta(min_length=1, max_length=2000, pattern=r"\S", description="Text in quotes, at most 2,000 characters.")
]
CheckName = Annotated[Check, Meta(description='"equals", "number", "contains", "one_of", "regex" or "json_keys".')]
Expected = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=400)], ...],
    Meta(min_length=1, max_length=20, description='A list of 1 to 20 texts, like ["42"].'),
]
Difficulty = Annotated[int, Meta(ge=1, le=5, description="1 (easiest) to 5.")]


class PromptTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[prompt]]` table."""

    id: Id
    kind: Kind
    prompt: Prompt
    check: CheckName
    expected: Expected
    difficulty: Difficulty


class CheckableTables(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of checkable prompts."""

    prompt: Annotated[tuple[PromptTable, ...], Meta(min_length=1, description="[[prompt]] tables, at least one.")]


_TABLES = Converter(CheckableTables)


def read_checkable(file: str, data: bytes) -> tuple[Checkable, ...]:
    """Return a file's prompts in its order; raises ConfigInvalid with every finding."""
    read = read_toml(file, data, _TABLES)
    if isinstance(read, tuple):
        raise config_invalid(read)
    findings = tuple(_check(read))
    if findings:
        raise config_invalid(findings)
    return tuple(map(_checkable, read.tables.prompt))


def _check(file: TomlFile[CheckableTables]) -> Iterator[Finding]:
    ids: set[str] = set()
    prompts: set[str] = set()
    for index, each in enumerate(file.tables.prompt):
        at = ("prompt", index)
        if each.id in ids:
            yield file.finding((*at, "id"), f'"{each.id}" stands here a second time', "Give it another id.")
        if each.prompt in prompts:
            yield file.finding((*at, "prompt"), "stands here a second time", "Ask each prompt once.")
        ids.add(each.id)
        prompts.add(each.prompt)
        for fault in faults(_checkable(each)):
            yield file.finding((*at, "expected"), fault, "Write what a right answer has; docs/calibration.md.")


def _checkable(table: PromptTable) -> Checkable:
    return Checkable(table.id, table.kind, table.prompt, table.check, table.expected, table.difficulty)
