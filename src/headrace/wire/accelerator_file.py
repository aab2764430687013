"""Reads accelerator files, names what is wrong with one, and puts them together; where they lie is a driver's."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import msgspec
from msgspec import UNSET, Struct, UnsetType

from headrace.domain.accelerator import Accelerator, AcceleratorBook, AcceleratorPrice, Measurement
from headrace.domain.decimals import parse_scaled
from headrace.domain.errors import ConfigInvalid
from headrace.domain.finding import Finding, config_invalid
from headrace.domain.names import did_you_mean
from headrace.wire.accelerator_schema import (
    AcceleratorPriceTable,
    AcceleratorTable,
    AcceleratorTables,
    MeasurementTable,
)
from headrace.wire.converter import Converter
from headrace.wire.toml_lines import KeyPath, key_lines, line_of, show

NANO_PLACES, MILLI_PLACES = 9, 3
_TABLES = Converter(AcceleratorTables)
_PLACE = re.compile(r" - at `\$(?P<path>[^`]*)`\Z")
_STEP = re.compile(r"\.(?P<key>[A-Za-z0-9_-]+)|\[(?P<index>\d+)\]")
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<key>[^`]*)`")
_AT_LINE = re.compile(r"\(at line (\d+)")


@dataclass(frozen=True, slots=True)
class AcceleratorText:
    """One accelerator file as it was read; `file` is its path as shown to the operator."""

    file: str
    data: bytes


@dataclass(frozen=True, slots=True)
class _Read:
    file: str
    tables: AcceleratorTables
    lines: dict[KeyPath, int]

    def finding(self, path: KeyPath, problem: str, fix: str) -> Finding:
        return Finding(self.file, line_of(self.lines, path), show(path), problem, fix)


def accelerator_book(files: Sequence[AcceleratorText]) -> AcceleratorBook:
    """Return all files as one; a later file adds to an earlier one. Raises ConfigInvalid with file, line and fix."""
    book = AcceleratorBook(())
    for text in files:
        read = _read(text)
        found = tuple(_check(read, book))
        if found:
            raise config_invalid(found)
        book = _merged(book, read.tables)
    return book


def _read(text: AcceleratorText) -> _Read:
    try:
        content = text.data.decode("utf-8").replace("\r\n", "\n")
        raw = tomllib.loads(content)
    except UnicodeDecodeError as error:
        line = text.data.count(b"\n", 0, error.start) + 1
        raise _wrong(text, line, "", f"byte {error.start} is not UTF-8", "Save the file as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        at = _AT_LINE.search(str(error))
        line = int(at[1]) if at is not None else text.data.count(b"\n") + 1
        raise _wrong(text, line, "", f"not valid TOML: {error}", 'Write key = "text" or key = 1.') from None
    lines = dict(key_lines(content))
    try:
        return _Read(text.file, _TABLES.convert(raw), lines)
    except msgspec.ValidationError as error:
        path = _path(str(error))
        message = _PLACE.sub("", str(error))
        raise _wrong(text, line_of(lines, path), show(path), message, _fix(path, message)) from None


def _wrong(text: AcceleratorText, line: int, path: str, problem: str, fix: str) -> ConfigInvalid:
    return config_invalid((Finding(text.file, line, path, problem, fix),))


def _path(message: str) -> KeyPath:
    at = _PLACE.search(message)
    steps = _STEP.finditer(at["path"]) if at is not None else ()
    return tuple(step["key"] if step["key"] is not None else int(step["index"]) for step in steps)


def _fix(path: KeyPath, message: str) -> str:
    """Return what belongs at a path: the description of the key, or the keys of the table."""
    kind = _table_at(path)
    if kind is None:
        return "See docs/breakeven.md for the form of this file."
    names = [each.name for each in msgspec.structs.fields(kind)]
    unknown, missing = _UNKNOWN.search(message), _MISSING.search(message)
    if unknown is not None:
        return did_you_mean(unknown["key"], names) or f"Keys here: {', '.join(names)}."
    key = missing["key"] if missing is not None else next((str(e) for e in reversed(path) if isinstance(e, str)), "")
    described = _description(kind, key)
    return f"{key}: {described}" if described else f"Keys here: {', '.join(names)}."


def _table_at(path: KeyPath) -> type[Struct] | None:
    tables = {"accelerators": AcceleratorTable, "measurements": MeasurementTable, "prices": AcceleratorPriceTable}
    names = [each for each in path if isinstance(each, str) and each in tables]
    return tables[names[-1]] if names else AcceleratorTables


def _description(kind: type[Struct], key: str) -> str:
    properties = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    found = properties.get(key, {})
    return str(found.get("description") or found.get("allOf", [{}])[0].get("description", ""))


def _check(read: _Read, book: AcceleratorBook) -> Iterator[Finding]:
    known = {each.slug for each in book.accelerators}
    seen: set[str] = set()
    for index, table in enumerate(read.tables.accelerators):
        path: KeyPath = ("accelerators", index)
        if table.slug in seen:
            yield read.finding((*path, "slug"), f'"{table.slug}" stands here a second time', "Put its prices together.")
        seen.add(table.slug)
        needed = ("name", "maker") if table.is_processor else ("name", "maker", "memory_gb")
        lacking = [name for name in needed if getattr(table, name) is UNSET]
        if table.slug not in known and lacking:
            yield read.finding(path, f'"{lacking[0]}" is missing', f'"{table.slug}" is not shipped: write it out.')
        yield from _check_prices(read, path, table.prices)
    for index, table in enumerate(read.tables.measurements):
        yield from _check_measurement(read, index, table, known | seen)


def _check_prices(read: _Read, path: KeyPath, prices: Sequence[AcceleratorPriceTable]) -> Iterator[Finding]:
    latest: dict[tuple[int, str], date] = {}
    for number, price in enumerate(prices):
        last = latest.get((price.gpus, price.billing))
        if last is not None and price.effective <= last:
            yield read.finding(
                (*path, "prices", number, "effective"),
                f"{price.effective} is not after {last}",
                "A price changes by a new entry with a later date, written below the others.",
            )
        latest[price.gpus, price.billing] = price.effective


def _check_measurement(read: _Read, index: int, table: MeasurementTable, slugs: set[str]) -> Iterator[Finding]:
    path: KeyPath = ("measurements", index)
    if table.accelerator not in slugs:
        guess = did_you_mean(table.accelerator, slugs) or f"Known are: {', '.join(sorted(slugs))}."
        yield read.finding((*path, "accelerator"), f'"{table.accelerator}" is no accelerator', guess)
    for name in ("output_tokens_per_second", "input_tokens_per_second"):
        if _milli(getattr(table, name)) == 0:
            yield read.finding((*path, name), "nothing is ever done at 0", "Leave it out where it was not measured.")


def _merged(book: AcceleratorBook, tables: AcceleratorTables) -> AcceleratorBook:
    by_slug = {each.slug: each for each in book.accelerators}
    for table in tables.accelerators:
        prices = tuple(_price(each) for each in table.prices)
        known = by_slug.get(table.slug) or Accelerator(table.slug, "", "", 0, ())
        by_slug[table.slug] = replace(
            known,
            name=_given(table.name, known.name),
            maker=_given(table.maker, known.maker),
            memory_gb=known.memory_gb if isinstance(table.memory_gb, UnsetType) else table.memory_gb,
            memory_mib=known.memory_mib if isinstance(table.memory_mib, UnsetType) else table.memory_mib,
            is_processor=known.is_processor or table.is_processor,
            prices=(*prices, *known.prices),
            also_known_as=(*known.also_known_as, *table.also_known_as),
        )
    measured = tuple(_measurement(each) for each in tables.measurements)
    return AcceleratorBook(tuple(by_slug.values()), (*measured, *book.measurements))


def _price(table: AcceleratorPriceTable) -> AcceleratorPrice:
    return AcceleratorPrice(
        effective=table.effective.isoformat(),
        gpus=table.gpus,
        nano_per_hour=parse_scaled(table.usd_per_hour, NANO_PLACES),
        billing=table.billing,
        source=table.source,
        checked_on=table.checked_on.isoformat(),
        regions=_given(table.regions, ""),
        note=_given(table.note, ""),
    )


def _measurement(table: MeasurementTable) -> Measurement:
    return Measurement(
        accelerator=table.accelerator,
        gpus=table.gpus,
        models=table.models,
        source=table.source,
        checked_on=table.checked_on.isoformat(),
        measured_on=None if isinstance(table.measured_on, UnsetType) else table.measured_on.isoformat(),
        output_milli_tokens_per_second=_milli(table.output_tokens_per_second),
        input_milli_tokens_per_second=_milli(table.input_tokens_per_second),
        latency_target_ms=None if isinstance(table.latency_target_ms, UnsetType) else table.latency_target_ms,
        warm_up_millis=_milli(table.warm_up_seconds),
        note=_given(table.note, ""),
    )


def _milli(text: str | UnsetType) -> int | None:
    return None if isinstance(text, UnsetType) else parse_scaled(text, MILLI_PLACES)


def _given(text: str | UnsetType, otherwise: str) -> str:
    return otherwise if isinstance(text, UnsetType) else text
