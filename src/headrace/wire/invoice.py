"""Reads a provider's usage or invoice, as CSV or JSON, into a bill; which figures stand where is each format's own.

Both shapes become flat records of texts: buckets of an API's page are joined with their results, and what nests has
dots in its name. Nothing is guessed: a cell that cannot be read refuses the file.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from headrace.domain.bill import Bill, BilledLine, BillFormat
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.invoice_anthropic import anthropic_record, is_anthropic
from headrace.wire.invoice_cells import Cells, bill_invalid
from headrace.wire.invoice_generic import COLUMNS, generic_record, is_generic
from headrace.wire.invoice_openai import is_openai, openai_record
from headrace.wire.invoice_openrouter import is_openrouter, openrouter_record
from headrace.wire.invoice_record import Record
from headrace.wire.json_strict import decode_exact, encode, is_object

AskedFormat: TypeAlias = Literal["auto", "openai", "anthropic", "openrouter", "generic"]
Flat: TypeAlias = "dict[str, str | None]"

MOST_LINES = 50_000
MOST_REMARKS = 20
FORMATS: tuple[AskedFormat, ...] = ("auto", "openai", "anthropic", "openrouter", "generic")
READERS: tuple[tuple[BillFormat, Callable[[AbstractSet[str]], bool], Callable[[Cells], Record | None]], ...] = (
    ("openai", is_openai, openai_record),
    ("anthropic", is_anthropic, anthropic_record),
    ("openrouter", is_openrouter, openrouter_record),
    ("generic", is_generic, generic_record),
)


@dataclass(frozen=True, slots=True)
class _Table:
    """A file as flat records with their places."""

    records: Sequence[tuple[str, Flat]]
    columns: frozenset[str]
    remarks: tuple[str, ...] = ()


def read_bill(text: str, asked: AskedFormat, last_day: str, most_lines: int = MOST_LINES) -> Bill:
    """Return a bill; `last_day` is the latest date that can be. Raises InvalidRequest with place, value and fix."""
    table = _table(text.removeprefix("\ufeff"), most_lines)
    form, read = _reader(table, asked)
    lines: list[BilledLine] = []
    remarks = list(table.remarks)
    for place, values in table.records:
        record = read(Cells(place, values, table.columns, last_day))
        if record is not None:
            amount = record.amount
            if amount is not None and amount.is_rounded and len(remarks) < MOST_REMARKS:
                remarks.append(f"{place}: {amount.text} is finer than a pico-dollar and was rounded.")
            step = 0 if amount is None else amount.step_pico
            lines.append(BilledLine(place, record.day, record.model, record.figures, step, record.request_id))
    if not lines:
        raise bill_invalid("The file has no line with usage or costs. Export a time in which there was some.")
    if form == "generic":
        remarks += _generic_remarks(table.columns)
    finest = min((line.step_pico for line in lines if line.step_pico), default=0)
    return Bill(form, tuple(replace(line, step_pico=finest) for line in lines), tuple(remarks))


def _table(text: str, most_lines: int) -> _Table:
    first = text.lstrip()[:1]
    if not first:
        raise bill_invalid("The file is empty. Export it again.")
    if "\0" in text or first == "%":
        raise bill_invalid("The file is neither CSV nor JSON. Export it as one of them, not as PDF or as a sheet.")
    return _json_table(text, most_lines) if first in "{[" else _csv_table(text, most_lines)


def _reader(table: _Table, asked: AskedFormat) -> tuple[BillFormat, Callable[[Cells], Record | None]]:
    for form, is_mine, read in READERS:
        if asked in ("auto", form) and is_mine(table.columns):
            return form, read
    known = ", ".join(sorted(table.columns))[:400]
    if asked == "auto":
        raise bill_invalid(
            f"No known format has these columns: {known}. Rename them to those of the generic form: "
            f"{', '.join(COLUMNS)}; date and a count or a cost are needed."
        )
    raise bill_invalid(f"These are not the columns of the format {asked}: {known}. Leave --format away to find it.")


def _generic_remarks(columns: frozenset[str]) -> Iterator[str]:
    ignored = sorted(columns.difference(COLUMNS))
    if ignored:
        yield f"Columns that are not read: {', '.join(ignored)[:300]}."
    if "currency" not in columns and not columns.isdisjoint(("cost", "cost_usd")):
        yield "No currency is told; amounts are taken for US dollars."


def _csv_table(text: str, most_lines: int) -> _Table:
    rows = csv.reader(io.StringIO(text), delimiter=_delimiter(text), strict=True)
    try:
        header = [_column(cell) for cell in next(rows)]
        twice = sorted(name for name, times in Counter(header).items() if name and times > 1)
        if twice:
            raise bill_invalid(f'The column "{twice[0]}" stands twice. Keep one of them.')
        if len(header) < 2:
            raise bill_invalid(f"The file is neither CSV nor JSON: its first line is {text[:60]!r}. Export it again.")
        return _Table(list(_csv_records(rows, header, most_lines)), frozenset(header))
    except csv.Error as error:
        raise bill_invalid(f"Line {rows.line_num} is no CSV ({error}). Export the file again.") from error


def _csv_records(rows: Iterator[list[str]], header: list[str], most_lines: int) -> Iterator[tuple[str, Flat]]:
    seen: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(rows, 2):
        if not any(cell.strip() for cell in row):
            continue
        if number > most_lines + 1:
            raise bill_invalid(f"The file has over {most_lines} lines. Export days and models, or a shorter time.")
        if [_column(cell) for cell in row] == header:
            raise bill_invalid(f"Line {number} is a second header: files were joined. Reconcile one at a time.")
        if len(row) != len(header):
            raise bill_invalid(
                f"Line {number} has {len(row)} cells, the header {len(header)}: files were joined, or a cell with a "
                "comma has no quotes."
            )
        first = seen.setdefault(tuple(row), number)
        if first != number:
            raise bill_invalid(f"Line {number} repeats line {first}. Remove one, or export once.")
        yield f"line {number}", dict(zip(header, row, strict=True))


def _json_table(text: str, most_lines: int) -> _Table:
    value = decode_exact(text)
    pages = value if isinstance(value, list) else [value]
    records: list[tuple[str, Flat]] = []
    seen: dict[bytes, str] = {}
    kinds: dict[str, str] = {}
    for place, record in _json_records(pages):
        if len(records) >= most_lines:
            raise bill_invalid(f"The file has over {most_lines} results. Export a shorter time.")
        first = seen.setdefault(encode(record), place)
        if first != place:
            raise bill_invalid(f"{place} repeats {first}. Remove one: a page may be in the file twice.")
        kinds.setdefault(record.get("object") or "", place)
        records.append((place, record))
    if len(kinds) > 1:
        both = " and ".join(f'"{kind or "none"}" ({place})' for kind, place in list(kinds.items())[:2])
        raise bill_invalid(f"The file holds several kinds of results: {both}. Reconcile one at a time.")
    more = any(is_object(page) and page.get("has_more") is True for page in pages)
    remarks = ("The export says that it has more pages (has_more): days may be missing.",) if more else ()
    return _Table(records, frozenset(name for _, record in records for name in record), remarks)


def _json_records(pages: Sequence[JsonValue]) -> Iterator[tuple[str, Flat]]:
    for number, page in enumerate(pages):
        name = f"[{number}]." if len(pages) > 1 else ""
        if not is_object(page):
            where = name.rstrip(".") or "The file"
            raise bill_invalid(f"{where} is not an object or a list of them. Export it again.")
        inner = page.get("data")
        if not isinstance(inner, list):
            yield name.rstrip(".") or "the object", _flat(page)
            continue
        for index, entry in enumerate(inner):
            if not is_object(entry):
                raise bill_invalid(f"{name}data[{index}] is not an object. Export the file again.")
            yield from _results(f"{name}data[{index}]", entry)


def _results(place: str, entry: JsonObject) -> Iterator[tuple[str, Flat]]:
    results = entry.get("results")
    if not isinstance(results, list):
        yield place, _flat(entry)
        return
    bucket = {name: value for name, value in _flat(entry).items() if name not in ("results", "object")}
    for index, result in enumerate(results):
        if not is_object(result):
            raise bill_invalid(f"{place}.results[{index}] is not an object. Export the file again.")
        yield f"{place}.results[{index}]", {**bucket, **_flat(result)}


def _flat(value: Mapping[str, JsonValue], prefix: str = "") -> Flat:
    found: Flat = {}
    for name, item in value.items():
        if isinstance(item, dict):
            found.update(_flat(item, f"{prefix}{name}."))
        elif isinstance(item, list):
            continue
        else:
            found[prefix + name] = None if item is None else str(item)
    return found


def _delimiter(text: str) -> str:
    head = text.partition("\n")[0]
    return max(",;\t", key=head.count)


def _column(cell: str) -> str:
    return "_".join(cell.strip().casefold().split())


def asked_format(value: JsonValue) -> AskedFormat:
    """Return a format by its name; raises InvalidRequest."""
    known: dict[str, AskedFormat] = {each: each for each in FORMATS}
    if isinstance(value, str) and value in known:
        return known[value]
    raise InvalidRequest(f'"format" must be one of {", ".join(FORMATS)}, not {str(value)[:40]!r}.', param="format")
