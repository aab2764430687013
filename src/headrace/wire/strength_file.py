"""Reads and writes files of strengths, naming what is wrong with one; where they lie is a driver's."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.domain.finding import Finding, config_invalid
from headrace.domain.strength import SCALES, Strength
from headrace.wire.catalog_schema import Day, ModelId, Text
from headrace.wire.converter import Converter
from headrace.wire.toml_form import TomlFile, read_toml
from headrace.wire.toml_text import table_text

Number = Annotated[float, Meta(description="A number.")]
Scale = Annotated[str, Meta(description="The scale's name, one of " + ", ".join(SCALES) + ".")]
Count = Annotated[int, Meta(ge=1, description="How many prompts or votes it rests on, at least 1.")]


class StrengthTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[strength]]` table."""

    model: ModelId
    value: Number
    low: Number
    high: Number
    scale: Scale
    source: Text
    read: Day
    n: Count | UnsetType = UNSET


class StrengthTables(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of strengths."""

    strength: Annotated[tuple[StrengthTable, ...], Meta(description="[[strength]] tables.")] = ()


_TABLES = Converter(StrengthTables)


def read_strengths(file: str, data: bytes) -> tuple[Strength, ...]:
    """Return a file's strengths in its order; raises ConfigInvalid with every finding."""
    read = read_toml(file, data, _TABLES)
    if isinstance(read, tuple):
        raise config_invalid(read)
    findings = tuple(_check(read))
    if findings:
        raise config_invalid(findings)
    return tuple(_strength(each) for each in read.tables.strength)


def strengths_text(strengths: Iterable[Strength], heading: str) -> str:
    """Return the text of a file; `heading` is one line that says where it comes from."""
    tables = [table_text("strength", _table(each)) for each in strengths]
    return "\n\n".join([f"# {heading}", *tables]) + "\n"


def _check(file: TomlFile[StrengthTables]) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    for index, each in enumerate(file.tables.strength):
        at = ("strength", index)
        if not (math.isfinite(each.low) and math.isfinite(each.high) and each.low <= each.value <= each.high):
            problem = f"{each.value} is not between {each.low} and {each.high}"
            yield file.finding((*at, "value"), problem, "low and high are the bounds of its interval.")
        if (each.model, each.scale) in seen:
            problem = f'"{each.model}" stands here a second time on the scale "{each.scale}"'
            yield file.finding((*at, "model"), problem, "Keep the newer one.")
        seen.add((each.model, each.scale))
        if each.scale not in SCALES:
            problem = f'"{each.scale}" is no scale'
            yield file.finding((*at, "scale"), problem, f"The scales are {', '.join(SCALES)}.")


def _strength(table: StrengthTable) -> Strength:
    return Strength(
        model=table.model,
        value=table.value,
        low=table.low,
        high=table.high,
        scale=table.scale,
        source=table.source,
        read=table.read.isoformat(),
        n=None if isinstance(table.n, UnsetType) else table.n,
    )


def _table(strength: Strength) -> dict[str, object]:
    fields: dict[str, object] = {
        "model": strength.model,
        "value": strength.value,
        "low": strength.low,
        "high": strength.high,
        "scale": strength.scale,
        "source": strength.source,
        "read": datetime.date.fromisoformat(strength.read),
    }
    return fields if strength.n is None else {**fields, "n": strength.n}
