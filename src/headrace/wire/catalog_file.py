"""Reads one catalog file and names everything wrong with its form; merging files is services/catalog's."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias, cast

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo, fields

from headrace.domain.catalog import Capability, ModelKind
from headrace.domain.finding import Finding
from headrace.domain.names import did_you_mean
from headrace.wire.catalog_prices import PRICE_KEYS, check_price_value, check_prices
from headrace.wire.catalog_schema import (
    DAYS,
    CatalogTables,
    LocalTable,
    ModelTable,
    PriceTable,
    ProviderTable,
    QuirksTable,
    TierTable,
    WeightsTable,
    WindowTable,
)
from headrace.wire.converter import Converter, convert_field
from headrace.wire.toml_lines import KeyPath, key_lines, line_of, show

Origin: TypeAlias = Literal["shipped", "operator"]
Table: TypeAlias = Mapping[str, object]

_TABLES = Converter(CatalogTables)
_NESTED: Mapping[tuple[type[Struct], str], type[Struct]] = {
    (CatalogTables, "provider"): ProviderTable,
    (ProviderTable, "quirks"): QuirksTable,
    (ModelTable, "local"): LocalTable,
}
_NESTED_LISTS: Mapping[tuple[type[Struct], str], type[Struct]] = {
    (CatalogTables, "models"): ModelTable,
    (ModelTable, "prices"): PriceTable,
    (PriceTable, "tiers"): TierTable,
    (PriceTable, "windows"): WindowTable,
    (LocalTable, "weights"): WeightsTable,
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "kind": tuple(ModelKind),
    "capabilities": tuple(Capability),
    "best_effort": tuple(Capability),
    "auth": ("none", "bearer", "header"),
    "wire_format": ("openai", "anthropic"),
    "cap_field": ("max_tokens", "max_completion_tokens"),
    "days": DAYS,
}
_MANY = ("capabilities", "best_effort", "days")
_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)")
_AT_ITEM = re.compile(r"`\$\[(\d+)\]`")


@dataclass(frozen=True, slots=True)
class CatalogText:
    """One catalog file as it was read: its path as shown to the operator and its name without suffix."""

    file: str
    name: str
    origin: Origin
    data: bytes


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """A catalog file whose form is right."""

    file: str
    origin: Origin
    tables: CatalogTables
    lines: Mapping[KeyPath, int]

    def finding(self, path: KeyPath, problem: str, fix: str) -> Finding:
        """Return a finding at a key of this file."""
        return Finding(self.file, line_of(self.lines, path), show(path), problem, fix)


def read_catalog_file(source: CatalogText) -> CatalogFile | tuple[Finding, ...]:
    """Return the file, or everything that is wrong with its form."""
    try:
        text = source.data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = source.data.count(b"\n", 0, error.start) + 1
        problem = f"byte {error.start} is not UTF-8"
        return (Finding(source.file, line, "", problem, "Save the file as UTF-8."),)
    text = text.replace("\r\n", "\n")
    try:
        raw = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        return (_not_toml(source.file, text, error),)
    lines = key_lines(text)
    found = tuple(
        Finding(source.file, line_of(lines, each.path), show(each.path), each.problem, each.fix)
        for each in _check_table(CatalogTables, raw, ())
    )
    if found:
        return found
    tables = _TABLES.convert(raw)
    file = CatalogFile(source.file, source.origin, tables, lines)
    return tuple(_check_file(file, source.name)) or file


@dataclass(frozen=True, slots=True)
class _Wrong:
    path: KeyPath
    problem: str
    fix: str


def _not_toml(file: str, text: str, error: tomllib.TOMLDecodeError) -> Finding:
    message = str(error)
    at = _AT_LINE.search(message)
    line = int(at[1]) if at is not None else text.count("\n") + 1
    problem = f"not valid TOML: {_AT_LINE.sub('', message)}"
    return Finding(file, line, "", problem, 'Write key = "text", key = 1 or a [table] header.')


def _check_table(kind: type[Struct], table: Table, path: KeyPath) -> Iterator[_Wrong]:
    known = {each.name: each for each in fields(kind)}
    for key, value in table.items():
        if key not in known:
            yield _unknown_key(kind, key, (*path, key))
        elif (kind, key) in _NESTED:
            yield from _check_nested(_NESTED[kind, key], value, (*path, key))
        elif (kind, key) in _NESTED_LISTS:
            yield from _check_list(_NESTED_LISTS[kind, key], value, (*path, key))
        else:
            yield from _check_value(known[key], value, (*path, key))
    for name, field in known.items():
        if field.required and name not in table:
            yield _Wrong(path, f'"{name}" is missing', _expected(name, field))


def _unknown_key(kind: type[Struct], key: str, path: KeyPath) -> _Wrong:
    names = [each.name for each in fields(kind)]
    guess = did_you_mean(key, names)
    return _Wrong(path, f'"{key}" is not a key here', guess or f"Keys here: {', '.join(names)}.")


def _check_nested(kind: type[Struct], value: object, path: KeyPath) -> Iterator[_Wrong]:
    if isinstance(value, dict):
        yield from _check_table(kind, cast("Table", value), path)
    else:
        name = show(tuple(part for part in path if isinstance(part, str)))
        yield _Wrong(path, "is not a table", f"Write it as a table: [{name}].")


def _check_list(kind: type[Struct], value: object, path: KeyPath) -> Iterator[_Wrong]:
    items = cast("list[object]", value) if isinstance(value, list) else None
    name = show(tuple(part for part in path if isinstance(part, str)))
    if items is None or not all(isinstance(each, dict) for each in items):
        yield _Wrong(path, "is not a list of tables", f"Write each as a table of its own: [[{name}]].")
        return
    for index, item in enumerate(items):
        yield from _check_table(kind, cast("Table", item), (*path, index))
    if not items and kind is WeightsTable:
        yield _Wrong(path, "is empty", f"Write at least one [[{name}]] table.")


def _check_value(field: FieldInfo, value: object, path: KeyPath) -> Iterator[_Wrong]:
    if field.name in PRICE_KEYS:
        wrong_price = check_price_value(field.name, value)
        if wrong_price is not None:
            yield _Wrong(path, wrong_price.problem, wrong_price.fix)
        return
    if field.name in _CHOICES:
        yield from _check_choice(field.name, value, path)
        return
    try:
        convert_field(field, value)
    except msgspec.ValidationError as error:
        item = _AT_ITEM.search(str(error))
        wrong = cast("list[object]", value)[int(item[1])] if item is not None else value
        yield _Wrong(path, f"{_shown(wrong)} is not what belongs here", _expected(field.name, field, item is not None))


def _check_choice(name: str, value: object, path: KeyPath) -> Iterator[_Wrong]:
    choices = _CHOICES[name]
    many = name in _MANY
    if many and not isinstance(value, list):
        yield _Wrong(path, f"{_shown(value)} is not a list", f'Write a list: {name} = ["{choices[0]}"].')
        return
    for each in cast("list[object]", value if many else [value]):
        if each not in choices:
            guess = did_you_mean(each, choices) if isinstance(each, str) else ""
            fix = f"{guess} One of: {', '.join(choices)}.".strip()
            yield _Wrong(path, f"{_shown(each)} is not known", fix)


def _check_file(file: CatalogFile, name: str) -> Iterator[Finding]:
    provider = file.tables.provider.name
    if provider != name:
        fix = f'Rename the file to {provider}.toml, or write name = "{name}".'
        yield file.finding(("provider", "name"), f'"{provider}" is not the name of its file', fix)
    seen: dict[str, int] = {}
    for index, model in enumerate(file.tables.models):
        first = seen.setdefault(model.id, index)
        if first != index:
            line = line_of(file.lines, ("models", first, "id"))
            yield file.finding(
                ("models", index, "id"),
                f'"{model.id}" stands here a second time',
                f"The first is on line {line}.",
            )
        for each in check_prices(model.prices or ()):
            yield file.finding(("models", index, "prices", *each.path), each.problem, each.fix)


def _expected(name: str, field: FieldInfo, of_item: bool = False) -> str:
    info = msgspec.inspect.type_info(field.type)
    if of_item and isinstance(info, msgspec.inspect.Metadata):
        info = cast("msgspec.inspect.VarTupleType", info.type).item_type
    if not isinstance(info, msgspec.inspect.Metadata):
        return f"Write a [{name}] table."
    described = cast("Mapping[str, str]", info.extra_json_schema)
    return f"{name}: {described['description']}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 80 else f'"{value[:80]}…"'
    if isinstance(value, list | dict):
        return "this list" if isinstance(value, list) else "this table"
    return str(value)
