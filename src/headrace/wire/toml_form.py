"""Reads a TOML file into a struct and names everything wrong with its form; what it means is its reader's."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import msgspec
from msgspec import Struct
from msgspec.inspect import EnumType, Metadata, StructType, Type, VarTupleType, type_info
from msgspec.structs import FieldInfo, fields

from headrace.domain.finding import Finding
from headrace.domain.names import did_you_mean
from headrace.wire.converter import Converter, convert_field
from headrace.wire.toml_lines import KeyPath, key_lines, line_of, show

S = TypeVar("S", bound=Struct)
SHOWN_CHARS = 80

_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)")
_AT_ITEM = re.compile(r"`\$\[(\d+)\]`")


@dataclass(frozen=True, slots=True)
class TomlFile(Generic[S]):
    """A file whose form is right; `file` is its path as shown to the operator."""

    file: str
    tables: S
    lines: Mapping[KeyPath, int]

    def finding(self, path: KeyPath, problem: str, fix: str) -> Finding:
        """Return a finding at a key of this file."""
        return Finding(self.file, line_of(self.lines, path), show(path), problem, fix)


def read_toml(file: str, data: bytes, tables: Converter[S]) -> TomlFile[S] | tuple[Finding, ...]:
    """Return the file as a struct, or everything that is wrong with its form.

    Fields of the struct are values with a described type, or tuples of structs: lists of tables.
    """
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return (Finding(file, line, "", f"byte {error.start} is not UTF-8", "Save the file as UTF-8."),)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return (_not_toml(file, text, error),)
    lines = key_lines(text)
    wrong = tuple(_check_table(tables.kind, raw, ()))
    if wrong:
        return tuple(
            Finding(file, line_of(lines, each.path), show(each.path), each.problem, each.fix) for each in wrong
        )
    return TomlFile(file, tables.convert(raw), lines)


@dataclass(frozen=True, slots=True)
class _Wrong:
    path: KeyPath
    problem: str
    fix: str


@dataclass(frozen=True, slots=True)
class _Rows:
    """A list of tables: the form of each, and how many there may be."""

    kind: type[Struct]
    least: int
    most: int


def _not_toml(file: str, text: str, error: tomllib.TOMLDecodeError) -> Finding:
    message = str(error)
    at = _AT_LINE.search(message)
    line = int(at[1]) if at is not None else text.count("\n") + 1
    problem = f"not valid TOML: {_AT_LINE.sub('', message)}"
    return Finding(file, line, "", problem, 'Write key = "text", key = ["text"] or a [[table]] header.')


def _check_table(kind: type[Struct], table: Mapping[str, object], path: KeyPath) -> Iterator[_Wrong]:
    known = {each.name: each for each in fields(kind)}
    for key, value in table.items():
        here = (*path, key)
        if key not in known:
            fix = did_you_mean(key, known) or f"Keys here: {', '.join(known)}."
            yield _Wrong(here, f'"{key}" is not a key here', fix)
        elif (rows := _rows_of(known[key])) is not None:
            yield from _check_rows(rows, known[key], value, here)
        else:
            yield from _check_value(known[key], value, here)
    for name, field in known.items():
        if field.required and name not in table:
            yield _Wrong(path, f'"{name}" is missing', expected(field))


def _check_rows(rows: _Rows, field: FieldInfo, value: object, path: KeyPath) -> Iterator[_Wrong]:
    tables = cast("list[object]", value) if isinstance(value, list) else None
    if tables is None or not all(isinstance(each, dict) for each in tables):
        yield _Wrong(path, "is not a list of tables", expected(field))
        return
    if not rows.least <= len(tables) <= rows.most:
        yield _Wrong(path, f"has {len(tables)} tables", expected(field))
    for index, table in enumerate(tables):
        yield from _check_table(rows.kind, cast("dict[str, object]", table), (*path, index))


def _check_value(field: FieldInfo, value: object, path: KeyPath) -> Iterator[_Wrong]:
    try:
        convert_field(field, value)
    except msgspec.ValidationError as error:
        item = _AT_ITEM.search(str(error))
        wrong = cast("list[object]", value)[int(item[1])] if item is not None else value
        yield _Wrong(path, f"{_shown(wrong)} is not what belongs here", f"{_guess(field, wrong)}{expected(field)}")


def expected(field: FieldInfo) -> str:
    """Return what belongs in a field: its name and the description of its type."""
    info = cast("Metadata", type_info(field.type))
    return f"{field.name}: {cast('Mapping[str, str]', info.extra_json_schema)['description']}"


def _guess(field: FieldInfo, value: object) -> str:
    info = _bare(field)
    if not isinstance(info, EnumType) or not isinstance(value, str):
        return ""
    guess = did_you_mean(value, [str(each.value) for each in info.cls])
    return f"{guess} " if guess else ""


def _rows_of(field: FieldInfo) -> _Rows | None:
    info = _bare(field)
    if not isinstance(info, VarTupleType) or not isinstance(info.item_type, StructType):
        return None
    return _Rows(info.item_type.cls, info.min_length or 0, info.max_length or sys.maxsize)


def _bare(field: FieldInfo) -> Type:
    info = type_info(field.type)
    return info.type if isinstance(info, Metadata) else info


def _shown(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"' if len(value) <= SHOWN_CHARS else f'"{value[:SHOWN_CHARS]}…"'
        case list():
            return "this list"
        case dict():
            return "this table"
        case _:
            return str(value)
