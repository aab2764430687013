"""Writes tables of a catalog file as TOML, and cuts them out of one; reading is tomllib's."""

from __future__ import annotations

import datetime
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

Table: TypeAlias = Mapping[str, Any]
_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


def table_text(header: str, table: Table) -> str:
    """Return one table of an array of tables; lists of tables in it follow as `[[header.key]]`."""
    return "\n".join([f"[[{header}]]", *_lines(header, table)])


def without_table(text: str, array: str, is_it: Callable[[Table], bool]) -> str | None:
    """Return a file's text without the first table of an array that `is_it`, with all tables below it.

    Everything else stays as it is written. None where there is no such table, or where it cannot be told by its lines
    where it ends. Raises TOMLDecodeError.
    """
    tables = tomllib.loads(text)
    elements: list[Table] = tables.get(array, [])
    found = next((number for number, each in enumerate(elements) if is_it(each)), None)
    if found is None:
        return None
    lines = text.splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if _header(line) == (array, True)]
    if len(starts) != len(elements):
        return None
    start = starts[found]
    rest = "".join((*lines[:start], *lines[_end(lines, start, array) :]))
    expected = tables | {array: [*elements[:found], *elements[found + 1 :]]}
    return rest if {array: [], **_parsed(rest)} == expected else None


def _end(lines: Sequence[str], start: int, array: str) -> int:
    """Return where the table that starts there ends: before the next one that is not below it, and its comments."""
    end = len(lines)
    for number in range(start + 1, len(lines)):
        header = _header(lines[number])
        if header is not None and not header[0].startswith(f"{array}."):
            end = number
            break
    while end < len(lines) and end > start + 1 and lines[end - 1].startswith("#"):
        end -= 1
    return end


def _parsed(text: str) -> Table:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _header(line: str) -> tuple[str, bool] | None:
    """Return the name of the table that a line begins, and whether it is one of an array."""
    found = _HEADER.match(line)
    return None if found is None else (found[2], found[1] == "[[")


def _lines(header: str, table: Table) -> Iterator[str]:
    nested: list[str] = []
    for key, value in table.items():
        tables = _tables(value)
        if tables:
            nested += ["\n" + table_text(f"{header}.{key}", each) for each in tables]
        else:
            yield f"{_key(key)} = {value_text(value)}"
    yield from nested


def _tables(value: object) -> list[Table]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Table", each) for each in items if isinstance(each, Mapping)]


def value_text(value: object) -> str:
    """Return a value as it stands behind a key, on one line."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {value_text(each)}" for key, each in cast("Table", value).items())
        return f"{{ {inner} }}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    """A key may come from a list of others: it must not end its line."""
    return name if _BARE_KEY.match(name) else value_text(name)
